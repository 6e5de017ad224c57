"""Reports of tuned thresholds: held-out values recomputed fold by fold, files read back."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, fbeta_score

from mllosses_jax import decisions

FOLDS = 4
NAMES = ["sky", "sea", "sand", 'naïve "quote"', "never"]


def data(seed=0, n=90):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 5)) < np.array([0.5, 0.2, 0.15, 0.3, 0.0])
    logits = (rng.standard_normal((n, 5)) + 2 * truth - 2).astype(np.float32)
    return logits, truth


def folds_of(n, seed):
    return np.random.default_rng(seed).permutation(n) % FOLDS


own_cut = functools.partial(decisions.tune_thresholds, min_positives=1, default=0.0)
common_cut = functools.partial(decisions.tune_thresholds, scope="global", default=0.0)
never = functools.partial(decisions.tune_thresholds_fbr, fbr=0.999, rule="0")


@pytest.mark.parametrize("tune", [own_cut, common_cut, never])
@pytest.mark.parametrize("masked", [False, True])
def test_report_is_what_a_loop_over_folds_finds(tune, masked):
    logits, truth = data()
    keep = np.ones_like(truth)
    if masked:
        keep = np.random.default_rng(1).random(truth.shape) < 0.7
        keep[:, 1] = False
    given = np.where(keep, logits, np.nan), np.where(keep, truth, np.nan).astype(np.float32)
    report = decisions.threshold_report(
        *given, inputs="logits", tune=tune, folds=FOLDS, seed=3, where=keep
    )
    fold = folds_of(len(logits), 3)
    thresholds = [
        np.broadcast_to(tune(*given, where=keep & (fold != f)[:, None]), 5) for f in range(FOLDS)
    ]
    held_out = np.zeros_like(truth)
    for f in range(FOLDS):
        held_out[fold == f] = logits[fold == f] >= thresholds[f]
    held_out &= keep
    actual, base = truth & keep, (logits >= 0) & keep
    np.testing.assert_array_equal(report.thresholds, np.broadcast_to(tune(*given, where=keep), 5))
    np.testing.assert_array_equal(report.low, np.min(thresholds, axis=0))
    np.testing.assert_array_equal(report.high, np.max(thresholds, axis=0))
    for label in range(5):
        column = np.array(thresholds)[:, label]
        expected = np.std(column) if np.all(np.isfinite(column)) else np.inf
        expected = 0.0 if np.all(column == column[0]) else expected
        np.testing.assert_allclose(report.std[label], expected, rtol=1e-4, atol=1e-6)
    f = f1_score(actual, held_out, average=None, zero_division=0)
    f_base = f1_score(actual, base, average=None, zero_division=0)
    np.testing.assert_allclose(report.f, f, rtol=1e-6)
    np.testing.assert_allclose(report.baseline_f, f_base, rtol=1e-6)
    known = keep.any(0)
    np.testing.assert_allclose(report.macro.tuned, f[known].mean(), rtol=1e-6)
    np.testing.assert_allclose(report.macro.baseline, f_base[known].mean(), rtol=1e-6)
    micro = f1_score(actual, held_out, average="micro", zero_division=0)
    np.testing.assert_allclose(report.micro.tuned, micro, rtol=1e-6)
    np.testing.assert_array_equal(report.num_positives, actual.sum(0))
    if tune is own_cut and not masked:  # the threshold of logits shifted by 2 is far from 0
        assert report.macro.low > 0
        assert report.macro.low < report.macro.gain < report.macro.high
    assert report.label_names == ("0", "1", "2", "3", "4")


def test_interval_is_that_of_a_bootstrap():
    logits, truth = data(5)
    report = decisions.threshold_report(logits, truth, inputs="logits", tune=own_cut, folds=FOLDS)
    fold = folds_of(90, 0)
    held_out = np.zeros_like(truth)
    for f in range(FOLDS):
        others = np.repeat((fold != f)[:, None], 5, axis=1)
        t = own_cut(logits, truth.astype(np.float32), where=others)
        held_out[fold == f] = logits[fold == f] >= np.asarray(t)
    rng, gains = np.random.default_rng(6), []
    for _ in range(300):
        rows = rng.integers(0, 90, 90)
        score = [
            f1_score(truth[rows], sets[rows], average="macro", zero_division=0)
            for sets in (held_out, logits >= 0)
        ]
        gains.append(score[0] - score[1])
    low, high = np.quantile(gains, [0.025, 0.975])
    np.testing.assert_allclose([report.macro.low, report.macro.high], [low, high], atol=0.03)


def test_default_tuner_and_baseline_follow_inputs_and_beta():
    logits, truth = data(7)
    p = (1 / (1 + np.exp(-logits))).astype(np.float32)
    report = decisions.threshold_report(p, truth, inputs="probabilities", beta=2, seed=1)
    expected = fbeta_score(truth, p >= 0.5, beta=2, average=None, zero_division=0)
    np.testing.assert_allclose(report.baseline_f, expected, rtol=1e-6)
    tuned = decisions.tune_thresholds(p, truth, objective="fbeta", beta=2)
    np.testing.assert_array_equal(report.thresholds, tuned)
    assert report.settings == {
        "inputs": "probabilities",
        "baseline": 0.5,
        "beta": 2.0,
        "folds": 5,
        "seed": 1,
    }


def test_file_round_trip(tmp_path):
    logits, truth = data()
    report = decisions.threshold_report(
        logits, truth, inputs="logits", tune=never, folds=FOLDS, label_names=NAMES
    )
    report = dataclasses.replace(report, settings={**report.settings, "beta": math.inf})
    assert np.isinf(report.thresholds).any()
    file = tmp_path / "thresholds.json"
    report.save(file)
    strict = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert set(strict["labels"]) == set(NAMES)
    assert strict["labels"]["never"]["threshold"] == "inf"
    again = decisions.ThresholdReport.load(file)
    for field in ("thresholds", "std", "low", "high", "f", "baseline_f", "num_positives"):
        kept, back = getattr(report, field), getattr(again, field)
        assert kept.dtype == back.dtype
        np.testing.assert_array_equal(kept, back)
    for field in ("label_names", "macro", "micro", "settings"):
        assert getattr(report, field) == getattr(again, field)
    with pytest.raises(FileExistsError, match="exists; choose another file, or force=True"):
        report.save(file)
    report.save(file, force=True)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_thresholds_go_by_name(tmp_path):
    logits, truth = data()
    report = decisions.threshold_report(
        logits, truth, inputs="logits", tune=own_cut, folds=FOLDS, label_names=NAMES
    )
    order = [3, 1, 0, 4, 2]
    np.testing.assert_array_equal(
        report.thresholds_for([NAMES[place] for place in order]), report.thresholds[order]
    )
    with pytest.raises(ValueError, match=r"without a threshold: \['moon'\], missing: \['sky'\]"):
        report.thresholds_for(["moon", *NAMES[1:]])
    with pytest.raises(ValueError, match=r"missing: \['never'\]"):
        report.thresholds_for(NAMES[:4])
    with pytest.raises(ValueError, match=r"there twice: \['sky'\]"):
        report.thresholds_for([*NAMES, "sky"])
    named = '{"format": "mllosses_jax thresholds 1"'
    for content, error in [
        ("", "must be a JSON file"),
        ("[1]", 'must hold "format": "mllosses_jax thresholds 1", got None'),
        ('{"format": "other"}', "got 'other'"),
        (named + "}", "must hold thresholds of labels: the file must hold format, dtype"),
        (named + ', "dtype": "float32", "labels": [1]}', "must hold thresholds of labels"),
    ]:
        file = tmp_path / "other.json"
        file.write_text(content)
        with pytest.raises(ValueError, match=rf"other\.json.*{error}"):
            decisions.ThresholdReport.load(file)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), (None, TypeError)])
def test_seed_is_a_number_that_a_file_can_hold(seed, error):
    with pytest.raises(error, match=r"^seed must be"):
        decisions.threshold_report(*data(n=8), inputs="logits", folds=2, seed=seed)


def test_bad_input_is_named():
    logits, truth = data()
    with pytest.raises(TypeError, match="inputs"):
        decisions.threshold_report(logits, truth)
    with pytest.raises(ValueError, match="inputs must be one of 'logits', 'probabilities'"):
        decisions.threshold_report(logits, truth, inputs="scores")
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\] with inputs=.probabilities"):
        decisions.threshold_report(logits, truth, inputs="probabilities")
    with pytest.raises(TypeError, match="folds must be a Python integer, got float"):
        decisions.threshold_report(logits, truth, inputs="logits", folds=5.0)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        decisions.threshold_report(logits, truth, inputs="logits", folds=1)
    with pytest.raises(ValueError, match=r"folds must be between 2 and .* 90, got 91"):
        decisions.threshold_report(logits, truth, inputs="logits", folds=91)
    with pytest.raises(ValueError, match="label_names must name each of the 5 labels, got 2"):
        decisions.threshold_report(logits, truth, inputs="logits", label_names=["a", "b"])
    with pytest.raises(TypeError, match="label_names must be a sequence of strings"):
        decisions.threshold_report(logits, truth, inputs="logits", label_names="abcde")
