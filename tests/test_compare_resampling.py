"""Resampled metrics against scikit-learn on rows that are actually repeated."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import metrics
from mllosses_jax.compare import resampling

MODELS, ROWS, LABELS, RESAMPLES = 2, 40, 5, 3


def make(masked, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random((ROWS, LABELS)) < [0.5, 0.3, 0.08, 0.2, 0.95]
    where = rng.random((ROWS, LABELS)) < 0.8 if masked else np.ones((ROWS, LABELS), bool)
    where[0] &= not masked  # a row without a known label
    scores = (rng.normal(size=(MODELS, ROWS, LABELS)) + labels).round(1).astype(np.float32)
    return scores, labels, where


def repeated(weights, index):
    return np.repeat(np.arange(ROWS), weights[:, index].astype(int))


def replicates(scores, labels, where, weights, **options):
    empty = {"predictions": {}, "row_values": {}}
    of_models = resampling.figures(
        scores, labels=labels, where=where, weights=weights, **(empty | options)
    )
    return {name: values.mean(0) for name, values in of_models.items()}


def mean_over_labels(function, labels, scores, known, defined):
    values = [
        function(labels[k, j], scores[k, j]) for j, k in enumerate(known.T) if defined(labels[k, j])
    ]
    return np.mean(values) if values else np.nan


def calibration_error(truth, p):
    """Computes the calibration error, with bins of equal width that contain their upper edges."""
    bins = np.ceil(p.astype(float) * 15)
    excess = [abs((p - truth)[bins == index].sum()) for index in np.unique(bins)]
    return sum(excess) / len(p)


@pytest.mark.parametrize("block", [resampling.BLOCK, 50])
@pytest.mark.parametrize("masked", [False, True])
def test_replicates_are_those_of_repeated_rows(masked, block, monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", block)  # the small one takes labels one by one
    scores, labels, where = make(masked)
    sets = {"macro at 0": scores > 0, "micro at 1": scores > 1}
    values = np.random.default_rng(1).random((MODELS, ROWS)).astype(np.float32)
    values[:, 3] = np.nan
    probabilities = 1 / (1 + np.exp(-scores))
    weights = resampling.draw(RESAMPLES, ROWS)
    found = replicates(
        jnp.asarray(scores),
        labels,
        where,
        weights,
        predictions={name: jnp.asarray(chosen) for name, chosen in sets.items()},
        row_values={"mean": jnp.asarray(values)},
        probabilities=probabilities,
    )
    names = {"map", "roc_auc", "mean", "calibration_error", *sets}
    assert set(found) == names
    for index in range(RESAMPLES):
        rows = repeated(weights, index)
        y, known = labels[rows], where[rows]
        expected = {name: [] for name in names}
        for model in range(MODELS):
            s = scores[model, rows]
            expected["map"].append(
                mean_over_labels(sk.average_precision_score, y, s, known, np.any)
            )
            expected["roc_auc"].append(
                mean_over_labels(
                    sk.roc_auc_score, y, s, known, lambda truth: 0 < truth.sum() < len(truth)
                )
            )
            expected["macro at 0"].append(
                mean_over_labels(
                    lambda truth, part: sk.f1_score(truth, part > 0, zero_division=0),
                    y, s, known, lambda truth: len(truth) > 0,
                )
            )  # fmt: skip
            expected["micro at 1"].append(sk.f1_score(y[known], s[known] > 1, zero_division=0))
            expected["mean"].append(np.nanmean(values[model, rows]))
            p = probabilities[model, rows]
            expected["calibration_error"].append(
                np.mean([calibration_error(y[k, j], p[k, j]) for j, k in enumerate(known.T)])
            )
        for name in names:
            assert found[name].dtype == np.float64
            assert found[name][index] == pytest.approx(np.mean(expected[name]), abs=1e-6), name


def test_weights_of_one_give_the_metrics_themselves():
    scores, labels, where = make(masked=True)
    p = 1 / (1 + np.exp(-scores))
    p[:, :3] = np.reshape([0, 1, 0.2], (3, 1))  # edges of bins
    once = np.ones((ROWS, 1), np.float32)
    found = resampling.figures(
        scores,
        predictions={"macro": scores > 0.5, "micro": scores > 0.5},
        row_values={},
        labels=labels,
        where=where,
        weights=once,
        probabilities=p,
    )
    for model in range(MODELS):
        arrays = jnp.asarray(labels), jnp.asarray(where)

        def expected(metric, scores, arrays=arrays, **options):
            return metric(jnp.asarray(scores), arrays[0], where=arrays[1], **options)

        sets = scores[model] > 0.5
        values = {
            "map": expected(metrics.average_precision, scores[model]),
            "roc_auc": expected(metrics.roc_auc, scores[model]),
            "calibration_error": expected(
                metrics.expected_calibration_error, p[model], inputs="probabilities"
            ),
            "macro": expected(metrics.f1, sets, average="macro"),
            "micro": expected(metrics.f1, sets, average="micro"),
        }
        for name, value in values.items():
            assert found[name][model, 0] == pytest.approx(float(value), abs=1e-6), name


def test_dense_and_rare_labels_of_one_data_set():
    rng = np.random.default_rng(2)
    labels = rng.random((300, 4)) < [0.9, 0.5, 0.02, 0.0]
    labels[:2, 2] = True
    scores = rng.normal(size=(300, 4)).astype(np.float32)
    weights = resampling.draw(3, 300)
    precision, area = resampling.rankings(scores, labels, np.ones_like(labels), weights)
    assert np.isnan(precision[3]).all()
    assert np.isnan(area[3]).all()
    for label in range(3):
        for index in range(3):
            w = weights[:, index]
            expected = sk.average_precision_score(
                labels[:, label], scores[:, label], sample_weight=w
            )
            assert precision[label, index] == pytest.approx(expected, abs=1e-6)
            expected = sk.roc_auc_score(labels[:, label], scores[:, label], sample_weight=w)
            assert area[label, index] == pytest.approx(expected, abs=1e-6)


def test_what_a_resample_does_not_define_is_not_a_number():
    labels = np.zeros((4, 1), bool)
    labels[0] = True
    weights = np.asarray([[0, 4], [2, 0], [1, 0], [1, 0]], np.float32)
    found = replicates(np.ones((1, 4, 1)), labels, np.ones_like(labels), weights)
    np.testing.assert_array_equal(found["map"], [np.nan, 1])
    np.testing.assert_array_equal(found["roc_auc"], [np.nan, np.nan])


def test_resamples_have_as_many_rows_and_are_repeatable():
    one, other = resampling.draw(50, ROWS), resampling.draw(50, ROWS)
    np.testing.assert_array_equal(one, other)
    assert one.shape == (ROWS, 50)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one.sum(0), ROWS)
    assert len(np.unique(one, axis=1).T) == 50
    variances = resampling.draw(2000, ROWS).var(1)
    np.testing.assert_allclose(variances, 1 - 1 / ROWS, rtol=0.2)


def test_resamples_on_which_two_losses_agree_have_the_same_figures():
    """Zeros among the differences tell how many rows they depend on."""
    scores, labels, where = make(masked=False)
    other = scores.copy()
    other[:, 7] = -other[:, 7]
    values = np.abs(scores).mean(2)
    changed = values.copy()
    changed[:, 7] += 1
    weights = resampling.draw(400, ROWS)

    def figures(scores, values):
        return replicates(
            scores, labels, where, weights,
            predictions={"macro": scores > 0, "micro": scores > 0},
            row_values={"mean": values}, probabilities=1 / (1 + np.exp(-scores)),
        )  # fmt: skip

    first, second = figures(scores, values), figures(other, changed)
    without = weights[7] == 0
    assert 100 < without.sum() < 200
    for name, replicate in first.items():
        difference = np.abs(second[name] - replicate)
        assert difference[without].max() < 1e-6, name
        assert (difference[~without] > 1e-6).mean() > 0.95, name


def test_figures_of_a_model_do_not_depend_on_the_others():
    scores, labels, where = make(masked=True)
    weights = resampling.draw(30, ROWS)
    sets = {"macro": scores > 0}
    one = replicates(scores[:1], labels, where, weights, predictions={"macro": sets["macro"][:1]})
    other = replicates(scores[1:], labels, where, weights, predictions={"macro": sets["macro"][1:]})
    both = replicates(scores, labels, where, weights, predictions=sets)
    for name, values in both.items():
        np.testing.assert_allclose(values, (one[name] + other[name]) / 2, atol=1e-12)
