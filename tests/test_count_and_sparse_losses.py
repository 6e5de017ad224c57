"""Identities of the label-count losses and of the sparse losses, and their pitfalls."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles.sparse
import pytest
from compiling import jit

import mllosses_jax as mll
from mllosses_jax.losses import sparse


def test_poisson_variables_factorize_into_distribution_and_count():
    rng = np.random.default_rng(0)
    x = rng.normal(scale=2, size=(6, 5)).astype(np.float32)
    y = (rng.random(x.shape) < 0.5).astype(np.float32)
    y[0], y[1] = 0, 1
    k = y.sum(-1)

    def factorized(x):
        total = jax.nn.logsumexp(x, axis=-1)
        cross_entropy = mll.softmax_cross_entropy(x, y, reduction="none")
        both, divergence = (
            mll.factorized_count_loss(
                x, y, count_logits=total, count="poisson", count_weight=w, reduction="none"
            )
            for w in (1, 0)
        )
        return jnp.sum(k * cross_entropy + both - divergence)

    value, gradient = jax.value_and_grad(factorized)(x)
    np.testing.assert_allclose(value, (np.exp(x) - y * x).sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.exp(x) - y, rtol=1e-4, atol=1e-5)


def test_count_logits_have_their_gradient():
    x, y = jnp.zeros((2, 3)), jnp.array([[1, 1, 0], [0, 0, 0]])

    def gradient(u, **kwargs):
        return jax.grad(
            lambda u: mll.factorized_count_loss(x, y, count_logits=u, reduction="sum", **kwargs)
        )(u)

    u = jnp.array([0.5, 1.0])
    np.testing.assert_allclose(gradient(u), [-3, 2], rtol=1e-6)
    np.testing.assert_allclose(gradient(u, count="poisson"), np.exp(u) - [2, 0], rtol=1e-6)
    huge = gradient(jnp.array([200.0, -200.0]), count="poisson", on="product")
    assert np.all(np.isfinite(huge))
    assert huge[0] > 0
    with pytest.raises(ValueError, match=r"count_logits must have one entry per sample.*\(3,\)"):
        mll.factorized_count_loss(x, y, count_logits=jnp.zeros(3))
    with pytest.raises(TypeError, match="count_logits must be a floating-point array"):
        mll.factorized_count_loss(x, y, count_logits=jnp.zeros(2, jnp.int32))


@pytest.mark.parametrize("on", ["factors", "product"])
def test_count_logits_of_samples_that_do_not_count_never_leak(on):
    x, y, where = jnp.zeros((2, 3)), jnp.ones((2, 3)), jnp.array([[True], [False]])

    def loss(x, u):
        return mll.factorized_count_loss(x, y, count_logits=u, on=on, where=where)

    by_x, by_u = jax.grad(loss, (0, 1))(x, jnp.array([1.0, jnp.nan]))
    assert np.all(np.isfinite(by_x))
    assert by_u[0] != 0
    assert by_u[1] == 0


def sum_of_projection(loss, x):
    first = jnp.arange(x.size) == 0
    p = jax.grad(lambda x: loss(x, first))(x).at[0].add(1)
    assert np.all(p >= 0)
    return np.asarray(p, np.float64).sum()


@pytest.mark.parametrize("loss", [mll.sparsemax_loss, mll.entmax15_loss])
def test_projections_of_many_labels_sum_to_one(loss):
    rng = np.random.default_rng(1)
    for scale in (1e-6, 1e-3, 1, 100):
        x = (rng.normal(size=100_000) * scale).astype(np.float32)
        np.testing.assert_allclose(sum_of_projection(loss, x), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "gap", "bound"),
    # Many entries share the rounding error of the threshold, which adds up in float32.
    [(mll.sparsemax_loss, 0.9, 3e-8), (mll.entmax15_loss, 1.8, 1e-8)],
)
@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_projections_of_one_label_before_many_sum_to_one(loss, gap, bound, size):
    x = -np.random.default_rng(1).uniform(gap, gap + 1e-5, size).astype(np.float32)
    x[0] = 0
    np.testing.assert_allclose(sum_of_projection(loss, x), 1, rtol=size * bound)


RNG = np.random.default_rng(2)
NORMAL = RNG.normal(size=999)
ROWS = {
    "normal": NORMAL,
    "ties": np.round(NORMAL),
    "equal": np.ones(99),
    "one label": np.ones(1),
    "some at -inf": np.where(NORMAL < 0, -np.inf, NORMAL),
    # Each step of Newton's method takes few of these out of the support.
    "geometric": -(2.0 ** -np.arange(60.0)),
    "negatives of powers": -(1.5 ** np.arange(60.0)),
}


@pytest.mark.parametrize(("loss", "power"), [(mll.sparsemax_loss, 1), (mll.entmax15_loss, 2)])
@pytest.mark.parametrize("row", ROWS)
def test_projections_of_any_scale(loss, power, row):
    first = np.arange(ROWS[row].size) == 0
    slope = jit(jax.grad(lambda x: loss(x, first)))
    for scale in (1e-4, 0.01, 0.1, 1, 10, 1e4):
        x = (ROWS[row] * scale).astype(np.float32)
        p = np.asarray(slope(x), np.float64) + first
        wanted = oracles.sparse.projection(x.astype(np.float64) / power, power)
        np.testing.assert_allclose(p, wanted, rtol=0, atol=4e-6 * max(wanted.max(), first.max()))


@pytest.fixture(scope="module", params=[0, 2])
def few_steps(request):
    """Ends Newton's method early; programs with another number of steps are dropped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "_NEWTON_STEPS", request.param)
        jax.clear_caches()
        yield
    jax.clear_caches()


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("row", ROWS)
def test_a_bracket_is_halved_where_newtons_method_does_not_end(row):
    x = jnp.asarray(ROWS[row], jnp.float32)
    first = np.arange(x.size) == 0
    p = jit(jax.grad(lambda x: mll.entmax15_loss(x, first)))(x) + first.astype(x.dtype)
    wanted = oracles.sparse.projection(np.asarray(x, np.float64) / 2, 2)
    np.testing.assert_allclose(p, wanted, rtol=0, atol=4e-6)


def test_labels_of_zero_have_a_finite_gradient_of_entmax():
    """The derivative in q is 2·√q − x, up to a constant."""
    x, q = jnp.array([0.3, 0.1, -0.2, -9.0]), jnp.array([0.5, 0.0, 0.5, 0.0])
    gradient = jax.grad(mll.entmax15_loss, 1)(x, q)
    by_q = 2 * np.sqrt(q) - x  # plus a constant, which labels that are made a distribution lose
    np.testing.assert_allclose(gradient, by_q - jnp.sum(q * by_q), rtol=1e-5, atol=1e-6)
    assert np.all(np.isfinite(jax.hessian(mll.entmax15_loss, 1)(x, q)))


@pytest.mark.parametrize("loss", [mll.sparsemax_loss, mll.entmax15_loss])
def test_slopes_in_labels_have_a_gradient_in_logits(loss):
    """Both orders of the mixed derivative are that of −q·x, because p depends on x only."""
    x, y, u = jnp.array([0.3, 0.1, -0.2, -9.0]), jnp.array([0.5, 0.2, 0.2, 0.1]), jnp.ones(4)
    by_labels = jax.grad(lambda x: jax.jvp(lambda y: loss(x, y), (y,), (u,))[1])(x)
    by_logits = jax.jvp(lambda y: jax.grad(loss)(x, y), (y,), (u,))[1]
    np.testing.assert_allclose(by_labels, 4 * y - 1, rtol=1e-5)
    np.testing.assert_allclose(by_logits, 4 * y - 1, rtol=1e-5)


def test_sparsemax_loss_is_zero_at_a_margin_of_one():
    x, y = jnp.array([3.0, 2.0, -1e30]), jnp.array([1, 0, 0])
    value, gradient = jax.value_and_grad(lambda x: mll.sparsemax_loss(x, y))(x)
    assert value == 0
    assert np.all(gradient == 0)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "exp", None])
def test_nan_logits_are_not_taken_for_the_floor(activation):
    x, y = jnp.array([[jnp.nan, 0.5, 1.0]]), jnp.array([[1, 0, 1]])
    loss = functools.partial(mll.abs_kl_divergence, activation=activation)
    value, gradient = jax.value_and_grad(loss)(x, y)
    assert np.isnan(value)
    assert np.isnan(gradient[0, 0])
