"""The search for a point without slope, and what takes over if there is none."""

import numpy as np
import pytest

from mllosses_jax.compare import descent, lbfgs


def spd(generator, size, worst):
    """Returns a symmetric matrix with eigenvalues from 1 to `worst`."""
    basis, _ = np.linalg.qr(generator.normal(size=(size, size)))
    return basis @ np.diag(np.geomspace(1, worst, size)) @ basis.T


@pytest.mark.parametrize("skew", [0.0, 0.1])
@pytest.mark.parametrize("independent", [True, False])
def test_the_point_without_slope_is_found(independent, skew):
    """This holds even if the slope is not a gradient, that is, if its Jacobian is not symmetric."""
    generator = np.random.default_rng(0)
    size, columns = 6, 3
    blocks, block = (columns, size) if independent else (1, size * columns)
    hessians = [spd(generator, block, 100) for _ in range(blocks)]
    hessians = [h + skew * (np.triu(h) - np.tril(h)) for h in hessians]
    target = generator.normal(size=(size, columns))
    calls = []

    def slope(params):
        calls.append(1)
        error = (params - target).T.reshape(blocks, block)
        found = np.stack([h @ e for h, e in zip(hessians, error, strict=True)])
        return found.reshape(columns, size).T.astype(np.float32)

    diagonal = np.stack([np.diag(h) for h in hessians]).reshape(columns, size).T
    start = np.zeros((size, columns), np.float32)
    goal = 1e-4 * np.linalg.norm(slope(start))
    calls.clear()
    found = lbfgs.solve(
        slope,
        start,
        curvature=diagonal.astype(np.float32),
        spread=np.full((size, 1), 1e-4, np.float32),
        goal=goal,
        independent=independent,
    )
    assert not start.any()  # it is left as it was
    assert np.linalg.norm(slope(found.params)) == pytest.approx(found.norm, rel=1e-2, abs=1e-5)
    assert found.norm <= goal
    np.testing.assert_allclose(found.params, target, atol=0.02)
    assert len(calls) - 1 == found.evaluations < 150


def test_the_search_ends_where_it_must():
    def flat(params):
        return np.zeros_like(params)

    def kinked(params):  # the slope of |x - 0.3| is nowhere 0
        return np.where(params < 0.3, np.float32(-1), np.float32(1))

    start, ones = np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)
    options = {"curvature": ones, "spread": ones, "independent": True}
    at_rest = lbfgs.solve(flat, start, goal=1e-6, **options)
    assert (at_rest.norm, at_rest.evaluations) == (0, 1)
    np.testing.assert_array_equal(at_rest.params, start)
    restless = lbfgs.solve(kinked, start, goal=1e-3, **options)
    assert restless.norm > 1
    assert restless.evaluations <= 3 * lbfgs.WINDOW  # long before the limit
    assert lbfgs.solve(kinked, start, goal=1e-3, max_evaluations=7, **options).evaluations == 7
    undefined = lbfgs.solve(lambda p: p + np.float32(np.nan), start, goal=1e-3, **options)
    assert np.isnan(undefined.norm)
    np.testing.assert_array_equal(undefined.params, start)


@pytest.mark.parametrize("independent", [True, False])
def test_steps_are_of_bounded_length(independent):
    target = np.array([[30, 5], [-40, 0]], np.float32)
    weights = np.array([[4, 1], [1, 1]], np.float32)
    trials = []

    def slope(params):
        trials.append(params.copy())
        return weights * (params - target)

    reach = np.array([2, 3], np.float32)
    found = lbfgs.solve(
        slope,
        np.zeros((2, 2), np.float32),
        curvature=weights,
        spread=weights / reach**2,
        goal=1e-3,
        independent=independent,
    )
    np.testing.assert_allclose(found.params, target, atol=1e-3)
    path = np.sqrt(np.sum(weights * target**2, axis=0))
    assert found.evaluations >= path[0] / reach[0]
    steps = np.sqrt(np.sum(weights * np.diff(trials, axis=0) ** 2, axis=1))
    assert np.all(steps <= 2.01 * reach)  # two trials from one point may lie on either side of it


def test_descent_settles_at_a_kink():
    target = np.array([[0.3, -0.2], [0.05, 0.7]], np.float32)
    begin = lbfgs.Solution(np.full((2, 2), 0.4, np.float32), 2.0, 10)
    found = descent.settle(lambda params: np.sign(params - target), begin)
    np.testing.assert_allclose(found.params, target, atol=1e-3)
    assert found.evaluations == 10 + descent.STEPS + 1
