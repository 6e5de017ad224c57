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
from sklearn.linear_model import LogisticRegression

from mllosses_jax.compare import choosing, compare, judgment
from mllosses_jax.compare.checks import CHECKS, find_all, label_noise
from mllosses_jax.compare.checks import labels as label_checks
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.loading import thinned
from mllosses_jax.data import Dataset, make_mosaics


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


def test_groups_of_the_test_part():
    dataset = make_dataset()
    groups = np.array([f"g{row // 3}" for row in range(ROWS)])
    apart = np.array([f"h{row // 3}" for row in range(ROWS)])
    assert evidence("MLC015", alone(dataset)) == ()
    assert evidence("MLC015", alone(dataset.with_groups(groups))) == ()
    known = dataclasses.replace(dataset, groups_train=groups, groups_test=apart)
    assert evidence("MLC015", alone(known)) == ()
    apart[[4, 7, 8]] = "g2", "g0", "g2"
    known = dataclasses.replace(dataset, groups_train=groups, groups_test=apart)
    assert evidence("MLC015", alone(known)) == (
        f"3 of {ROWS} test rows (5.0%), of 2 groups",
        "group g0: 1 test row, first row 7, and 3 training rows",
        "group g2: 2 test rows, first row 4, and 3 training rows",
    )


def test_rows_have_the_numbers_of_the_file():
    """The rows of a file are told by their first feature; some are twice in it."""
    generator = np.random.default_rng(0)
    x = np.stack([np.arange(200) % 150, np.zeros(200)], axis=1)
    y = generator.random((200, 3)) < 0.4
    data = Dataset(name="toy", label_names=("a", "b", "c"), x_train=x, y_train=y)
    drawn = thinned(data.with_test(0.3, seed=1), 50)
    assert len(drawn.x_train) == len(drawn.x_test) == 50
    for part in ("train", "test"):
        rows = getattr(drawn, f"rows_{part}")
        np.testing.assert_array_equal(getattr(drawn, f"x_{part}"), x[rows])
        np.testing.assert_array_equal(getattr(drawn.standardized(), f"rows_{part}"), rows)
    lines = [line.split()[:7] for line in list(CHECKS["MLC007"].look(alone(drawn)))[1:]]
    assert len(lines) > 3
    for _, _, test, _, _, _, train in lines:
        assert abs(int(test) - int(train.rstrip(","))) == 150
    grouped = data.with_groups(np.arange(200) // 4).with_test(0.3, seed=1)
    names = np.array(grouped.group_names)
    for part in ("train", "test"):
        rows = getattr(grouped, f"rows_{part}")
        assert names[getattr(grouped, f"groups_{part}")].tolist() == [f"{row // 4}" for row in rows]


# Wrong labels. The bar: of clean labels at most one in 1,000 is named, also where a weak model of
# real data contradicts many; of labels of which 2 % were turned over, four in five of those named
# are wrong, and half of those wrong are named, where scores tell them apart as well as here.


def named(data, held):
    comparison = alone(data, **tuned(data, held))
    return list(CHECKS["MLC013"].look(comparison))


def test_labels_of_clean_data_are_not_suspected():
    """Logistic regression on pixels contradicts one label in 30, though none is wrong."""
    data = make_mosaics()
    x, y = data.standardized().x_train, data.y_train[:, 5:]
    held, inside = np.empty(y.shape, np.float32), np.arange(len(x)) % 2 == 0
    for rows, label in itertools.product((inside, ~inside), range(5)):
        model = LogisticRegression(C=0.003).fit(x[rows], y[rows, label])
        held[~rows, label] = model.decision_function(x[~rows])
    assert np.mean((held > 0) != y) > 0.03
    names = data.label_names[5:]
    data = dataclasses.replace(data, y_train=y, y_test=data.y_test[:, 5:], label_names=names)
    assert len(named(data, held)) <= y.size / 1000


def test_planted_wrong_labels_are_found():
    generator = np.random.default_rng(3)
    true = generator.random((3000, 4)) < (0.5, 0.3, 0.2, 0.1)
    wrong = generator.random(true.shape) < 0.02
    held = (4 * true - 2 + 1.2 * generator.normal(size=true.shape)).astype(np.float32)
    arrays = {"x_train": np.zeros((3000, 1)), "x_test": np.zeros((9, 1)), "y_test": true[:9]}
    clean = Dataset(name="toy", label_names=tuple("abcd"), y_train=true, **arrays)
    assert len(named(clean, held)) <= 1
    shift = np.arange(3000) + 7
    data = dataclasses.replace(clean, y_train=true ^ wrong, rows_train=shift)
    lines = named(data, held)
    found = {(int(row) - 7, "abcd".index(label)) for row, label in map(place_of, lines)}
    planted = set(map(tuple, np.argwhere(wrong).tolist()))
    assert len(found & planted) >= 0.8 * len(found)
    assert len(found & planted) >= 0.5 * len(planted)
    assert lines[0].split(": ")[1].startswith("given ")
    unknown = dataclasses.replace(data, mask_train=~wrong)
    assert len(named(unknown, held)) <= 1
    finding = CHECKS["MLC013"].finding(alone(data, **tuned(data, held)))
    assert finding.more == len(lines) - 10
    assert finding.brief(3) == "; ".join([*lines[:3], f"and {len(lines) - 3} more"])
    assert "arXiv:1911.00068" in finding.why


def test_what_rests_on_the_baseline_is_looked_for_once(monkeypatch):
    """It is by far the dearest check, and results are written after each loss."""
    calls = []
    monkeypatch.setattr(label_noise, "wrong", lambda s, y: calls.append(1) or np.ones(len(s)))
    dataset = make_dataset()
    monkeypatch.setattr(label_checks, "ENOUGH", 1)
    comparison = alone(dataset, models=1)
    found = [each for each in comparison.checks if each.code == "MLC013"]
    assert found
    assert len(calls) == len(dataset.label_names)
    comparison.add(choosing.parse(OTHER), make_outcome(dataset, models=1))
    assert [each for each in comparison.checks if each.code == "MLC013"] == found
    assert len(calls) == len(dataset.label_names)
    comparison.add(choosing.parse(BASELINE), make_outcome(dataset, models=1))
    assert comparison.checks
    assert len(calls) == 2 * len(dataset.label_names)


def place_of(line):
    """Returns the row and the label of a line of evidence."""
    row, label = line.split(": ")[0].removeprefix("training row ").split(", ")
    return row, label


def test_the_chance_of_a_wrong_label_is_that_of_the_model():
    """At the true parameters the chance is known; the fit of many rows comes close to it."""
    generator = np.random.default_rng(0)
    s = 4 * generator.normal(size=40_000)
    true = generator.random(s.shape) < expit(s - 0.5)
    flip = generator.random(s.shape) < np.where(true, 0.08, 0.03)
    p = expit(s - 0.5)
    given = true ^ flip
    expected = np.where(
        given,
        (1 - p) * 0.03 / ((1 - p) * 0.03 + p * 0.92),
        p * 0.08 / (p * 0.08 + (1 - p) * 0.97),
    )
    found = label_noise.wrong(s.astype(np.float32), given)
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert not label_noise.wrong(s.astype(np.float32), true).any()


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
