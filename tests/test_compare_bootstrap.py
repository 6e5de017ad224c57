"""Bootstrap and per-seed figures against scikit-learn on rows that are really repeated."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax.cli.evaluation import evaluate
from mllosses_jax.cli.score_files import ScoreTable
from mllosses_jax.compare import bootstrap
from mllosses_jax.compare.experiment import Outcome
from mllosses_jax.compare.folder import Folder
from mllosses_jax.compare.judgement import (
    HIGHER_IS_BETTER,
    Difference,
    Judgement,
    best,
    decide,
    differences,
    judge,
    summary,
)
from mllosses_jax.compare.tuned import threshold_report
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport

SEEDS, ROWS, LABELS, RESAMPLES = 2, 40, 4, 6


def make_dataset(masked):
    generator = np.random.default_rng(0)
    y = generator.random((ROWS, LABELS)) < [0.5, 0.3, 0.1, 0.2]
    mask = generator.random((ROWS, LABELS)) < 0.8
    mask[0] = False  # a row of which nothing is known
    return Dataset(
        name="toy",
        label_names=tuple("abcd"),
        x_train=np.zeros((4, 1)),
        y_train=np.zeros((4, LABELS)),
        x_test=np.zeros((ROWS, 1)),
        y_test=y,
        mask_test=mask if masked else None,
    )


def make_outcome(seed=1):
    generator = np.random.default_rng(seed)
    return Outcome(
        test_scores=generator.normal(size=(SEEDS, ROWS, LABELS)).round(1).astype(np.float32),
        label_thresholds=generator.normal(size=(SEEDS, LABELS)).astype(np.float32),
        global_thresholds=generator.normal(size=SEEDS).astype(np.float32),
        weight_decay=np.asarray(1.0),
        validation_score=np.asarray([0.5]),
        seconds=np.asarray(3.0),
    )


def naive(dataset, outcome, seed, rows):
    """All metrics of one seed on the given rows, repeated ones as often as they are given."""
    y = dataset.y_test[rows]
    known = np.ones_like(y) if dataset.mask_test is None else dataset.mask_test[rows]
    scores = outcome.test_scores[seed][rows]
    sets = {
        "macro_f1_at_half": scores > 0,
        "macro_f1_tuned": scores >= outcome.label_thresholds[seed],
        "micro_f1_tuned": scores >= outcome.global_thresholds[seed],
    }
    columns = [known[:, j] for j in range(LABELS)]
    result = {
        "map": np.mean(
            [
                sk.average_precision_score(y[k, j], scores[k, j])
                for j, k in enumerate(columns)
                if y[k, j].any()
            ]
        ),
        "micro_f1_tuned": sk.f1_score(y[known], sets["micro_f1_tuned"][known], zero_division=0),
    }
    for name in ("macro_f1_at_half", "macro_f1_tuned"):
        result[name] = np.mean(
            [
                sk.f1_score(y[k, j], sets[name][k, j], zero_division=0)
                for j, k in enumerate(columns)
                if k.any()
            ]
        )
    ranking, first = [], []
    for truth, row, k in zip(y, scores, known, strict=True):
        if not k.any():
            continue
        mixed = truth[k].any() and not truth[k].all()
        ranking.append(sk.label_ranking_loss(truth[None, k], row[None, k]) if mixed else 0.0)
        first.append(float(truth[k][row[k].argmax()]))
    return result | {"ranking_loss": np.mean(ranking), "precision_at_1": np.mean(first)}


@pytest.mark.parametrize("masked", [False, True])
def test_values_and_replicates_are_those_of_scikit_learn(masked):
    dataset, outcome = make_dataset(masked), make_outcome()
    resamples = bootstrap.draw(RESAMPLES, ROWS, SEEDS)
    judgement = judge(outcome, dataset, resamples)
    assert list(judgement.values) == list(HIGHER_IS_BETTER)
    for seed in range(SEEDS):
        expected = naive(dataset, outcome, seed, np.arange(ROWS))
        for name, values in judgement.values.items():
            assert values[seed] == pytest.approx(expected[name], abs=1e-6), name
    for index in range(RESAMPLES):
        rows = np.repeat(np.arange(ROWS), np.asarray(resamples.rows[index], int))
        seeds = np.repeat(np.arange(SEEDS), np.asarray(resamples.seeds[index], int))
        expected = [naive(dataset, outcome, seed, rows) for seed in seeds]
        for name, replicates in judgement.replicates.items():
            mean = np.mean([metrics[name] for metrics in expected])
            assert replicates[index] == pytest.approx(mean, abs=1e-6), (name, index)


def test_resamples_are_multiplicities_and_repeatable():
    one, other = (bootstrap.draw(50, ROWS, SEEDS) for _ in range(2))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.rows.sum(1), ROWS)
    np.testing.assert_array_equal(one.seeds.sum(1), SEEDS)
    assert len(np.unique(np.asarray(one.rows), axis=0)) == 50


def test_interval_is_centred_and_as_wide_as_the_percentiles():
    values = np.random.default_rng(0).exponential(size=4001)
    low, high = bootstrap.interval(10.0, values)
    ordered = np.sort(values)
    assert high - low == pytest.approx(ordered[3900] - ordered[100], abs=1e-9)
    assert low == pytest.approx(10 + ordered[100] - values.mean(), abs=1e-9)


def test_interval_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(1).normal(size=(1, 400))
    resamples = bootstrap.draw(2000, 400, 1)
    replicates = bootstrap.replicates(
        jnp.zeros((1, 400, 1)),
        predictions={},
        row_values={"mean": jnp.asarray(values, jnp.float32)},
        labels=jnp.ones((400, 1), bool),
        where=jnp.ones((400, 1), bool),
        resamples=resamples,
    )
    low, high = bootstrap.interval(values.mean(), replicates["mean"])
    half = 1.96 * values.std() / 20
    assert high - low == pytest.approx(2 * half, rel=0.08)


def test_differences_are_paired():
    dataset = make_dataset(masked=False)
    resamples = bootstrap.draw(200, ROWS, SEEDS)
    judgement = judge(make_outcome(), dataset, resamples)
    for difference in differences(judgement, judgement).values():
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
        assert not difference.excludes_zero
    other = judge(make_outcome(seed=2), dataset, resamples)
    apart = differences(other, judgement)["map"]
    expected = other.values["map"].mean() - judgement.values["map"].mean()
    assert apart.mean == pytest.approx(expected)
    assert apart.low < apart.mean < apart.high


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False)]
)
def test_difference_excludes_zero(low, high, expected):
    assert Difference((low + high) / 2, low, high).excludes_zero is expected


def test_summary_has_the_agreed_keys():
    outcome = make_outcome()
    judgement = judge(outcome, make_dataset(masked=False), bootstrap.draw(50, ROWS, SEEDS))
    figures = summary(judgement, outcome)
    assert list(figures) == [*HIGHER_IS_BETTER, "seconds"]
    for figure in figures.values():
        assert list(figure) == ["mean", "low", "high", "values"]
        assert figure["low"] <= figure["mean"] <= figure["high"]
        assert len(figure["values"]) == SEEDS
        assert np.mean(figure["values"]) == pytest.approx(figure["mean"])
    assert figures["seconds"]["mean"] * SEEDS == pytest.approx(3.0)


def test_divergence_is_not_a_number_and_never_best():
    dataset, resamples = make_dataset(masked=False), bootstrap.draw(50, ROWS, SEEDS)
    outcome = make_outcome()
    outcome.test_scores[1, 3, 2] = np.nan
    diverged = judge(outcome, dataset, resamples)
    assert all(math.isnan(value) for value in diverged.values["map"])
    assert math.isnan(summary(diverged, outcome)["map"]["low"])
    good = judge(make_outcome(), dataset, resamples)
    assert best({"diverged": diverged, "good": good}) == "good"


def test_best_is_the_highest_mean_average_precision():
    def judgement(value):
        return Judgement({"map": np.asarray([value, value])}, {})

    assert best({"a": judgement(0.2), "b": judgement(0.4), "c": judgement(0.3)}) == "b"


@pytest.mark.parametrize("masked", [False, True])
def test_thresholds_of_a_loss_are_a_file_to_evaluate_with(masked, tmp_path):
    dataset, outcome = make_dataset(masked), make_outcome()
    resamples = bootstrap.draw(20, ROWS, SEEDS)
    folder = Folder(tmp_path, {"config": {"losses": ["a"]}, "data": {}}, force=False)
    folder.write_thresholds("a", threshold_report(outcome, dataset, resamples, loss="a"))
    report = ThresholdReport.load(tmp_path / "thresholds/a.json")
    np.testing.assert_array_equal(report.thresholds, outcome.label_thresholds.min(0))
    np.testing.assert_array_equal(report.high, outcome.label_thresholds.max(0))
    known = np.ones_like(dataset.y_test) if dataset.mask_test is None else dataset.mask_test
    chosen = outcome.test_scores >= outcome.label_thresholds[:, None]
    by_label = [
        [sk.f1_score(y[k], z[k], zero_division=0) for y, z, k in columns]
        for columns in (zip(dataset.y_test.T, s.T, known.T, strict=True) for s in chosen)
    ]
    np.testing.assert_allclose(report.f, np.mean(by_label, 0), rtol=1e-6)
    np.testing.assert_allclose(report.macro.tuned, np.mean(by_label), rtol=1e-6)
    micro = [sk.f1_score(dataset.y_test[known], z[known]) for z in chosen]
    np.testing.assert_allclose(report.micro.tuned, np.mean(micro), rtol=1e-6)
    assert report.macro.low <= report.macro.gain <= report.macro.high
    table = ScoreTable(
        outcome.test_scores[0], dataset.y_test & known, known, dataset.label_names, "logits"
    )
    found = evaluate(table, report)
    chosen = (table.scores >= report.thresholds)[known]
    expected = sk.f1_score(dataset.y_test[known], chosen)
    np.testing.assert_allclose(found.decisions["f1_micro"], expected, rtol=1e-6)


def test_decisions_reach_their_thresholds():
    outcome = make_outcome()
    outcome.label_thresholds[0, 0] = outcome.test_scores[0, 5, 0]
    sets = decide(outcome)
    assert sets["macro_f1_tuned"][0, 5, 0]
    expected = outcome.test_scores >= outcome.label_thresholds[:, None, :]
    np.testing.assert_array_equal(sets["macro_f1_tuned"], expected)
    expected = outcome.test_scores >= outcome.global_thresholds[:, None, None]
    np.testing.assert_array_equal(sets["micro_f1_tuned"], expected)
