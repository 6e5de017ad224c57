"""The primitives of `_core.numerics` and `_core.softmax`, and their derivatives, in 50 digits."""

import exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import LOGITS, ZERO, mp, ulps

from mllosses_jax._core import numerics, softmax

GAMMAS = (0.0, 0.5, 1.0, 2.0, 2.5, 4.0)


def test_sigmoids_and_their_logarithms():
    x = LOGITS
    p, q = jax.jit(numerics.sigmoid_pair)(x)
    log_p, log_q = jax.jit(numerics.log_sigmoid_pair)(x)
    references = [(a, b, a.log(), b.log()) for a, b in (exact.sigmoids(float(v)) for v in x)]
    for found, jets in zip((p, q, log_p, log_q), zip(*references, strict=True), strict=True):
        truth = np.array([float(jet.v) for jet in jets])
        condition = np.array(
            [
                float(abs(v * jet.d / jet.v)) if jet.v else 0.0
                for v, jet in zip(x.tolist(), jets, strict=True)
            ]
        )
        assert np.max(ulps(np.asarray(found, np.float64), truth, truth, condition)) <= 3


@pytest.mark.parametrize(
    ("function", "derivatives"),
    [
        (lambda x: numerics.sigmoid_pair(x)[0], (1 / 2, 1 / 4, 0, -1 / 8)),
        (lambda x: numerics.sigmoid_pair(x)[1], (1 / 2, -1 / 4, 0, 1 / 8)),
        (lambda x: numerics.log_sigmoid_pair(x)[0], (np.log(0.5), 1 / 2, -1 / 4, 0)),
        (lambda x: numerics.log_sigmoid_pair(x)[1], (np.log(0.5), -1 / 2, -1 / 4, 0)),
        (numerics.softplus, (np.log(2), 1 / 2, 1 / 4, 0)),
        (numerics.log1p_unit, (0, 1, -1, 2)),
    ],
)
def test_derivatives_at_zero(function, derivatives):
    for derivative in derivatives:
        np.testing.assert_allclose(jax.jit(function)(jnp.float32(0)), derivative, rtol=1e-6)
        function = jax.grad(function)


def test_what_is_recomputed_keeps_its_value_and_derivatives():
    x = jnp.asarray([-jnp.inf, -2.5, -0.0, 3e38, jnp.inf])
    np.testing.assert_array_equal(numerics.recomputed(x), x)
    np.testing.assert_array_equal(jax.grad(lambda x: numerics.recomputed(x).sum())(x), 1)

    def exponentials(second):
        program = jax.jit(lambda x: (jnp.exp(x), 2 * jnp.exp(second(x))))
        return program.lower(x).compile().as_text().count(" exponential(")

    assert exponentials(lambda x: x) == 1
    assert exponentials(numerics.recomputed) == 2


def test_log1p_of_the_unit_interval():
    u = np.concatenate([np.linspace(-0.5, 1, 601), [1e-30, -1e-30, 1e-7, -1e-7]])
    u = u.astype(np.float32)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(numerics.log1p_unit)))(u)
    truth = np.log1p(u.astype(np.float64))
    assert np.max(ulps(np.asarray(value, np.float64), truth, truth, np.zeros(u.shape))) <= 3
    np.testing.assert_allclose(slope, 1 / (1 + u.astype(np.float64)), rtol=1e-6)


def test_logarithm_of_a_quotient():
    rng = np.random.default_rng(0)
    p = 10.0 ** rng.uniform(-30, 0, 1000)
    q = np.where(rng.random(1000) < 0.5, p * (1 + 10.0 ** rng.uniform(-6, 0, 1000)), p[::-1])
    p, q = np.float32(p), np.float32(q)
    pairs = zip(p.tolist(), q.tolist(), strict=True)
    truth = np.array([float(mp.log(mp.mpf(a) / b)) for a, b in pairs])
    difference = np.float64(p) - np.float64(q)
    for dtype, tolerance in ((np.float32, 4e-7), (np.float64, 1e-13)):  # XLA's are not exact
        with jax.enable_x64(dtype is np.float64):
            at = jnp.asarray(p, dtype), jnp.asarray(q, dtype), jnp.asarray(difference, dtype)
            np.testing.assert_allclose(jax.jit(numerics.log_quotient)(*at), truth, rtol=tolerance)
            slopes = jax.grad(lambda *at: jnp.sum(numerics.log_quotient(*at)), (0, 1))(*at)
            np.testing.assert_allclose(slopes[0], 1 / np.float64(p), rtol=2e-7)
            np.testing.assert_allclose(slopes[1], -1 / np.float64(q), rtol=2e-7)


@pytest.mark.parametrize("gamma", [0, 1, 2, 4, jnp.array(GAMMAS)[None, :]], ids=str)
def test_powers(gamma):
    gammas = np.atleast_2d(np.asarray(gamma, np.float64))

    @jax.jit
    def program(x):
        def function(x):
            p, log_p = numerics.sigmoid_pair(x)[0], numerics.log_sigmoid_pair(x)[0]
            return numerics.power(p, log_p, gamma)

        return jax.jvp(function, (x,), (jnp.ones_like(x),))

    x = np.broadcast_to(LOGITS[:, None], (len(LOGITS), gammas.size))
    found = [np.asarray(part, np.float64) for part in program(x)]
    jets = [[exact.sigmoids(float(v))[0].power(mp.mpf(g)) for g in gammas[0]] for v in LOGITS]
    value, slope, curvature = np.moveaxis(np.vectorize(float)(np.array(jets)), 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_value = np.nan_to_num(np.abs(x * slope / value), posinf=0)
        of_slope = np.nan_to_num(np.abs(x * curvature / slope), posinf=0)
    assert np.max(ulps(found[0], value, value, of_value)) <= 8
    assert np.max(ulps(found[1], slope, slope, of_slope)) <= 8


def test_zero_to_a_power():
    zero, log_zero = jnp.zeros(()), jnp.array(-jnp.inf)
    for gamma in (0, jnp.array(0.0)):
        assert numerics.power(zero, log_zero, gamma) == 1
    for gamma in (2, jnp.array(0.5)):
        assert numerics.power(zero, log_zero, gamma) == 0


SOFTMAX_ROWS = np.concatenate(
    [
        np.random.default_rng(2).normal(scale=8, size=(20, 6)),
        [
            [0, 0, 0, 0, 0, 0],
            [3, 3, -3, -3, 0, 0],
            [60, 0, 0, -60, 1, 2],
            [-80, 0, 17, -5, 2, 0.5],
            [1e30, 0, -1e30, 1, 2, 3],
        ],
    ]
).astype(np.float32)


def test_log_softmax_and_the_rest():
    pair = softmax.log_softmax_pair
    log_s, log_rest = np.asarray(jax.jit(pair)(SOFTMAX_ROWS), np.float64)
    by_s, by_rest = np.asarray(jax.jit(jax.vmap(jax.jacfwd(pair)))(SOFTMAX_ROWS), np.float64)
    for index in np.ndindex(SOFTMAX_ROWS.shape):
        row, i = index
        x = [mp.mpf(float(v)) for v in SOFTMAX_ROWS[row]]
        e = [mp.exp(v - max(x)) for v in x]
        total, rest = mp.fsum(e), mp.fsum(e[:i] + e[i + 1 :])
        slopes = [(rest if i == j else -e[j]) / total for j in range(len(x))]
        slopes_of_rest = [-e[i] / rest * slope for slope in slopes]

        def condition(truth, slopes, x=x):
            size = mp.fsum(abs(v * d) for v, d in zip(x, slopes, strict=True))
            return float(size / abs(truth)) if truth else 0.0

        truth = mp.log(e[i] / total)
        value = float(truth)
        assert ulps(log_s[index], value, value, condition(truth, slopes)) <= 8
        np.testing.assert_allclose(by_s[index], np.array(slopes, np.float64), rtol=2e-5, atol=1e-25)
        if rest / total < ZERO:
            assert log_rest[index] < np.log(ZERO) + 1
            continue
        truth = mp.log(rest / total)
        value = float(truth)
        slack = np.finfo(np.float32).eps  # it is the logarithm of 1 - s, which is rounded
        of_rest = (value - slack, value + slack, condition(truth, slopes_of_rest))
        assert ulps(log_rest[index], *of_rest) <= 8
        np.testing.assert_allclose(
            by_rest[index], np.array(slopes_of_rest, np.float64), rtol=2e-5, atol=1e-25
        )


def test_entries_outside_the_softmax():
    x = np.array([[1.0, -np.inf, 2.0]], np.float32)
    inside = jax.jit(softmax.log_softmax_pair)(x[:, ::2])
    both = jax.jit(softmax.log_softmax_pair)(x)
    np.testing.assert_allclose(np.asarray(both)[..., ::2], inside, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(both)[..., 1], [[-np.inf], [0]], atol=1e-7)


def test_log_sum_exp():
    rng = np.random.default_rng(3)
    weights = (rng.random(SOFTMAX_ROWS.shape) < 0.6).astype(np.float32)
    weights[:10] *= rng.random((10, 6), np.float32)
    weights[11] = 0
    value, slope = jax.jit(
        jax.vmap(jax.value_and_grad(lambda x, w: softmax.log_sum_exp(x, w, -1)))
    )(SOFTMAX_ROWS, weights)
    for row, (logits, w) in enumerate(zip(SOFTMAX_ROWS.tolist(), weights.tolist(), strict=True)):
        terms = [mp.mpf(b) * mp.exp(mp.mpf(a)) for a, b in zip(logits, w, strict=True)]
        total = mp.fsum(terms)
        if total == 0:
            assert value[row] == -np.inf
            np.testing.assert_array_equal(slope[row], 0)
            continue
        truth, slopes = mp.log(total), [t / total for t in terms]
        scale = mp.fsum(abs(a * d) for a, d in zip(logits, slopes, strict=True))
        condition = (scale + 1) / abs(truth) if truth else 0.0
        got = np.asarray(value[row], np.float64)
        assert ulps(got, float(truth), float(truth), float(condition)) <= 8
        wanted = np.array([float(d) for d in slopes])
        np.testing.assert_allclose(slope[row], wanted, rtol=1e-5, atol=1e-36)


@pytest.mark.parametrize("scale", [1, 1e-30])
def test_second_derivatives_of_log_sum_exp_with_weights(scale):
    x = np.array([0.5, -1, 2, 0], np.float32)
    weights = np.array([0.2, 1, 0.7, 0], np.float32) * np.float32(scale)

    def value(x, weights):
        return softmax.log_sum_exp(x, weights, -1)

    hessian = jax.jit(jax.hessian(value, argnums=(0, 1)))
    (by_x, mixed), (_, by_weights) = hessian(x, weights)
    terms = np.exp(x.astype(np.float64))
    per_weight = terms / np.sum(weights * terms)
    share = weights * per_weight
    np.testing.assert_allclose(by_x, np.diag(share) - np.outer(share, share), rtol=1e-5)
    np.testing.assert_allclose(
        mixed, np.diag(per_weight) - np.outer(share, per_weight), rtol=1e-5, atol=1e-6 / scale
    )
    if scale == 1:  # else it is beyond the range of float32
        np.testing.assert_allclose(by_weights, -np.outer(per_weight, per_weight), rtol=1e-5)


@pytest.mark.parametrize("largest", [1, 2, 3])
def test_rest_beside_one_or_several_largest_entries(largest):
    x = np.array([5.0] * largest + [-14.0, -15.5], np.float32)
    s, rest = (np.asarray(part, np.float64) for part in jax.jit(softmax.softmax_pair)(x))
    e = np.exp(x.astype(np.float64) - 5)
    others = np.array([np.sum(np.delete(e, i)) for i in range(len(x))])
    np.testing.assert_allclose(s, e / e.sum(), rtol=1e-6)
    np.testing.assert_allclose(rest, others / e.sum(), rtol=1e-6)
