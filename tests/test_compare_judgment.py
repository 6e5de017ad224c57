"""Figures of merit of a comparison against scikit-learn, and the thresholds they use."""

import dataclasses
import math

import numpy as np
import pytest
from comparison_inputs import ROWS, make_dataset, make_outcome
from scipy.special import expit
from sklearn import metrics as sk

from mllosses_jax._core.intervals import simultaneous_level
from mllosses_jax.cli.score_metrics import evaluate
from mllosses_jax.compare import judgment, resampling
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.judgment import METRICS, OF_MANY, decide, judge, metric_names
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.thresholds import thresholds
from mllosses_jax.data.scores import ScoreTable
from mllosses_jax.decisions import ThresholdReport

RESAMPLES = 50
BASELINE, OTHER = "sigmoid_binary_cross_entropy", "zlpr_loss"


def known_of(dataset):
    return np.ones_like(dataset.y_test) if dataset.mask_test is None else dataset.mask_test


def calibration_error(probabilities, truth):
    """Computes the calibration error of one label, with bins (a, b] of equal width."""
    place = np.ceil(probabilities * 15).astype(int)
    excess = [np.sum((probabilities - truth)[place == each]) for each in np.unique(place)]
    return np.sum(np.abs(excess)) / len(truth)


def over_labels(metric, y, scores, known, defined=len):
    """Computes the mean of a metric over the labels for which it is defined."""
    columns = [(truth[k], s[k]) for truth, s, k in zip(y.T, scores.T, known.T, strict=True)]
    return np.mean([metric(*column) for column in columns if defined(column[0])])


def over_rows(metric, y, scores, known):
    """Computes the mean of a metric over the rows with a known label."""
    rows = [(t[k], s[k]) for t, s, k in zip(y, scores, known, strict=True) if k.any()]
    return np.mean([metric(*row) for row in rows])


def ranking_loss(truth, scores):
    return sk.label_ranking_loss([truth], [scores]) if 0 < truth.sum() < len(truth) else 0.0


def ndcg_at_5(truth, scores):
    return sk.ndcg_score([truth], [scores], k=5) if truth.any() else 0.0


def precision_at(k):
    return lambda truth, scores: truth[np.argsort(-scores, kind="stable")[:k]].sum() / k


def naive(dataset, outcome, model):
    """Computes all metrics of one model without the package."""
    y, known, scores = dataset.y_test, known_of(dataset), outcome.test_scores[model]
    decisions, p = outcome.decisions, expit(scores.astype(float))
    slope, bias = decisions.calibrator.slope, decisions.calibrator.bias
    label_thresholds, global_threshold = decisions.label_thresholds, decisions.global_threshold

    def f1(truth, sets):
        return sk.f1_score(truth, sets, zero_division=0)

    def mixed(truth):
        return 0 < truth.sum() < len(truth)

    return {
        "map": over_labels(sk.average_precision_score, y, scores, known, np.any),
        "roc_auc": over_labels(sk.roc_auc_score, y, scores, known, mixed),
        "macro_f1_at_half": over_labels(f1, y, p > 0.5, known),
        "macro_f1_tuned": over_labels(f1, y, scores >= label_thresholds, known),
        "micro_f1_tuned": f1(y[known], (scores >= global_threshold)[known]),
        "calibration_error": over_labels(lambda t, s: calibration_error(s, t), y, p, known),
        "calibration_error_platt": over_labels(
            lambda t, s: calibration_error(s, t), y, expit(slope * scores + bias), known
        ),
        "ranking_loss": over_rows(ranking_loss, y, scores, known),
        "lrap": over_rows(
            lambda t, s: sk.label_ranking_average_precision_score([t], [s]), y, scores, known
        ),
        "precision_at_1": over_rows(precision_at(1), y, scores, known),
        "precision_at_3": over_rows(precision_at(3), y, scores, known),
        "precision_at_5": over_rows(precision_at(5), y, scores, known),
        "ndcg_at_5": over_rows(ndcg_at_5, y, scores, known),
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("labels", "digits"), [(4, 1), (21, 6)])
def test_values_are_those_of_scikit_learn(labels, digits, masked):
    """There are few labels with many tied scores, or many labels without ties."""
    dataset = make_dataset(masked, labels)
    outcome = make_outcome(dataset, digits=digits)
    judged = judge(outcome, dataset, resampling.draw(RESAMPLES, ROWS))
    assert list(judged.values) == list(judged.replicates) == metric_names(labels)
    assert set(METRICS) - set(judged.values) == (set() if labels >= 20 else set(OF_MANY))
    for model in range(2):
        expected = naive(dataset, outcome, model)
        for name, values in judged.values.items():
            assert values[model] == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize("masked", [False, True])
def test_a_resample_of_each_row_once_gives_the_value(masked):
    dataset = make_dataset(masked, 21)
    judged = judge(make_outcome(dataset), dataset, np.ones((ROWS, 2), np.float32))
    for name, replicates in judged.replicates.items():
        np.testing.assert_allclose(replicates, judged.values[name].mean(), atol=1e-6, err_msg=name)


def test_decisions_reach_their_thresholds():
    dataset = make_dataset()
    outcome = make_outcome(dataset)
    thresholds = outcome.decisions.label_thresholds
    thresholds[0] = outcome.test_scores[0, 5, 0]
    outcome.test_scores[0, 6, 0] = 0
    sets = decide(outcome)
    assert sets["macro_f1_tuned"][0, 5, 0]
    assert not sets["macro_f1_at_half"][0, 6, 0]  # sigmoid > 0.5
    np.testing.assert_array_equal(sets["macro_f1_tuned"], outcome.test_scores >= thresholds)
    expected = outcome.test_scores >= outcome.decisions.global_threshold
    np.testing.assert_array_equal(sets["micro_f1_tuned"], expected)


@pytest.fixture(scope="module")
def weights():
    return resampling.draw(200, ROWS)


def test_differences_are_paired(weights):
    dataset = make_dataset()
    several = judge(make_outcome(dataset, models=3), dataset, weights)
    one = judge(make_outcome(dataset, models=1, seed=2), dataset, weights)
    for metric in several.values:
        same = several.difference(several, metric)
        assert (same.mean, same.low, same.high) == (0, 0, 0)
        assert not same.excludes_zero
    apart = several.difference(one, "map")
    assert apart.mean == pytest.approx(several.values["map"].mean() - one.values["map"][0])
    assert apart.low < apart.mean < apart.high
    back = one.difference(several, "map")
    assert (back.mean, back.low, back.high) == pytest.approx((-apart.mean, -apart.high, -apart.low))
    # A lead that is the same on all resamples and seeds is certain, however wide the intervals are.
    ahead = dataclasses.replace(
        several,
        values={"map": several.values["map"] + 1e-3},
        replicates={"map": several.replicates["map"] + 1e-3},
    )
    lead = ahead.difference(several, "map")
    assert (lead.low, lead.mean, lead.high) == pytest.approx((1e-3, 1e-3, 1e-3))
    assert lead.excludes_zero
    assert several.figure("map").high - several.figure("map").low > 0.05


def test_seeds_of_either_loss_are_in_a_difference(weights):
    """If one side has several models, their variation counts, whichever side is the baseline."""
    dataset = make_dataset()
    one = judge(make_outcome(dataset, models=1, varies=False), dataset, weights)
    drawn_once = judge(make_outcome(dataset, models=1, seed=2, varies=True), dataset, weights)
    several = judge(make_outcome(dataset, models=3, seed=3), dataset, weights)
    assert one.figure("map").decided
    assert not drawn_once.figure("map").decided
    for first, second, decided in ((one, several, True), (one, drawn_once, False)):
        for each in (first.difference(second, "map"), second.difference(first, "map")):
            assert each.decided is decided


def test_divergence_is_not_a_number_and_never_marked(weights):
    dataset = make_dataset()
    outcome = make_outcome(dataset, skill=3)
    outcome.test_scores[1, 3, 2] = np.nan
    diverged = judge(outcome, dataset, weights)
    good = judge(make_outcome(dataset, skill=0), dataset, weights)
    assert list(diverged.values) == list(good.values)
    for metric, values in diverged.values.items():
        assert np.isnan(values).all()
        figure = diverged.figure(metric)
        assert math.isnan(figure.mean)
        assert math.isnan(figure.low)
        for difference in (
            diverged.difference(good, metric),
            good.difference(diverged, metric),
        ):
            assert math.isnan(difference.mean)
            assert not difference.excludes_zero


def test_a_test_part_without_a_positive(weights):
    dataset = dataclasses.replace(make_dataset(), y_test=np.zeros((ROWS, 4)))
    judged = judge(make_outcome(dataset), dataset, weights)
    for metric in ("map", "roc_auc"):
        assert np.isnan(judged.values[metric]).all()
        assert math.isnan(judged.figure(metric).low)
    assert judged.values["micro_f1_tuned"].tolist() == [0, 0]
    assert judged.figure("calibration_error").low < judged.values["calibration_error"].mean()


def make_comparison(dataset, *outcomes):
    """Returns a comparison of the first default losses, with these outcomes."""
    comparison = Comparison(dataset, Settings(), baseline=BASELINE)
    for name, outcome in zip((BASELINE, OTHER, "hinge_loss"), outcomes, strict=False):
        comparison.add(parse(name), outcome)
    return comparison


@pytest.mark.parametrize("models", [1, 3])
def test_simultaneous_intervals_hold_together(models, monkeypatch):
    """Each is that of one level per metric, at least as wide as the plain one, and marks by it."""
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 200)
    dataset = make_dataset()
    outcomes = [
        make_outcome(dataset, models=models, seed=seed, skill=skill)
        for seed, skill in ((1, 1.0), (2, 1.3), (3, 2.0))
    ]
    pair = make_comparison(dataset, *outcomes[:2])
    assert pair.simultaneous == pair.differences  # one loss is compared
    comparison = make_comparison(dataset, *outcomes)
    assert comparison.differences[OTHER] == pair.differences[OTHER]
    assert comparison.simultaneous.keys() == comparison.differences.keys()
    base = comparison.judgments[BASELINE]
    wider = 0
    for label, by_metric in comparison.differences.items():
        assert list(comparison.simultaneous[label]) == list(by_metric)
        for metric, plain in by_metric.items():
            together = comparison.simultaneous[label][metric]
            assert together.mean == plain.mean
            assert together.low <= plain.low
            assert together.high >= plain.high
            wider += together.high > plain.high
            compared = [name for name in comparison.differences if metric in by_metric]
            level = simultaneous_level(
                [comparison.judgments[c].values[metric] - base.values[metric] for c in compared],
                [
                    comparison.judgments[c].replicates[metric] - base.replicates[metric]
                    for c in compared
                ],
                num_rows=ROWS,
            )
            assert together == comparison.judgments[label].difference(base, metric, level)
            mark = comparison.mark(label, metric)
            assert bool(mark) == together.excludes_zero
            assert not mark or plain.excludes_zero
    assert wider > len(comparison.differences)


def test_a_figure_has_the_agreed_keys():
    dataset = make_dataset(masked=True)
    comparison = make_comparison(
        dataset, make_outcome(dataset, models=1), make_outcome(dataset, models=3, seed=2)
    )
    for label, models in ((BASELINE, 1), (OTHER, 3)):
        figures = comparison.results[label]
        assert list(figures) == [*metric_names(4), "seconds", "cpu_seconds"]
        for name, figure in figures.items():
            assert list(figure) == ["mean", "low", "high", "values"]
            assert figure["low"] <= figure["mean"] <= figure["high"]
            assert np.mean(figure["values"]) == pytest.approx(figure["mean"])
            assert len(figure["values"]) == (1 if name.endswith("seconds") else models)
            assert all(type(value) is float for value in figure["values"])
        assert (figures["seconds"]["mean"], figures["cpu_seconds"]["mean"]) == (3, 5)
    assert list(comparison.differences) == [OTHER]
    assert list(comparison.differences[OTHER]) == metric_names(4)


def test_what_did_not_converge_is_never_best():
    dataset = make_dataset()
    diverged = make_outcome(dataset, validation=-math.inf)
    diverged.test_scores[:] = np.nan
    comparison = make_comparison(dataset, diverged, make_outcome(dataset, validation=0.1))
    assert comparison.best == OTHER
    assert comparison.recommended == BASELINE  # no lead can be measured
    comparison = make_comparison(dataset, make_outcome(dataset, validation=0.1), diverged)
    assert comparison.best == comparison.recommended == BASELINE


@pytest.mark.parametrize(
    ("skill", "seed", "validation", "best", "recommended"),
    [
        (3.0, 1, 0.6, OTHER, OTHER),  # the best on validation, far ahead on test
        (1.2, 4, 0.6, OTHER, BASELINE),  # not certainly ahead
        (0.0, 1, 0.6, OTHER, BASELINE),  # certainly behind
        (3.0, 1, 0.4, BASELINE, BASELINE),  # far ahead on test, but not chosen on validation
    ],
)
def test_validation_chooses_and_the_test_part_confirms(skill, seed, validation, best, recommended):
    dataset = make_dataset()
    other = make_outcome(dataset, models=3, seed=seed, skill=skill, validation=validation)
    comparison = make_comparison(dataset, make_outcome(dataset, models=3), other)
    lead = comparison.differences[OTHER]["map"]
    assert lead.excludes_zero == (skill != 1.2)
    assert (lead.mean > 0) == (skill > 1)
    assert (comparison.best, comparison.recommended) == (best, recommended)


@pytest.mark.parametrize("kind", ["by_label", "common"])
@pytest.mark.parametrize("masked", [False, True])
def test_thresholds_of_a_loss_are_files_to_evaluate_with(masked, kind, weights, tmp_path):
    dataset = make_dataset(masked)
    outcome = make_outcome(dataset, digits=1)
    getattr(thresholds(outcome, dataset, weights, loss="a"), kind).save(tmp_path / "a.json")
    report = ThresholdReport.load(tmp_path / "a.json")
    by_label, common, _ = outcome.decisions
    for found in (report.thresholds, report.low, report.high):
        np.testing.assert_array_equal(found, by_label if kind == "by_label" else [common] * 4)
    assert report.label_names == dataset.label_names
    assert report.settings["loss"] == "a"
    known = known_of(dataset)
    np.testing.assert_array_equal(report.num_positives, (dataset.y_test & known).sum(0))
    for sets, by_label, place in (
        (outcome.test_scores >= report.thresholds, report.f, "tuned"),
        (outcome.test_scores > 0, report.baseline_f, "baseline"),
    ):
        expected = [
            [sk.f1_score(y[k], z[k], zero_division=0) for y, z, k in columns]
            for columns in (zip(dataset.y_test.T, s.T, known.T, strict=True) for s in sets)
        ]
        np.testing.assert_allclose(by_label, np.mean(expected, 0), rtol=1e-6)
        assert getattr(report.macro, place) == pytest.approx(np.mean(expected), rel=1e-6)
        micro = [sk.f1_score(dataset.y_test[known], z[known]) for z in sets]
        assert getattr(report.micro, place) == pytest.approx(np.mean(micro), rel=1e-6)
    for gain in (report.macro, report.micro):
        assert gain.low <= gain.gain <= gain.high
    table = ScoreTable(
        outcome.test_scores[0], dataset.y_test & known, known, dataset.label_names, "logits"
    )
    found = evaluate(table, report)
    chosen = (table.scores >= report.thresholds)[known]
    expected = sk.f1_score(dataset.y_test[known], chosen)
    assert found.decisions["f1_micro"] == pytest.approx(expected, rel=1e-6)
