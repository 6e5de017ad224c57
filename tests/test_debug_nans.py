"""Under jax_debug_nans, finite results are computed without NaN as an intermediate result."""

import functools
import inspect

import jax
import numpy as np
import pytest
from metric_calls import calls, first

from mllosses_jax import metrics
from mllosses_jax.metrics import streaming

N, L = 8, 4
CALLS = calls(L, 2)
RNG = np.random.default_rng(0)
SCORES = RNG.random((N, L)).round(1).astype(np.float32)
TRUTH = RNG.random((N, L)) < 0.4
ABSENT, UNIVERSAL = TRUTH.copy(), TRUTH.copy()
ABSENT[:, 1], UNIVERSAL[:, 1] = False, True
UNKNOWN = np.ones((N, L), bool)
UNKNOWN[:, 2] = UNKNOWN[3] = False  # a label and a sample without a known entry
BATCHES = [(TRUTH, None), (ABSENT, None), (UNIVERSAL, None), (TRUTH, UNKNOWN), (ABSENT, UNKNOWN)]


def assert_flag_changes_nothing(function, **options):
    """Compares a function with and without the flag; returns 0 if its result has NaN, else 1."""
    expected = function(**options)
    if any(np.isnan(leaf).any() for leaf in jax.tree.leaves(expected)):
        return 0
    with jax.debug_nans(True):
        found = function(**options)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    return 1


@pytest.mark.parametrize("name", sorted({*CALLS} - {"classification_report", "threshold_report"}))
def test_functions(name):
    call, kind = CALLS[name], first(CALLS[name])
    given = {} if kind is None else {kind: SCORES > 0.5 if kind == "predictions" else SCORES}
    done = sum(
        assert_flag_changes_nothing(functools.partial(call, labels=labels, where=where), **given)
        for labels, where in BATCHES
    )
    assert done > 0 or name == "calibration_curve"  # it has empty bins


RESULTS = [
    *("precision", "recall", "f1", "jaccard", "specificity", "negative_predictive_value"),
    *("balanced_accuracy", "g_mean", "h_mean", "matthews_corrcoef", "cohen_kappa"),
    *("hamming_loss", "compute"),
]


@pytest.mark.parametrize("name", RESULTS)
def test_counts(name):
    for labels, where in BATCHES:
        counts = streaming.ConfusionCounts.init(L).update(SCORES > 0.5, labels, where=where)
        result = getattr(counts, name)
        has_average = "average" in inspect.signature(result).parameters
        for average in ("micro", "macro", "weighted", None) if has_average else ("",):
            assert_flag_changes_nothing(result, **({"average": average} if has_average else {}))


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "compute", "best_thresholds"])
@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_histograms(name, inputs):
    for labels, where in BATCHES:
        histogram = streaming.ScoreHistogram.init(L, inputs=inputs, bins=64)
        result = getattr(histogram.update(SCORES, labels, where=where), name)
        has_average = "average" in inspect.signature(result).parameters
        for average in ("micro", "macro", "weighted", None) if has_average else ("",):
            assert_flag_changes_nothing(result, **({"average": average} if has_average else {}))


def test_roc_auc_of_a_label_without_positives():
    scores, labels = np.array([[0.9, 0.2], [0.1, 0.3]], np.float32), np.array([[1, 0], [0, 0]])
    histogram = streaming.ScoreHistogram.init(2, inputs="probabilities").update(scores, labels)
    with jax.debug_nans(True):
        assert histogram.roc_auc().estimate == 1


def test_means():
    means = streaming.SampleMeans.init(loss=metrics.label_ranking_loss, error=metrics.one_error)
    for labels, where in BATCHES:
        assert_flag_changes_nothing(means.update(SCORES, labels, where=where).compute)
