"""Maximisers of expected F, against a search over all sets and all outcomes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import decisions, metrics


def all_sets(size):
    return np.array(list(itertools.product([0, 1], repeat=size)))


def f_table(size, beta, zero_division):
    """Returns F-beta of each predicted set against each outcome, (2^L, 2^L)."""
    sets = all_sets(size)
    hits = sets @ sets.T
    sizes = sets.sum(1)
    if beta == np.inf:
        total = np.broadcast_to(sizes[None, :] * 1.0, hits.shape)
        scaled = hits * 1.0
        undefined = total == 0
        # F is undefined if both are empty, and 0 if only the truth is empty.
        both = (sizes[:, None] == 0) & (sizes[None, :] == 0)
        return np.where(both, zero_division, np.where(undefined, 0, scaled / np.maximum(total, 1)))
    total = beta**2 * sizes[None, :] + sizes[:, None]
    values = (1 + beta**2) * hits / np.where(total == 0, 1, total)
    both = (sizes[:, None] == 0) & (sizes[None, :] == 0)
    return np.where(both, zero_division, values)


def independent_joint(p):
    """Returns the probability of each outcome, (2^L,)."""
    sets = all_sets(len(p))
    return np.prod(np.where(sets == 1, p, 1 - p), axis=1)


def index_of(chosen):
    return int("".join(str(int(bit)) for bit in chosen), 2)


def rows(size, seed=0, n=40):
    rng = np.random.default_rng(seed)
    p = rng.random((n, size))
    p[:10] **= 4
    p[10:15] = p[10:15].round(1)  # ties, zeros and ones
    p[15] = 0
    p[16] = 1
    p[17] = 0.5
    p[18] = 0.01
    return p.astype(np.float32)


@pytest.mark.parametrize("beta", [0.5, 1, 2, np.inf])
@pytest.mark.parametrize("zero_division", [0.0, 1.0])
@pytest.mark.parametrize("size", [1, 5])
def test_expected_f_sets_are_optimal(size, zero_division, beta):
    p = rows(size)
    found = np.asarray(
        decisions.expected_f_sets(p, beta=np.float32(beta), zero_division=zero_division)
    )
    table = f_table(size, beta, zero_division)
    for row, chosen in zip(p, found, strict=True):
        expected = table @ independent_joint(row.astype(np.float64))
        np.testing.assert_allclose(expected[index_of(chosen)], expected.max(), rtol=3e-6, atol=1e-6)


def random_joint(rng, size):
    joint = rng.dirichlet(np.full(2**size, 0.3))
    sets = all_sets(size)
    matrix = np.zeros((size, size))
    for weight, outcome in zip(joint, sets, strict=True):
        if outcome.any():
            matrix[outcome == 1, outcome.sum() - 1] += weight
    return joint, matrix, joint[0]


@pytest.mark.parametrize("beta", [0.5, 1, 2])
@pytest.mark.parametrize("zero_division", [0.0, 1.0])
@pytest.mark.parametrize("size", [1, 6])
def test_gfm_is_optimal_for_any_joint(size, zero_division, beta):
    rng = np.random.default_rng(1)
    joints, matrices, nothing = zip(*(random_joint(rng, size) for _ in range(30)), strict=True)
    found = np.asarray(
        decisions.gfm_sets(
            np.array(matrices, np.float32),
            np.array(nothing, np.float32),
            beta=np.float32(beta),
            zero_division=zero_division,
        )
    )
    assert found.shape == (30, size)
    table = f_table(size, beta, zero_division)
    for joint, chosen in zip(joints, found, strict=True):
        expected = table @ joint
        np.testing.assert_allclose(expected[index_of(chosen)], expected.max(), rtol=3e-6)


@pytest.mark.parametrize("size", [1, 6])
def test_gfm_matrix(size):
    p = rows(size, seed=2)
    joint, nothing = decisions.gfm_matrix(p)
    sets = all_sets(size)
    for row, matrix, none in zip(p, joint, nothing, strict=True):
        weights = independent_joint(row.astype(np.float64))
        for label in range(size):
            for count in range(1, size + 1):
                member = (sets[:, label] == 1) & (sets.sum(1) == count)
                np.testing.assert_allclose(
                    matrix[label, count - 1], weights[member].sum(), atol=3e-7
                )
        np.testing.assert_allclose(none, weights[0], atol=1e-7)
    same = decisions.gfm_sets(joint, nothing)
    apart = decisions.expected_f_sets(p)
    table = f_table(size, 1, 1)
    for row, a, b in zip(p, same, apart, strict=True):
        expected = table @ independent_joint(row.astype(np.float64))
        np.testing.assert_allclose(expected[index_of(a)], expected[index_of(b)], atol=1e-6)


def test_many_labels_stay_exact():
    """Sums over 300 labels agree with convolutions in float64."""
    rng = np.random.default_rng(3)
    p = rng.random((3, 300)).astype(np.float32)
    p[1] = 0.5  # where taking one label out of the sum is hardest
    p[2] **= 8
    joint, _ = decisions.gfm_matrix(p)
    for row, matrix in zip(p.astype(np.float64), joint, strict=True):
        for label in (0, 150, 299):
            others = np.array([1.0])
            for q in np.delete(row, label):
                others = np.convolve(others, [1 - q, q])
            np.testing.assert_allclose(matrix[label], row[label] * others, atol=2e-6)


def test_masks_and_invalid_probabilities():
    p = rows(5, seed=4)
    keep = np.random.default_rng(5).random(p.shape) < 0.6
    found = decisions.expected_f_sets(np.where(keep, p, np.nan), where=keep)
    unmasked = decisions.expected_f_sets(np.where(keep, p, np.nan))
    np.testing.assert_array_equal(found, unmasked)
    assert not np.any(found & ~keep)
    for row in (0, 12, 20, 30):
        alone = decisions.expected_f_sets(p[row, keep[row]])
        np.testing.assert_array_equal(found[row, keep[row]], alone)
    traced = jax.jit(decisions.expected_f_sets)(jnp.where(keep, p, 7.0))  # not probabilities
    np.testing.assert_array_equal(traced, found)
    matrix, _ = decisions.gfm_matrix(np.where(keep, p, np.nan), where=keep)
    assert np.all(np.asarray(matrix)[~keep] == 0)
    lost = jnp.full((2, 3, 3), jnp.nan)
    assert not decisions.gfm_sets(lost, jnp.zeros(2)).any()


def test_shapes_and_transformations():
    p = rows(4, n=30).reshape(5, 6, 4)
    deep = decisions.expected_f_sets(p)
    np.testing.assert_array_equal(deep.reshape(30, 4), decisions.expected_f_sets(p.reshape(30, 4)))
    np.testing.assert_array_equal(jax.vmap(decisions.expected_f_sets)(p), deep)
    np.testing.assert_array_equal(decisions.expected_f_sets(p[0, 0]), deep[0, 0])
    matrix, nothing = decisions.gfm_matrix(p)
    assert matrix.shape == (5, 6, 4, 4)
    assert nothing.shape == (5, 6)
    assert decisions.gfm_sets(matrix, nothing).shape == p.shape


def test_it_pays_on_labels_drawn_from_the_probabilities():
    rng = np.random.default_rng(6)
    p = (rng.random((20_000, 5)) ** 2).astype(np.float32)
    truth = rng.random(p.shape) < p
    values = {}
    for zero_division in (0, 1):
        chosen = decisions.expected_f_sets(p, zero_division=zero_division)
        for name, found in (("best", chosen), ("half", p >= 0.5)):
            values[name] = metrics.f1(found, truth, average="samples", zero_division=zero_division)
        assert values["best"] > values["half"] + 0.01


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\].*were logits passed"):
        decisions.expected_f_sets(np.array([[0.5, 1.5]], np.float32))
    with pytest.raises(TypeError, match="probabilities must be a floating-point array"):
        decisions.expected_f_sets(np.array([[0, 1]]))
    with pytest.raises(ValueError, match=r"joint must have the shape \(..., L, L\), got \(3, 2\)"):
        decisions.gfm_sets(np.zeros((3, 2), np.float32), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="empty must have one entry per sample"):
        decisions.gfm_sets(np.zeros((4, 2, 2), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"zero_division must be a scalar, got shape \(2,\)"):
        decisions.gfm_sets(
            np.zeros((2, 3, 3), np.float32), np.zeros(2, np.float32), zero_division=np.ones(2)
        )
