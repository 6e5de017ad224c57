"""The report of a comparison: its tables, its marks, its sentences and its verdict."""

import dataclasses
import math
import re

import numpy as np
import pytest
from comparison_inputs import ROWS, make_comparison, make_dataset, make_outcome

from mllosses_jax._core.intervals import Interval
from mllosses_jax._core.text import broken
from mllosses_jax._core.text_table import NARROW_NAME
from mllosses_jax.compare import choosing, judgment, notes, report
from mllosses_jax.compare.judgment import METRICS
from mllosses_jax.data import Dataset

BASELINE, OTHER = "sigmoid_binary_cross_entropy", "zlpr_loss"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)


NOTHING = {"tried": {"strength": np.array([1e-4]), "score": np.array([-np.inf])}}


def make_pair(*, dataset=None, base=None, other=None, **settings):
    """Returns a comparison of two losses, with changes to their outcomes."""
    dataset = make_dataset() if dataset is None else dataset
    outcomes = {
        BASELINE: make_outcome(dataset, **{"models": 1} | (base or {})),
        OTHER: make_outcome(dataset, **{"models": 1, "skill": 1.2} | (other or {})),
    }
    return make_comparison(dataset, outcomes, **settings)


def one_line(text):
    return " ".join(text.split())


def rows_of(text, label):
    """Returns the lines of a loss in the tables, without the intervals below."""
    return [line for line in text.splitlines() if line.startswith(f"{label} ")]


@pytest.fixture(scope="module")
def of_all():
    """A comparison of all losses on many labels, with everything that a report may contain."""
    dataset = make_dataset(masked=True, labels=21)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judgment, "NUM_RESAMPLES", 20)
        one = make_outcome(dataset, models=1, at_edge=("strength",), chosen={"strength": 1.2e-11})
        several = make_outcome(dataset, models=3, residuals=np.array([1e-5, 0.02, 1e-5]))
        labels = [made.label for made in choosing.choose("all")]
        labels.append("asymmetric_loss(gamma_neg=2, gamma_pos=0.5, clip=0.25, detach_focus=False)")
        outcomes = {label: (one, several)[place % 2] for place, label in enumerate(labels)}
        outcomes["hinge_loss"] = diverged(dataset)
        comparison = make_comparison(dataset, outcomes)
    comparison.given = {OTHER: "a head for nothing, label_counts"}
    return comparison


def diverged(dataset):
    outcome = make_outcome(dataset, models=1)
    outcome.test_scores[:] = np.inf
    return outcome


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_report_fits_a_terminal_and_loses_no_figure(width, of_all):
    text = report.text(of_all, width=width)
    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    for label, figures in of_all.results.items():
        star = "" if of_all.choices[label].zero_decides else "*"
        for part in broken(label + star, max(NARROW_NAME, width // 4)):
            assert any(line.startswith(part) for line in text.splitlines()), part
        for metric, figure in figures.items():
            if metric in METRICS and of_all.is_comparable(label, metric):
                low, mean, high = (report.number(figure[key]) for key in ("low", "mean", "high"))
                assert {mean, f"{low}-{high}"} <= words, (label, metric)
        assert f"{figures['cpu_seconds']['mean']:.1f}" in words


def test_a_table_of_the_usual_terminal_is_not_cut(of_all):
    lines = [line.split() for line in report.text(of_all).splitlines()]
    assert ["loss", "loss", "LRAP", "P@1", "P@3", "P@5", "nDCG@5"] in lines


def test_every_sentence_that_is_due_is_there(of_all):
    text = one_line(report.text(of_all))
    total = len(of_all.results)
    for sentence in (
        f"toy: {ROWS} training rows, {ROWS} test rows, 2 features, 21 labels; {total} losses",
        "chosen by 5 folds",
        "resamples, the same for all losses",
        "*: this loss only orders the labels and fixes no origin",
        f"{OTHER}: a head for nothing, label_counts.",
        "!: this value is at an edge of those tried",
        "MLC008 issue: Training diverged, so figures are n/a: hinge_loss: 1 of 1 models.",
        "MLC004 tip: ",
        "MLC014 tip: ",
    ):
        assert sentence in text, sentence
    assert "1.2e-11!" in text


def test_as_many_marks_as_are_told(of_all):
    comparisons = [
        (label, metric, difference)
        for label, by_metric in of_all.simultaneous.items()
        for metric, difference in by_metric.items()
        if of_all.is_comparable(label, metric) and not math.isnan(difference.mean)
    ]
    marked = sum(difference.excludes_zero for *_, difference in comparisons)
    cells = [cell for table in report._tables(of_all) for row in table["rows"] for cell in row[1:]]
    assert marked == len(re.findall(r"\d [+-]$", "\n".join(cells), flags=re.MULTILINE)) > 0
    text = one_line(report.text(of_all))
    assert f"{marked} of {len(comparisons)} differences are marked." in text
    assert f"simultaneous over the {len(of_all.results) - 1} losses" in text
    assert "simultaneous" not in report.text(make_pair())  # one loss is compared


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize(
    ("low", "high", "sign"), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.2, 0), (0.0, 0.1, 0)]
)
def test_the_mark_is_read_off_the_interval(low, high, sign, decided, higher_is_better):
    metric = "map" if higher_is_better else "ranking_loss"
    dataset = make_dataset()
    outcome = make_outcome(dataset, models=1)
    comparison = make_comparison(dataset, {BASELINE: outcome, OTHER: outcome})
    found = Interval((low + high) / 2, low, high, decided)
    sign = sign if decided else 0
    assert found.excludes_zero is (sign != 0)
    better = sign if higher_is_better else -sign
    comparison.simultaneous[OTHER] = {metric: found}
    assert comparison.mark(OTHER, metric) == {1: "+", -1: "-", 0: ""}[better]
    assert comparison.mark(BASELINE, metric) == ""


def test_marks_stand_behind_the_figures_that_say_something():
    dataset = make_dataset(labels=21)
    outcome = make_outcome(dataset, models=1)
    comparison = make_comparison(dataset, dict.fromkeys((BASELINE, OTHER, "lsep_loss"), outcome))
    up = dict.fromkeys(METRICS, Interval(0.1, 0.05, 0.15, True))
    without = ("macro_f1_at_half", "calibration_error")
    without_origin = {metric: up[metric] for metric in METRICS if metric not in without}
    assert comparison.differences["lsep_loss"].keys() == without_origin.keys()
    comparison.differences = comparison.simultaneous = {OTHER: up, "lsep_loss": without_origin}
    text = report.text(comparison)
    assert all("+" not in row + "-" for row in rows_of(text, "sigmoid_binary"))
    marks = [[row.count(" +"), row.count(" -")] for row in rows_of(text, OTHER)]
    assert marks == [[5, 0], [5, 1], [0, 2]]
    marks = [[row.count(" +"), row.count(" -")] for row in rows_of(text, "lsep_loss*")]
    assert marks == [[4, 0], [5, 1], [0, 1]]  # 0.5 and the sigmoid mean nothing for it
    assert f"{2 * len(METRICS) - 2} of {2 * len(METRICS) - 2} differences" in one_line(text)
    rows = report.csv_rows(comparison)
    judged = [row for row in rows if not row["metric"].endswith("seconds")]
    marked = {(row["loss"], row["metric"]) for row in judged if row["marked"] == 1}
    assert marked == {(OTHER, each) for each in up} | {("lsep_loss", e) for e in without_origin}
    assert all(row["marked"] in ("", 1) for row in judged)
    assert [row["difference_high"] for row in judged[-3:]] == [0.15] * 3
    assert [row["simultaneous_low"] for row in judged[-3:]] == [0.05] * 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1234, ".123"), (-0.05, "-.050"), (0, ".000"), (0.9994, ".999"), (0.9996, "1.00")],
)
def test_numbers_are_short(value, shown):
    assert report.number(value) == shown


def test_undefined_numbers_are_told():
    assert report.number(math.nan) == "n/a"


# The verdict.


def test_a_loss_alone_is_compared_with_nothing():
    dataset = make_dataset()
    comparison = make_comparison(dataset, {OTHER: make_outcome(dataset)})
    assert comparison.recommended == OTHER
    text = one_line(report.text(comparison))
    assert f"Verdict: there was no other loss to compare {OTHER} with." in text
    assert "differences are marked" not in text


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"skill": 3, "validation": 0.6}, [f"take {OTHER}: the best of 2", "it is ahead of"]),
        (
            {"seed": 4, "skill": 1.2, "validation": 0.6},
            [f"keep {BASELINE}. {OTHER} is", "lead is not significant"],
        ),
        ({"skill": 0, "validation": 0.6}, [f"keep {BASELINE}. {OTHER} is", "but behind by"]),
        ({"skill": 3, "validation": 0.4}, [f"keep {BASELINE}: it is the best of 2"]),
    ],
)
def test_the_verdict_follows_validation_and_the_interval(other, words):
    comparison = make_pair(other=other)
    verdict = notes.verdict(comparison)
    assert verdict.startswith("Verdict: ")
    for word in words:
        assert word in verdict
    assert f" {comparison.recommended}" in verdict
    lead = comparison.differences[OTHER]["map"]
    if comparison.best == OTHER:
        assert f"{abs(lead.mean):.3f} mAP on test rows (a difference of {lead.low:+.3f}" in verdict
        assert ("lead" in verdict) == (lead.mean > 0 and "take" not in verdict)
    assert f"Labels under {comparison.recommended} with" in report.text(comparison)
    [row] = rows_of(report.text(comparison), OTHER)[:1]
    shown = re.match(rf"{OTHER} +\S+ ([+-]) ", row)
    assert bool(shown) == lead.excludes_zero
    assert not shown or (shown[1] == "+") == (lead.mean > 0)
    assert ("take" in verdict) == (comparison.best == OTHER and bool(shown) and shown[1] == "+")


def test_a_lead_that_only_its_own_interval_marks_is_taken_and_explained():
    """Validation chose the loss, so the verdict allows for one comparison, the tables for all."""
    comparison = make_pair(other={"skill": 3, "validation": 0.6})
    assert "allow for" not in notes.verdict(comparison)
    comparison.simultaneous[OTHER]["map"] = Interval(0.1, -0.01, 0.2, True)
    assert comparison.mark(OTHER, "map") == ""
    assert comparison.recommended == OTHER
    told = "the tables allow for 1 comparisons and do not mark it"
    assert told in notes.verdict(comparison)
    assert notes.verdict(comparison).startswith(f"Verdict: take {OTHER}: the best of 2")


def test_models_that_were_drawn_once_decide_nothing():
    other = {"skill": 3, "validation": 0.6, "varies": True}
    comparison = make_pair(other=other, num_seeds=1)
    assert comparison.differences[OTHER]["map"].low > 0
    text = one_line(report.text(comparison))
    assert f"Verdict: keep {BASELINE}." in text
    assert "trained with only one, so their differences are not marked. Ask for more seeds." in text
    assert "differences are marked" not in text  # none may be marked
    assert "only one" not in one_line(report.text(make_pair()))


def test_a_lead_that_cannot_be_measured_is_not_taken():
    dataset = dataclasses.replace(make_dataset(), y_test=np.zeros((ROWS, 4)))
    comparison = make_pair(dataset=dataset, other={"validation": 0.6})
    assert comparison.recommended == BASELINE
    text = one_line(report.text(comparison))
    assert f"Verdict: keep {BASELINE}: a lead of {OTHER}" in text
    assert "no label has a positive in the test part, so mAP and ROC AUC are undefined" in text
    assert "diverged" not in text
    assert "MLC001 issue: " in text


# Notes.


def test_seeds_are_told():
    assert "Seeds: none." in one_line(report.text(make_pair()))
    text = one_line(report.text(make_pair(other={"models": 3}, num_seeds=3)))
    assert f"each of which sets where a fit starts. This matters to the models of {OTHER}," in text
    text = one_line(report.text(make_pair(model="mlp")))
    assert "Seeds: 5, which set the start of each model and the order of its rows." in text
    assert "Model: MLP" in text


def test_small_test_parts_are_told():
    dataset = make_dataset()
    few = dataclasses.replace(
        dataset, x_test=dataset.x_test[:20], y_test=np.eye(20, 4, dtype=bool) | [1, 1, 1, 0]
    )
    text = one_line(report.text(make_pair(dataset=few)))
    assert "The test part has 20 rows; with fewer than 30, intervals are rough." in text
    assert "rough" not in one_line(report.text(make_pair()))


def test_what_is_unknown_is_told():
    dataset = make_dataset(masked=True)
    text = one_line(report.text(make_pair(dataset=dataset)))
    shares = [f"{np.mean(~mask):.0%}" for mask in (dataset.mask_train, dataset.mask_test)]
    assert f"{shares[0]} of the training part's and {shares[1]} of the test part's labels" in text
    assert "labels are unknown" not in one_line(report.text(make_pair()))


def test_nothing_is_recommended_where_nothing_could_be_chosen():
    text = one_line(report.text(make_pair(base=NOTHING, other=NOTHING)))
    assert "Verdict: none, as nothing could be chosen." in text
    assert "no label of the training part has a known positive" in text


def test_the_settings_of_an_mlp_stand_under_their_names():
    chosen = {"learning_rate": 1e-3, "decay": 9.5, "steps": 75.0}
    tried = {name: np.array([value]) for name, value in (chosen | {"score": 0.5}).items()}
    other = {"chosen": chosen, "tried": tried, "at_edge": ("decay",)}
    text = report.text(make_pair(model="mlp", other=other))
    [row] = [line for line in rows_of(text, OTHER) if "1.0e-03" in line]
    assert row.split()[-4:] == ["1.0e-03", "9.5e+00!", "75", "5.0"]
    assert "MLC004 tip: " in text


def test_what_is_said_of_no_baseline_is_compared_with_nothing():
    """A loss without an origin has no figure at 0.5 that another could exceed."""
    dataset = make_dataset()
    outcomes = {
        "softmax_cross_entropy": make_outcome(dataset, models=1, skill=0.2),
        OTHER: make_outcome(dataset, models=1, skill=3),
    }
    comparison = make_comparison(dataset, outcomes)
    assert comparison.differences[OTHER].keys() == {
        name for name in comparison.results[OTHER] if name in METRICS
    } - {"macro_f1_at_half", "calibration_error"}
    text = one_line(report.text(comparison))
    assert "than softmax_cross_entropy, the loss that was named first:" in text
    rows = report.csv_rows(comparison)
    unmarked = [r["metric"] for r in rows if r["loss"] == OTHER and r["marked"] == ""]
    assert {"macro_f1_at_half", "calibration_error"} <= set(unmarked)


# The report by label.


def label_lines(text):
    return [line for line in text.splitlines() if re.match(r" *label \d+ .*\d$", line)]


def test_of_many_labels_the_frequent_ones_are_shown():
    dataset = make_dataset(labels=25)
    comparison = make_pair(dataset=dataset)
    shown, whole = report.text(comparison), report.text(comparison, max_labels=None)
    assert "5 labels with fewer test positives are not shown:" in one_line(shown)
    assert "left out" not in whole
    assert len(label_lines(shown)) == 20
    assert len(label_lines(whole)) == 25
    assert shown.splitlines()[-4:] == whole.splitlines()[-4:]  # averages over all labels
    support = [int(line.split()[-1]) for line in label_lines(whole)]
    assert support == dataset.y_test.sum(0).tolist()
    kept = [int(line.split()[-1]) for line in label_lines(shown)]
    assert sorted(kept) == sorted(support)[-20:]
    assert [line for line in label_lines(whole) if line in label_lines(shown)] == label_lines(shown)


def test_the_report_by_label_is_at_tuned_thresholds():
    dataset = make_dataset(masked=True)
    comparison = make_pair(dataset=dataset, base={"models": 3}, other={"validation": 0.1})
    text = report.text(comparison)
    assert "thresholds tuned per label, for the first of its models (micro-F1 above" in one_line(
        text
    )
    outcome = comparison.outcomes[BASELINE]
    sets = outcome.test_scores[0] >= outcome.decisions.label_thresholds
    recalls = np.sum(sets & dataset.y_test, 0) / dataset.y_test.sum(0)
    shown = [float(line.split()[3]) for line in label_lines(text)]
    np.testing.assert_allclose(shown, recalls, atol=0.0051)


def test_a_label_called_like_an_average_is_told_apart():
    names = ("a", "micro avg", "b", "c")
    dataset: Dataset = dataclasses.replace(make_dataset(), label_names=names)
    lines = [one_line(line) for line in report.text(make_pair(dataset=dataset)).splitlines()]
    assert sum(line.startswith("micro avg (label)") for line in lines) == 1
    assert sum(line.startswith("micro avg 0.") for line in lines) == 1
