"""Probabilities of drawing rows, against the two draws that they stand for in exact numbers."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from mllosses_jax.data import DataError, balanced_sampling_weights

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]])
KNOWN = np.array([[1, 1, 1], [0, 1, 0], [1, 1, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]], bool)


def drawn(y, known):
    """Returns the exact probability of each row, from a draw of a label and one of its rows."""
    rows = range(len(y))
    groups = [[i for i in rows if known[i][c] and y[i][c] > 0] for c in range(len(y[0]))]
    groups.append([i for i in rows if any(known[i]) and not any(i in group for group in groups)])
    groups = [group for group in groups if group]
    return [
        sum(Fraction(1, len(group)) for group in groups if i in group) / len(groups) for i in rows
    ]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_every_label_is_drawn_equally_often(dtype):
    for mask in (None, KNOWN, KNOWN[:, ::-1]):
        found = balanced_sampling_weights(LABELS.astype(dtype), mask=mask)
        assert found.dtype == np.float64
        wanted = drawn(LABELS, np.ones_like(KNOWN) if mask is None else mask)
        np.testing.assert_allclose(found, [float(share) for share in wanted], rtol=1e-14)
        np.testing.assert_allclose(found.sum(), 1, rtol=1e-14)
    soft = balanced_sampling_weights(jnp.array([[0.5, 0.0], [0.1, 1.0]]))
    np.testing.assert_allclose(soft, [1 / 4, 3 / 4], rtol=1e-14)


def test_without_common_rows_the_shares_of_labels_are_equal():
    rng = np.random.default_rng(0)
    which = rng.choice(5, 400, p=[0.6, 0.3, 0.06, 0.03, 0.01])
    y = np.eye(5, dtype=bool)[which][:, :4]  # the last of the five is a row without a label
    weights = balanced_sampling_weights(y)
    np.testing.assert_allclose(weights @ y, np.full(4, 1 / 5), rtol=1e-12)


def test_samplers_take_them():
    weights = balanced_sampling_weights(LABELS)
    rows = np.random.default_rng(0).choice(len(LABELS), 60_000, p=weights)
    share = np.bincount(rows, minlength=len(LABELS)) / len(rows)
    np.testing.assert_allclose(share, weights, atol=5 * np.sqrt(0.25 / len(rows)))
    rows = jax.random.choice(jax.random.key(0), len(LABELS), (60_000,), p=jnp.asarray(weights))
    share = np.bincount(rows, minlength=len(LABELS)) / len(rows)
    np.testing.assert_allclose(share, weights, atol=5 * np.sqrt(0.25 / len(rows)))
    data = pytest.importorskip("torch").utils.data
    assert len(list(data.WeightedRandomSampler(weights, num_samples=7))) == 7


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"y must be \(N, L\), not \(3,\)"):
        balanced_sampling_weights([1, 0, 1])
    with pytest.raises(ValueError, match=r"mask \(6, 1\) must have the shape of y \(6, 3\)"):
        balanced_sampling_weights(LABELS, mask=KNOWN[:, :1])
    with pytest.raises(
        ValueError, match=r"balanced_sampling_weights: labels must .*got -1 at \(0, 0\)"
    ):
        balanced_sampling_weights(-LABELS)
    with pytest.raises(DataError, match=r"y is a sparse csr_\w+; give y.toarray\(\)"):
        balanced_sampling_weights(sparse.csr_array(LABELS))
    for y, mask in ((LABELS, np.zeros_like(KNOWN)), (np.zeros((0, 3)), None)):
        with pytest.raises(ValueError, match="y has no known label, so there is no row to draw"):
            balanced_sampling_weights(y, mask=mask)
    unknown = np.where(KNOWN, LABELS, -1)
    found = balanced_sampling_weights(unknown, mask=KNOWN)
    np.testing.assert_array_equal(found, balanced_sampling_weights(LABELS, mask=KNOWN))
