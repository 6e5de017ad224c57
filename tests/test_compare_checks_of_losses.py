"""Checks of how the losses of a comparison were trained, and of what their figures rest on."""

import itertools
import re

import numpy as np
import pytest
from check_inputs import BASELINE, ONLY_ORDERS, OTHER, alone, decisions, evidence, tuned
from comparison_inputs import ROWS, make_comparison, make_dataset, make_outcome
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from mllosses_jax.compare import judgment, references


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)


# Training.


def test_settings_at_an_edge():
    dataset = make_dataset()
    assert evidence("MLC004", alone(dataset)) == ()
    tried = {"strength": np.array([2e-3, 5e-5, 1e-3]), "score": np.array([0.5, 0.1, 0.4])}
    changed = {"at_edge": ("strength",), "chosen": {"strength": 2e-3}, "tried": tried}
    assert evidence("MLC004", alone(dataset, **changed)) == (
        f"{BASELINE}: strength 0.002, tried from 5e-05 to 0.002",
    )


def test_diverged_runs():
    dataset = make_dataset()
    assert evidence("MLC008", alone(dataset)) == ()
    outcome = make_outcome(dataset, models=3)
    outcome.test_scores[1, 4, 2] = np.inf
    outcome.test_scores[2, 0, 0] = np.nan
    comparison = make_comparison(
        dataset, {BASELINE: make_outcome(dataset, models=3), OTHER: outcome}
    )
    assert evidence("MLC008", comparison) == (f"{OTHER}: 2 of 3 models",)
    assert {finding.code for finding in comparison.checks} >= {"MLC008"}
    of_other = [line for finding in comparison.checks for line in finding.evidence]
    assert [line for line in of_other if OTHER in line] == [f"{OTHER}: 2 of 3 models"]


@pytest.mark.parametrize(
    ("model", "residuals", "shown"),
    [
        ("linear", [1e-5, 1e-4], None),
        ("linear", [1e-5, 0.02], "2.0e-02"),
        ("linear", [np.nan, 1e-5], "nan"),
        ("mlp", [np.nan, np.nan], None),
    ],
)
def test_fits_that_have_not_converged(model, residuals, shown):
    changed = {"models": 2, "residuals": np.array(residuals)}
    comparison = alone(make_dataset(), settings={"model": model}, **changed)
    expected = () if shown is None else (f"{BASELINE}: {shown}, above 0.0001",)
    assert evidence("MLC014", comparison) == expected


# Decisions.


def macro_f1(scores, labels, threshold, above=np.greater_equal):
    return f1_score(labels, above(scores, threshold), average="macro", zero_division=0)


def test_gains_that_do_not_hold_out():
    dataset = make_dataset()
    outcome = make_outcome(dataset, models=1, skill=3)
    low = {"held": outcome.held._replace(scores=outcome.held.scores - 2), "skill": 3}
    low["decisions"] = decisions([-1.3, -1.5, -1.7, -1.5])
    for loss, found in ((BASELINE, True), (ONLY_ORDERS, False)):
        comparison = alone(dataset, loss, **low)
        assert bool(evidence("MLC005", comparison)) == found
    [line] = evidence("MLC005", alone(dataset, **low))
    parts = (low["held"].scores, dataset.y_train), (outcome.test_scores[0], dataset.y_test)
    promised, held_out = (
        macro_f1(*part, low["decisions"].label_thresholds) - macro_f1(*part, 0, np.greater)
        for part in parts
    )
    assert promised > 0.04
    assert held_out < 0
    pattern = r": ([+-]0\.\d+) on the rows of tuning, ([+-]0\.\d+) \(([+-]0\.\d+) to ([+-]0\.\d+)\)"
    shown = [float(each) for each in re.search(pattern, line).groups()]
    assert shown[:2] == pytest.approx([promised, held_out], abs=5.1e-4)
    assert shown[2] <= 0
    assert shown[2] <= shown[1] <= shown[3] < promised
    holds = {**low, "test_scores": outcome.test_scores - 2}
    assert evidence("MLC005", alone(dataset, **holds)) == ()
    lower = outcome.held._replace(scores=outcome.held.scores - 3.5)
    partly = {**holds, "held": lower, "test_scores": outcome.test_scores - 2.5}
    gain = alone(dataset, **partly).thresholds[BASELINE].by_label.macro
    assert (
        0
        < gain.low
        < gain.high
        < macro_f1(lower.scores, dataset.y_train, -1.5) - macro_f1(lower.scores, dataset.y_train, 0)
    )
    assert evidence("MLC005", alone(dataset, **partly)) == ()  # less than promised, but a gain
    assert evidence("MLC005", alone(dataset, **low | {"decisions": decisions()})) == ()


def test_slopes_that_are_off():
    generator = np.random.default_rng(5)
    dataset = make_dataset()
    logits = generator.normal(scale=2, size=(ROWS, 4))
    dataset.y_train[:] = generator.random((ROWS, 4)) < expit(logits)
    dataset.y_train[9:, 3] = False  # too few positives to tell
    assert evidence("MLC006", alone(dataset, **tuned(dataset, logits))) == ()
    for factor in (4, 0.25):
        changed = tuned(dataset, factor * logits)
        [line] = evidence("MLC006", alone(dataset, **changed))
        slopes = [
            LogisticRegression(C=np.inf).fit(factor * logits[:, [j]], dataset.y_train[:, j]).coef_
            for j in range(3)
        ]
        shown, far = re.fullmatch(
            rf"{BASELINE}: median slope (\S+); (\d) of 3 labels are below 0.67 or above 1.50", line
        ).groups()
        assert float(shown) == pytest.approx(np.median(slopes), rel=0.15)  # it is shrunk a little
        assert int(far) == 3
        assert evidence("MLC006", alone(dataset, ONLY_ORDERS, **changed)) == ()


def test_labels_that_are_never_predicted():
    dataset = make_dataset(masked=True)
    everything = {"decisions": decisions([-100] * 4), "models": 2}
    assert evidence("MLC011", alone(dataset, **everything)) == ()
    dataset.y_test[:, 3] = False
    never = {"decisions": decisions([100, -100, 100, 100]), "models": 2}
    scores = make_outcome(dataset, models=2).test_scores
    scores[1, ~dataset.mask_test[:, 2], 2] = 1000  # unknown entries do not count
    outcomes = {
        BASELINE: make_outcome(dataset, **never, test_scores=scores),
        OTHER: make_outcome(dataset, **never | {"decisions": decisions([-100, -100, 100, 100])}),
    }
    positives = (dataset.y_test & dataset.mask_test).sum(0)
    assert positives[0] > positives[2] > positives[3] == 0
    assert evidence("MLC011", make_comparison(dataset, outcomes)) == (
        f"label 0 (test positives: {positives[0]}): not under {BASELINE}",
        f"label 2 (test positives: {positives[2]}): not under any loss",
    )


# Metrics.


def test_losses_below_the_prior():
    dataset = make_dataset()
    prior = np.mean(
        [average_precision_score(dataset.y_test[:, j], np.zeros(ROWS)) for j in range(4)]
    )
    for skill, found in ((-1, True), (-0.3, False), (1, False)):
        comparison = alone(dataset, skill=skill)
        assert evidence("MLC003", comparison) == ()  # before the prior is judged
        comparison.add_reference(references.PRIOR, references.prior(dataset))
        scores = comparison.outcomes[BASELINE].test_scores[0]
        value = np.mean(
            [average_precision_score(dataset.y_test[:, j], scores[:, j]) for j in range(4)]
        )
        assert (value < prior) == (skill < 0)  # -0.3 is below, but not beyond noise
        lines = evidence("MLC003", comparison)
        assert bool(lines) == found
        if found:
            assert lines[0].startswith(f"{BASELINE}: mAP {value:.3f} against {prior:.3f}, a diff")


def test_metrics_of_few_positives():
    dataset = make_dataset(masked=True, labels=6)
    dataset.y_test[:, 2] = False
    dataset.y_test[12:, 4] = False
    dataset.y_test[:, 0] = np.arange(ROWS) < 11
    counts = [
        sum(dataset.y_test[i, j] & dataset.mask_test[i, j] for i in range(ROWS)) for j in range(6)
    ]
    few = sorted((count, j) for j, count in enumerate(counts) if 0 < count < 10)
    assert len(few) >= 2
    assert evidence("MLC009", alone(dataset)) == tuple(f"label {j}: {n}" for n, j in few)
    dataset = make_dataset()
    dataset.y_test[:10] = True
    assert evidence("MLC009", alone(dataset)) == ()


@pytest.mark.parametrize("masked", [False, True])
def test_scores_that_tie(masked):
    dataset = make_dataset(masked)
    assert evidence("MLC010", alone(dataset)) == ()
    comparison = alone(dataset, digits=0)
    scores, known = comparison.outcomes[BASELINE].test_scores[0], dataset.known_test
    shares = []
    for j in range(4):
        pairs = [
            scores[p, j] == scores[n, j]
            for p, n in itertools.product(range(ROWS), range(ROWS))
            if dataset.y_test[p, j] and not dataset.y_test[n, j] and known[p, j] and known[n, j]
        ]
        shares.append(np.mean(pairs))
    worst = int(np.argmax(shares))
    assert evidence("MLC010", comparison) == (
        f"{BASELINE}: {np.mean(shares):.1%} of the pairs of a positive and a negative tie, as a "
        f"mean over labels; for label {worst} {shares[worst]:.1%}",
    )
