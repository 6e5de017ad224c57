"""The contract at the ends of parameters: derivatives are finite if a float can hold them."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from compiling import jit
from contract import extreme_inputs, make_inputs
from parameter_ends import OVERFLOWING, WITH_ENDS, ends_of, numbers_of

import mllosses_jax as mll


def every_derivative(case, soft):
    """Returns a jitted function: a mean, its derivatives, and theirs along the logits.

    The derivatives are with respect to the logits, each parameter that is a number and, if `soft`,
    the labels.
    """
    fixed = {name: v for name, v in case.kwargs.items() if name not in numbers_of(case)}
    fixed |= {} if case.entry.kind == "batch" else {"reduction": "mean"}

    def function(x, y, where, parameters):
        def slopes(x, parameters):
            def loss(x, parameters, y):
                return case.loss(x, y, where=where, **fixed, **parameters)

            value, first = jax.value_and_grad(loss, (0, 1, 2) if soft else (0, 1))(x, parameters, y)
            return value, dict(zip(("logits", "parameters", "labels"), first, strict=False))

        along = jnp.ones_like(x)
        (value, first), (_, second) = jax.jvp(lambda x: slopes(x, parameters), (x,), (along,))
        return {"value": value, **first, "second": second}

    return jit(function)


def not_numbers(results, passes):
    """Returns the paths of the derivatives with an entry that does not pass."""
    leaves = jax.tree_util.tree_leaves_with_path(results)
    return [jax.tree_util.keystr(path) for path, leaf in leaves if not np.all(passes(leaf))]


@pytest.mark.parametrize("case", WITH_ENDS, ids=str)
def test_derivatives_at_the_ends_of_parameters(case):
    numbers = {name: np.float32(value) for name, value in numbers_of(case).items()}
    extremes = [
        (np.clip(logits, -1e30, 1e30), labels, mask)
        for logits, labels, mask in list(extreme_inputs(case, jnp.float32))[2:6]
    ]
    logits, labels, mask = make_inputs(case)
    failures = {}
    # These losses have a kernel for bool labels.
    hard = case.entry.kind == "element" or not case.entry.soft_labels
    for dtype in (bool,) * hard + (np.float32,) * case.entry.soft_labels:
        derivatives = every_derivative(case, soft=dtype is np.float32)
        for name in numbers:
            batches = [] if (case.name, name) in OVERFLOWING else extremes
            for end in ends_of(case, name):
                at = {**numbers, name: np.float32(end)}
                results = derivatives(logits, labels.astype(dtype), mask, at)
                found = not_numbers(results, np.isfinite)
                for x, y, where in batches:
                    results = derivatives(x, y.astype(dtype), where, at)
                    found += not_numbers(results, lambda leaf: ~np.isnan(leaf))
                    found += not_numbers(results["logits"], np.isfinite)
                if found:
                    failures[name, end, dtype.__name__] = sorted(set(found))
    assert not failures


# The values of these derivatives, to 50 digits


@pytest.mark.parametrize("clip", [0.0, 1e-30, 1e-20])
@pytest.mark.parametrize("x", [-3.0, 30.0, 60.0, 100.0])
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_an_asymmetric_loss_in_its_clip(clip, x, dtype):
    def wanted(m):
        q = 1 / (1 + mpmath.exp(mpmath.mpf(x)))
        return -((1 - q - m) ** mpmath.mpf(2.5)) * mpmath.log(q + m)

    def loss(m):
        logits, labels = jnp.array([[x]]), np.zeros((1, 1), dtype)
        return mll.asymmetric_loss(logits, labels, gamma_neg=2.5, clip=m)

    with mpmath.workdps(50):
        m, q = mpmath.mpf(float(np.float32(clip))), 1 / (1 + mpmath.exp(mpmath.mpf(x)))
        step = (q + m) * mpmath.mpf(10) ** -15
        slope = float((wanted(m + step) - wanted(m - step)) / (2 * step))
    # It is clipped at -1e30, which leaves room for the other factors of the chain rule.
    np.testing.assert_allclose(jax.grad(loss)(jnp.float32(clip)), max(slope, -1e30), rtol=1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-7, 0.5])
@pytest.mark.parametrize("name", ["positive_temperature", "negative_temperature"])
def test_a_two_way_loss_in_its_temperatures(temperature, name):
    gap = float(np.float32(temperature / 2))
    positive = name == "positive_temperature"
    row, labels = ([-gap, 0.0, 0.0], [1, 1, 0]) if positive else ([gap, 0.0, 0.0], [0, 0, 1])

    def wanted(t):
        total = mpmath.exp(mpmath.mpf(gap) / t) + 1
        return mpmath.log(1 + mpmath.exp(t * mpmath.log(total)))

    def loss(t):
        return mll.two_way_sample_loss(jnp.array([row]), np.array([labels]), **{name: t})

    for order, slope in ((1, jax.grad(loss)), (2, jax.grad(jax.grad(loss)))):
        with mpmath.workdps(50):
            t = mpmath.mpf(float(np.float32(temperature)))
            expected = float(mpmath.diff(lambda u, t=t: wanted(u * t), 1, order) / t**order)
        np.testing.assert_allclose(slope(jnp.float32(temperature)), expected, rtol=1e-4)


@pytest.mark.parametrize("q", [0.0, 1e-30, 1e-10, 1e-3])
@pytest.mark.parametrize("x", [-80.0, -0.5, 3.0])
def test_generalized_cross_entropy_in_its_order(q, x):
    def loss(q):
        labels = np.array([[1.0, 0.0]], np.float32)
        logits = jnp.array([[x, -x]])
        return mll.generalized_binary_cross_entropy(logits, labels, q=q)

    with mpmath.workdps(50):
        log_p = -mpmath.log(1 + mpmath.exp(-mpmath.mpf(x)))
        order = mpmath.mpf(float(np.float32(q)))
        # The series of (1 − exp(q·log p))/q, term by term.
        terms = (
            n * order ** (n - 1) * log_p ** (n + 1) / mpmath.factorial(n + 1) for n in range(1, 40)
        )
        wanted = -float(sum(terms))
    np.testing.assert_allclose(jax.grad(loss)(jnp.float32(q)), wanted, rtol=1e-5)


@pytest.mark.parametrize("beta", [1e8, 1e10, 1e15])
def test_soft_f_beta_at_a_huge_beta(beta):
    """The limit is the miss rate, FN / (FN + TP)."""
    logits, labels = jnp.array([[0.5], [-1.0], [2.0]]), np.array([[1], [1], [0]])

    def limit(x):
        p = jax.nn.sigmoid(x[:2])
        return jnp.sum(1 - p) / 2

    def loss(x):
        return mll.soft_fbeta_loss(x, labels, beta=jnp.float32(beta))

    for derivative in (jax.grad, jax.hessian):
        with jax.enable_x64(True):
            wanted = derivative(limit)(jnp.asarray(np.asarray(logits), jnp.float64))
        np.testing.assert_allclose(derivative(loss)(logits), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", ["mse", "poisson"])
@pytest.mark.parametrize("u", [50.0, 200.0, 1e4])
def test_a_count_loss_in_its_labels(count, u):
    logits, labels = jnp.array([[0.5, -1.0, 2.0]]), jnp.array([[0.0, 1.0, 1.0]])

    def loss(y):
        arguments = {"count_logits": jnp.array([u]), "count": count, "on": "product"}
        return mll.factorized_count_loss(logits, y, **arguments)

    log_s = np.asarray(jax.nn.log_softmax(logits), np.float64)
    log_n = np.log(u) if count == "mse" else min(u, 80.0)  # log rates are clipped at 80
    q, log_q = np.exp(log_n + log_s), log_n + log_s
    # d/dy of (y − q)·(log y − log q), for labels above the floor, and of the count loss.
    y = np.asarray(labels, np.float64)
    divergence = np.where(
        y > 0, np.log(np.maximum(y, 1e-7)) - log_q + 1 - q / np.maximum(y, 1e-7), 0
    )
    of_count = -2 * (u - 2) if count == "mse" else -u
    np.testing.assert_allclose(jax.grad(loss)(labels), divergence + of_count, rtol=2e-5)


def test_labels_whose_exponent_is_huge():
    """The derivative in the label of u^γ·(…) with u = exp(−|x|) is 0, not 0 · inf."""
    logits = jnp.array([[3e38, -3e38]])
    for loss in (mll.sigmoid_focal_loss, mll.quality_focal_loss):
        name = "beta" if loss is mll.quality_focal_loss else "gamma"
        slope = jax.grad(lambda y: loss(logits, y, **{name: jnp.float32(100)}))  # noqa: B023
        np.testing.assert_array_equal(slope(jnp.array([[1.0, 0.0]])), 0)
    slope = jax.grad(lambda y: mll.asymmetric_loss(logits, y, gamma_pos=jnp.float32(100)))
    assert np.all(np.isfinite(slope(jnp.array([[1.0, 0.0]]))))
