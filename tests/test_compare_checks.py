"""Checks of the data of a comparison, and what all checks find together."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from check_inputs import BASELINE, OTHER, alone, decisions, evidence, tuned
from comparison_inputs import ROWS, make_comparison, make_dataset, make_outcome
from scipy.special import expit

from mllosses_jax.compare import choosing, compare, judgment
from mllosses_jax.compare.checks import CHECKS, find_all
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)


# The data.


def test_labels_without_positives():
    dataset = make_dataset(masked=True)
    assert evidence("MLC001", alone(dataset)) == ()
    dataset.y_test[:, 1] = False
    mask = dataset.mask_train.copy()
    mask[dataset.y_train[:, 2], 2] = False  # a positive that is not known does not count
    dataset = dataclasses.replace(dataset, mask_train=mask)
    counts = [
        [sum(y[i, j] and known[i, j] for i in range(ROWS)) for y, known in parts]
        for j, parts in itertools.product(
            (1, 2), [((dataset.y_train, mask), (dataset.y_test, dataset.mask_test))]
        )
    ]
    assert counts[0][1] == counts[1][0] == 0
    assert evidence("MLC001", alone(dataset)) == (
        f"label 1: {counts[0][0]} in the training part, 0 in the test part",
        f"label 2: 0 in the training part, {counts[1][1]} in the test part",
    )


def test_rows_without_labels():
    dataset = make_dataset(masked=True)
    expected = []
    for part in ("train", "test"):
        labels, known = getattr(dataset, f"y_{part}"), getattr(dataset, f"mask_{part}")
        rows = [row[counts] for row, counts in zip(labels, known, strict=True)]
        unknown = sum(len(row) == 0 for row in rows)
        empty = sum(len(row) > 0 and not row.any() for row in rows)
        name = "training" if part == "train" else part
        if unknown:
            expected.append(f"{unknown} of {ROWS} {name} rows without a known label")
        expected.append(f"{empty} of {ROWS} {name} rows without a known positive")
    assert len(expected) >= 3
    assert evidence("MLC002", alone(dataset)) == tuple(expected)
    dataset = make_dataset()
    dataset.y_train[:, 0] = dataset.y_test[:, 0] = True
    assert evidence("MLC002", alone(dataset)) == ()


@pytest.mark.parametrize("sparse", [False, True])
def test_duplicates(sparse):
    dataset = dataclasses.replace(make_dataset(masked=True), sparse=sparse)
    assert evidence("MLC007", alone(dataset)) == ()
    dataset.x_train[7] = dataset.x_train[9] = [0.0, 3.0]
    dataset.x_test[:] += 100
    dataset.x_test[2] = [-0.0, 3.0]
    dataset.x_test[5] = dataset.x_train[4]
    dataset.x_test[6, 0] = dataset.x_train[4, 0]  # one equal feature is not enough
    equal = (dataset.x_test[:, None] == dataset.x_train).all(-1)
    expected = [f"2 of {ROWS} test rows ({2 / ROWS:.1%})"]
    for test, train in ((2, 7), (5, 4)):
        assert np.argmax(equal[test]) == train
        pairs = zip(dataset.y_test[test], dataset.y_train[train], strict=True)
        known = dataset.mask_test[test] & dataset.mask_train[train]
        same = all(a == b for (a, b), counts in zip(pairs, known, strict=True) if counts)
        words = "the same" if same else "other"
        expected.append(f"test row {test} equals training row {train}, with {words} labels")
    assert equal.any(1).sum() == 2
    assert evidence("MLC007", alone(dataset)) == tuple(expected)


@pytest.mark.parametrize("masked", [False, True])
def test_labels_that_always_go_together(masked):
    dataset = make_dataset(masked, labels=6)
    assert evidence("MLC012", alone(dataset)) == ()
    for y in (dataset.y_train, dataset.y_test):
        y[:, 3] = y[:, 1]
        y[:, 5] = y[:, 2]
        y[:, 0] = y[:, 4] = False
    # Three times may be chance.
    dataset.y_train[[0, 1, 2], 0] = dataset.y_train[[0, 1, 2], 4] = True
    dataset.y_train[3, 5] = not dataset.y_train[3, 2]  # once apart, which must be known
    if masked:
        dataset.mask_train[3, [2, 5]] = True
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    known = np.concatenate([dataset.known_train, dataset.known_test])
    expected = []
    for a, b in itertools.combinations(range(6), 2):
        rows = [
            (p, q)
            for p, q, c in zip(labels[:, a], labels[:, b], known, strict=True)
            if c[a] and c[b]
        ]
        if all(p == q for p, q in rows) and sum(p for p, _ in rows) >= 5:
            times = sum(p for p, _ in rows)
            expected.append(f"label {a} and label {b}: {times} times together, never apart")
    assert [line.split(":")[0] for line in expected] == ["label 1 and label 3"]
    assert evidence("MLC012", alone(dataset)) == tuple(expected)


def test_likely_label_errors():
    generator = np.random.default_rng(3)
    dataset = make_dataset(masked=True)
    dataset.y_train[:, 2] = np.arange(ROWS) % 2
    held = 5.0 * (2 * dataset.y_train - 1) + generator.normal(size=dataset.y_train.shape)
    assert evidence("MLC013", alone(dataset, **tuned(dataset, held))) == ()
    # The model tells the last two labels apart a little, and hardly.
    held[:, 2:] = [0.6, 0.6] * (2 * dataset.y_train[:, 2:] - 1) + generator.normal(size=(ROWS, 2))
    wrong = [(row, label) for label in (0, 1) for row in range(3 * label, ROWS, 7)]
    for place in wrong:
        dataset.y_train[place] = not dataset.y_train[place]
    comparison = alone(dataset, **tuned(dataset, held))
    calibrator = comparison.outcomes[BASELINE].decisions.calibrator
    p = expit(held * np.asarray(calibrator.slope) + np.asarray(calibrator.bias))
    found, near = [], 0
    for label in range(4):
        rows = np.flatnonzero(dataset.mask_train[:, label])
        of_class = [[r for r in rows if dataset.y_train[r, label] == k] for k in (0, 1)]
        means = [
            np.mean([p[r, label] if k else 1 - p[r, label] for r in of_class[k]]) for k in (0, 1)
        ]
        for row in rows:
            k = int(dataset.y_train[row, label])
            given = p[row, label] if k else 1 - p[row, label]
            rules = min(means) >= 0.5, 1 - given >= means[1 - k], given < means[k] / 2
            near += np.array([sum(rules) == 2 and not rule for rule in rules])
            if all(rules):
                found.append((given, row, label, f"given {k}, probability {p[row, label]:.3f}"))
    assert {(row, j) for _, row, j, _ in found if j < 2} <= set(wrong)
    assert all(near), near  # each rule decides somewhere
    expected = [f"training row {row}, label {j}: {told}" for _, row, j, told in sorted(found)]
    assert len(expected) > 10
    assert evidence("MLC013", comparison) == (*expected[:10], f"and {len(expected) - 10} more")
    finding = CHECKS["MLC013"].finding(comparison)
    assert finding.more == len(expected) - 10
    assert finding.brief(3) == "; ".join([*expected[:3], f"and {len(expected) - 3} more"])
    assert finding.brief(10).endswith(finding.evidence[-1])
    assert "arXiv:1911.00068" in finding.why


# All checks together.


def ranked(scores, size):
    ids = np.argsort(-scores, axis=1)[:, :size].astype(np.int32)
    return Ranked(ids, np.take_along_axis(scores, ids, axis=1))


def make_ranked(dataset, scores, threshold):
    """Returns an outcome that keeps three labels of a row."""
    other = make_outcome(dataset, models=1, residuals=np.array([0.5]), at_edge=("strength",))
    fields = {f.name: getattr(other, f.name) for f in dataclasses.fields(other)}
    for name in ("test_scores", "held", "decisions"):
        del fields[name]
    return RankedOutcome(
        **fields,
        test=(ranked(scores, 3),),
        held=ranked(scores, 3),
        held_rows=np.arange(ROWS),
        global_threshold=np.float32(threshold),
    )


def test_a_comparison_of_ranked_labels_is_checked():
    dataset = make_dataset(labels=5)
    scores = make_outcome(dataset, models=1).test_scores[0]
    scores[:, 4] = -9  # always last, so never kept
    outcomes = {BASELINE: make_ranked(dataset, scores, -100)}
    comparison = make_comparison(dataset, outcomes, model="linear_head")
    found = {finding.code: finding.evidence for finding in comparison.checks}
    assert (
        {"MLC004", "MLC011", "MLC014"}
        <= set(found)
        <= set(CHECKS) - {"MLC005", "MLC006", "MLC009", "MLC010", "MLC013"}
    )
    assert dict(found)["MLC011"] == (
        f"label 4 (test positives: {dataset.y_test[:, 4].sum()}): not under {BASELINE}",
    )
    bad = make_ranked(dataset, np.full_like(scores, np.nan), 0)
    comparison = make_comparison(dataset, {BASELINE: bad}, model="linear_head")
    assert evidence("MLC008", comparison) == (f"{BASELINE}: 1 of 1 models",)
    assert evidence("MLC011", comparison) == ()


def test_findings_are_issues_first_and_can_be_ignored():
    dataset = make_dataset()
    dataset.y_test[:, 1] = False
    never = {"models": 1, "at_edge": ("strength",), "decisions": decisions([9] * 4)}
    comparison = alone(dataset, **never, digits=0)
    found = comparison.checks
    codes = [finding.code for finding in found]
    assert {"MLC001", "MLC004", "MLC010", "MLC011"} <= set(codes)
    assert codes == sorted(codes, key=lambda code: (CHECKS[code].kind != "issue", code))
    assert document(comparison)["checks"] == [dataclasses.asdict(each) for each in found]
    assert json.dumps(document(comparison)["checks"])
    assert find_all(comparison, ["MLC004"]) == tuple(f for f in found if f.code != "MLC004")
    comparison.ignore = ("MLC004",)
    comparison.add(choosing.parse(OTHER), make_outcome(dataset, models=1, at_edge=("strength",)))
    assert "MLC004" not in [finding.code for finding in comparison.checks]
    assert "MLC004" not in str(comparison)
    assert document(comparison)["ignored_checks"] == ["MLC004"]


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("MLC07",), "unknown check 'MLC07' (ignore); did you mean MLC007?"),
        ("MLC004, mlc010", "unknown check 'mlc010' (ignore); did you mean MLC010?"),
        ("duplicates", "unknown check 'duplicates' (ignore); known: MLC001, MLC002"),
        (7, "checks to ignore must be codes (ignore), got 7"),
    ],
)
def test_unknown_codes_are_refused(codes, words):
    with pytest.raises(ComparisonError, match=re.escape(words)):
        compare(make_dataset(), ignore=codes)


def test_codes_name_their_checks():
    assert list(CHECKS) == [f"MLC{number:03}" for number in range(1, len(CHECKS) + 1)]
    for check in CHECKS.values():
        assert not check.title.endswith(".")
        for sentences in (check.why, check.remedy):
            assert re.fullmatch(r"[A-Z].*\.", sentences), check.code
