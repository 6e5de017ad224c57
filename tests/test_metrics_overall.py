"""The table of overall and per-class metrics, against ports of the code of two papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import metrics


def scores_and_labels(seed=0, n=60, labels=6):
    """Returns distinct logits and labels drawn from them; one label is never predicted."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, labels)).astype(np.float32)
    logits[:, 1] -= 9
    truth = rng.random((n, labels)) < 1 / (1 + np.exp(-2 * logits))
    truth[0, 1] = True
    truth[3] = False
    return logits, truth


def like_ml_gcn(predicted, truth):
    """ML-GCN in float64: labels never predicted count as predicted once; CF1 uses CP and CR."""
    true = np.sum(predicted & truth, axis=0, dtype=float)
    made = np.maximum(np.sum(predicted, axis=0, dtype=float), 1)
    actual = np.sum(truth, axis=0, dtype=float)
    op, recall = true.sum() / made.sum(), true.sum() / actual.sum()
    cp, cr = np.mean(true / made), np.mean(true / actual)
    of1, cf1 = 2 * op * recall / (op + recall), 2 * cp * cr / (cp + cr)
    return 100 * np.array([op, recall, of1, cp, cr, cf1])


def like_asl(predicted, truth):
    """ASL in float64: a label without true positives counts 0 everywhere; CF1 is the mean of F1."""
    rows = []
    for p, y in zip(predicted.T, truth.T, strict=True):
        tp, fp, fn = np.sum(p & y), np.sum(p & ~y), np.sum(y & ~p)
        precision, recall = (tp / (tp + fp), tp / (tp + fn)) if tp > 0 else (0, 0)
        rows.append((precision, recall, 2 * tp / (2 * tp + fp + fn) if tp > 0 else 0))
    op, recall = np.sum(predicted & truth) / np.sum(predicted), np.mean(predicted[truth])
    return 100 * np.array([op, recall, 2 * op * recall / (op + recall), *np.mean(rows, axis=0)])


@pytest.mark.parametrize("top", [None, 3])
def test_reproduces_ml_gcn(top):
    logits, truth = scores_and_labels()
    predicted = logits >= 0
    if top:
        rank = np.argsort(np.argsort(-logits, axis=1), axis=1)
        assert np.any(predicted & (rank >= top))
        assert np.any(~predicted & (rank < top))
        predicted &= rank < top
    table = metrics.overall_and_per_class(logits, truth, threshold=0, top=top, min_predictions=1)
    np.testing.assert_allclose(table[1:], like_ml_gcn(predicted, truth), rtol=1e-6)
    assert list(table._asdict()) == ["mAP", "OP", "OR", "OF1", "CP", "CR", "CF1"]
    np.testing.assert_allclose(
        table.mAP, 100 * sk.average_precision_score(truth, logits), rtol=1e-5
    )


def test_reproduces_asl():
    logits, truth = scores_and_labels(1)
    truth[:, 4] = False  # a label that never occurs counts 0
    probabilities = 1 / (1 + np.exp(-logits))
    table = metrics.overall_and_per_class(probabilities, truth, threshold=0.8, cf1="mean")
    np.testing.assert_allclose(table[1:], like_asl(probabilities > 0.8, truth), rtol=1e-6)
    answer = [
        sk.average_precision_score(truth[:, j], logits[:, j]) if j != 4 else 0 for j in range(6)
    ]
    np.testing.assert_allclose(table.mAP, 100 * np.mean(answer), rtol=1e-5)


def test_thresholds_per_label_and_plain_overall_precision():
    logits, truth = scores_and_labels(2)
    thresholds = np.linspace(-1, 1, 6).astype(np.float32)
    predicted = logits >= thresholds
    table = metrics.overall_and_per_class(logits, truth, threshold=thresholds)
    np.testing.assert_allclose(table.OP, 100 * np.mean(truth[predicted]), rtol=1e-6)
    answer = 100 * sk.precision_score(truth, predicted, average="macro", zero_division=0)
    np.testing.assert_allclose(table.CP, answer, rtol=1e-6)


@pytest.mark.parametrize("top", [None, 2])
def test_masked_entries_are_as_if_deleted(top):
    logits, truth = scores_and_labels(3)
    where = np.random.default_rng(4).random(truth.shape) < 0.6
    where[:, 5] = False  # a label without any entry
    where[7] = False
    predicted = where & (logits >= 0.1)
    if top:
        rank = np.argsort(np.argsort(np.where(where, -logits, np.inf), axis=1), axis=1)
        predicted &= rank < top
    table = metrics.overall_and_per_class(
        np.where(where, logits, np.nan),
        np.where(where, truth, np.nan),
        threshold=0.1,
        top=top,
        min_predictions=1,
        where=where,
    )
    answer = like_ml_gcn(predicted[:, :5], (truth & where)[:, :5])
    np.testing.assert_allclose(table[1:], answer, rtol=1e-6)
    answer = [
        sk.average_precision_score(truth[keep, j], logits[keep, j])
        for j, keep in enumerate(where.T[:5])
    ]
    np.testing.assert_allclose(table.mAP, 100 * np.mean(answer), rtol=1e-5)


def test_ties_nan_and_nothing():
    tied = jnp.zeros((2, 3), jnp.float32)
    truth = jnp.array([[1, 0, 0], [0, 1, 0]])
    table = metrics.overall_and_per_class(tied, truth, threshold=0, top=1)
    assert table.OP == 50  # label 0 is the top one of either sample
    assert table.OR == 50
    nothing = metrics.overall_and_per_class(tied, truth, threshold=1)
    np.testing.assert_array_equal(nothing[1:], 0)
    broken = metrics.overall_and_per_class(tied.at[0, 0].set(jnp.nan), truth, threshold=0)
    np.testing.assert_array_equal(broken, np.nan)
    empty = metrics.overall_and_per_class(tied, truth, threshold=0, where=jnp.zeros((1, 1), bool))
    np.testing.assert_array_equal(empty, np.nan)


def test_under_jit_and_x64():
    logits, truth = scores_and_labels(5)
    compiled = jax.jit(
        lambda s, t: metrics.overall_and_per_class(s, truth, threshold=t, min_predictions=1)
    )
    answer = like_ml_gcn(logits >= 0.3, truth)
    np.testing.assert_allclose(compiled(logits, 0.3)[1:], answer, rtol=1e-6)
    with jax.enable_x64(True):
        table = metrics.overall_and_per_class(logits, truth, threshold=0.3, min_predictions=1)
        assert {value.dtype for value in table} == {jnp.dtype("float64")}
        np.testing.assert_allclose(table[1:], answer, rtol=1e-13)


def test_bad_input_is_named():
    logits, truth = scores_and_labels()
    ours = metrics.overall_and_per_class
    with pytest.raises(TypeError, match="threshold"):
        ours(logits, truth)
    with pytest.raises(ValueError, match=r"threshold must be a scalar or have shape \(6,\)"):
        ours(logits, truth, threshold=np.zeros(3))
    with pytest.raises(ValueError, match=r"top must be between 1 and the number of labels, 6"):
        ours(logits, truth, threshold=0, top=7)
    with pytest.raises(ValueError, match="cf1 must be one of 'harmonic', 'mean'"):
        ours(logits, truth, threshold=0, cf1="macro")
    with pytest.raises(ValueError, match="min_predictions must lie in"):
        ours(logits, truth, threshold=0, min_predictions=-1)
