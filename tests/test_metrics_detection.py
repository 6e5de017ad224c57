"""Points of the ROC curve and measures of detection, against scikit-learn's curve and scipy."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from mllosses_jax import decisions, metrics


def columns(masked, n=50, labels=5):
    rng = np.random.default_rng(7)
    truth = rng.random((n, labels)) < 0.3
    scores = (rng.standard_normal(truth.shape) + truth).round(1).astype(np.float32)
    return scores, truth, rng.random(truth.shape) < (0.7 if masked else 1)


def curves(scores, truth, where):
    """Returns the false and the true positive rate of each label at every cut-off."""
    for s, y, counted in zip(scores.T, truth.T, where.T, strict=True):
        yield roc_curve(y[counted], s[counted].astype(float), drop_intermediate=False)[:2]


@pytest.mark.parametrize("floor", [0, 0.35, 0.9, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_sensitivity_and_specificity_at_each_other(masked, floor):
    scores, truth, where = columns(masked)
    sensitive, at = metrics.sensitivity_at_specificity(
        scores, truth, specificity=floor, average=None, where=where
    )
    specific, cuts = metrics.specificity_at_sensitivity(
        scores, truth, sensitivity=floor, average=None, where=where
    )
    for label, (fpr, tpr) in enumerate(curves(scores, truth, where)):
        assert sensitive[label] == pytest.approx(tpr[1 - fpr >= floor - 1e-9].max())
        assert specific[label] == pytest.approx((1 - fpr)[tpr >= floor - 1e-9].max())
    # The thresholds attain the values, and the other rate is the best at that value.
    for thresholds, values, kind in ((at, sensitive, True), (cuts, specific, False)):
        sets = np.asarray(decisions.apply_thresholds(scores, thresholds))
        for label, (fpr, tpr) in enumerate(curves(scores, truth, where)):
            counted, y = where[:, label], truth[:, label]
            attained = sets[counted & (y == kind), label].mean()
            assert attained == pytest.approx(values[label] if kind else 1 - values[label])
            other = sets[counted & (y != kind), label].mean()
            ways = np.isclose(tpr if kind else fpr, attained)
            assert other == pytest.approx(min(fpr[ways]) if kind else max(tpr[ways]))


def test_labels_of_one_class_have_no_point():
    scores, truth, _ = columns(False)
    truth[:, 0], truth[:, 1] = False, True
    for metric, floor in (
        (metrics.sensitivity_at_specificity, "specificity"),
        (metrics.specificity_at_sensitivity, "sensitivity"),
    ):
        values, _ = metric(scores, truth, **{floor: 0.5}, average=None)
        assert np.isnan(values).tolist() == [True, True, False, False, False]
        macro, _ = metric(scores, truth, **{floor: 0.5})
        assert macro == pytest.approx(np.mean(values[2:]))
        with pytest.raises(ValueError, match=rf"{floor} must lie in \[0, 1\], got 1.5"):
            metric(scores, truth, **{floor: 1.5})


@pytest.mark.parametrize("masked", [False, True])
def test_equal_error_rate_lies_where_the_curve_crosses_the_diagonal(masked):
    scores, truth, where = columns(masked)
    found = metrics.equal_error_rate(scores, truth, average=None, where=where)
    for label, (fpr, tpr) in enumerate(curves(scores, truth, where)):
        grid = np.linspace(0, 1, 200_001)
        gap = np.abs(np.interp(grid, fpr + np.arange(len(fpr)) * 1e-12, tpr) - (1 - grid))
        assert found[label] == pytest.approx(grid[gap.argmin()], abs=2e-5)


def test_equal_error_rate_of_perfect_reversed_and_equal_scores():
    truth = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]])
    scores = np.stack([truth[:, 0], -truth[:, 0], 0 * truth[:, 0]], axis=1).astype(np.float32)
    found = metrics.equal_error_rate(scores, truth, average=None)
    np.testing.assert_allclose(found, [0, 1, 0.5])


def test_d_prime():
    areas = np.array([0.0, 0.02, 0.5, 0.97, 1.0], np.float32)
    np.testing.assert_allclose(
        metrics.d_prime(areas), np.sqrt(2) * norm.ppf(areas.astype(float)), rtol=2e-6, atol=1e-7
    )
    with pytest.raises(ValueError, match=r"roc_auc must lie in \[0, 1\], got 1.2"):
        metrics.d_prime(1.2)
