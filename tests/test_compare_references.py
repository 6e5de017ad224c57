"""The rows below the losses: the prior alone, and scikit-learn's models, against scikit-learn."""

import dataclasses
import warnings

import numpy as np
import pytest
from comparison_inputs import ROWS, make_dataset, make_outcome
from scipy.special import expit, logit
from sklearn import metrics as sk
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from mllosses_jax.compare import judgment, notes, parts, references, report, resampling
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.large import judgment as large_judgment
from mllosses_jax.compare.large.training import KEPT
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset

BASELINE = "sigmoid_binary_cross_entropy"
NAMES = ["prior only", "logistic regression", "random forest"]


def make_data(masked=False, rows=120, labels=3, seed=0):
    """Returns data whose labels follow from the features, with noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(2 * rows, 4)).astype(np.float32)
    y = x @ generator.normal(size=(4, labels)) + generator.normal(size=(2 * rows, labels)) > 0.7
    mask = generator.random(y.shape) < 0.8 if masked else np.ones_like(y)
    return Dataset(
        name="toy",
        label_names=tuple(f"label {j}" for j in range(labels)),
        x_train=x[:rows],
        y_train=y[:rows],
        mask_train=mask[:rows] if masked else None,
        x_test=x[rows:],
        y_test=y[rows:],
        mask_test=mask[rows:] if masked else None,
    )


def judged(outcome, dataset):
    return judgment.judge(outcome, dataset, resampling.draw(20, len(dataset.y_test)))


def best_constant_f1(train, test):
    """Returns the F1 on test labels of a label that is always or never predicted."""
    predicted = np.full(len(test), train.any())  # all of them is better than none for F1
    return sk.f1_score(test, predicted, zero_division=0)


@pytest.mark.parametrize("masked", [False, True])
def test_the_prior_has_the_figures_of_constant_scores(masked):
    dataset = make_data(masked)
    outcome = references.prior(dataset)
    known = dataset.known_train
    share = (dataset.y_train & known).sum(0) / known.sum(0)
    np.testing.assert_allclose(outcome.test_scores[0], np.tile(logit(share), (120, 1)), rtol=1e-5)
    values = {name: each[0] for name, each in judged(outcome, dataset).values.items()}
    columns = [
        (dataset.y_test[k, j], dataset.y_train[known[:, j], j], share[j])
        for j, k in enumerate(dataset.known_test.T)
    ]
    prevalence = [truth.mean() for truth, *_ in columns]
    assert values["map"] == pytest.approx(np.mean(prevalence), rel=1e-5)
    expected = [
        sk.average_precision_score(truth, np.full(len(truth), p)) for truth, _, p in columns
    ]
    assert values["map"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert values["roc_auc"] == pytest.approx(0.5, abs=1e-6)
    tuned = [best_constant_f1(train, truth) for truth, train, _ in columns]
    assert values["macro_f1_tuned"] == pytest.approx(np.mean(tuned), rel=1e-5)
    at_half = [sk.f1_score(t, np.full(len(t), p > 0.5), zero_division=0) for t, _, p in columns]
    assert values["macro_f1_at_half"] == pytest.approx(np.mean(at_half), rel=1e-5)
    off = [abs(truth.mean() - p) for truth, _, p in columns]
    assert values["calibration_error"] == pytest.approx(np.mean(off), rel=1e-4)


def test_the_common_threshold_of_the_prior_is_the_best_of_all_constant_sets():
    """The sets in question hold the most frequent labels, for micro-F1 on the training part."""
    dataset = make_data(labels=5, seed=3)
    outcome = references.prior(dataset)
    order = np.argsort(-dataset.y_train.sum(0))
    found = outcome.test_scores[0] >= outcome.decisions.global_threshold
    assert (found == found[0]).all()
    qualities = []
    for size in range(1, 6):
        sets = np.tile(np.isin(np.arange(5), order[:size]), (120, 1))
        qualities.append(sk.f1_score(dataset.y_train, sets, average="micro"))
    assert found[0].sum() == 1 + np.argmax(qualities)
    assert set(np.flatnonzero(found[0])) == set(order[: found[0].sum()])


@pytest.mark.parametrize("masked", [False, True])
def test_the_logistic_row_is_scikit_learns(masked):
    dataset = make_data(masked)
    outcome = references.logistic_regression(dataset)
    known = dataset.known_train

    def by_hand(rows, others, inverse):
        """Fits each label on the given rows in which it is known."""
        columns = []
        for label in range(3):
            counted = rows[known[rows, label]]
            model = LogisticRegression(C=inverse)
            model.fit(dataset.x_train[counted], dataset.y_train[counted, label])
            columns.append(model.decision_function(others))
        return np.stack(columns, axis=1)

    [chosen] = outcome.chosen.values()
    expected = by_hand(np.arange(120), dataset.x_test, chosen)
    np.testing.assert_allclose(outcome.test_scores[0], expected, rtol=1e-4, atol=1e-5)
    folds = parts.folds(dataset)
    quality = {}
    for inverse in references.INVERSE_STRENGTHS:
        held = np.zeros((120, 3))
        for fold in folds:
            held[fold.validation] = by_hand(fold.train, dataset.x_train[fold.validation], inverse)
        precision = [
            sk.average_precision_score(dataset.y_train[k, j], held[k, j])
            for j, k in enumerate(known.T)
        ]
        rows = [
            sk.average_precision_score(y[k], s[k])
            for y, s, k in zip(dataset.y_train, held, known, strict=True)
            if (y & k).any()
        ]
        quality[inverse] = (np.mean(precision) + np.mean(rows)) / 2
        if inverse == chosen:
            np.testing.assert_allclose(
                outcome.held.scores, held[outcome.held.rows], rtol=1e-4, atol=1e-5
            )
            for label, threshold in enumerate(outcome.decisions.label_thresholds):
                counted = known[:, label]
                y, s = dataset.y_train[counted, label], held[counted, label]
                best = max(sk.f1_score(y, s >= cut) for cut in s)
                assert sk.f1_score(y, s >= threshold) == pytest.approx(best, abs=1e-9)
    assert chosen == max(quality, key=quality.get)
    assert outcome.quality == pytest.approx(quality[chosen], abs=1e-5)


def test_the_forest_is_one_for_classification():
    """It differs from scikit-learn's no more than two of those with different seeds do."""
    dataset = make_data()
    outcome = references.random_forest(dataset)
    peers = []
    for seed in (0, 1):
        peer = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
        peer.fit(dataset.x_train, dataset.y_train.astype(int))
        peers.append(np.stack([p[:, 1] for p in peer.predict_proba(dataset.x_test)], axis=1))
    found = expit(outcome.test_scores[0])
    noise = np.abs(peers[0] - peers[1]).mean()
    assert all(np.abs(found - each).mean() < 1.25 * noise for each in peers)
    assert sorted(outcome.held.rows) == list(range(120))
    # Rows were not in the forests that score them, whose predictions would be nearer to the truth.
    held = expit(outcome.held.scores[np.argsort(outcome.held.rows)])
    known = peers[0], dataset.y_test
    assert sk.roc_auc_score(dataset.y_train, held) < sk.roc_auc_score(*known[::-1]) + 0.06


def test_unknown_labels_speak_for_nothing_in_the_forest():
    """Their values do not matter, and a label that is half unknown is still learnt."""
    dataset = make_data(masked=True)
    turned = dataclasses.replace(dataset, y_train=dataset.y_train ^ ~dataset.known_train)
    first, second = references.random_forest(dataset), references.random_forest(turned)
    np.testing.assert_array_equal(first.test_scores, second.test_scores)
    truth, known = dataset.y_test, dataset.known_test
    for label in range(3):
        rows = known[:, label]
        assert sk.roc_auc_score(truth[rows, label], first.test_scores[0, rows, label]) > 0.7


def test_what_tells_nothing_breaks_nothing():
    """Labels without a positive or a negative, constant features, one label, an unknown label."""
    dataset = make_data(masked=True)
    dataset.y_train[:, 0] = False
    dataset.y_train[:, 1] = True
    dataset.mask_train[:, 2] = False
    dataset.x_train[:, 0] = 1.0
    one = dataclasses.replace(
        make_data(labels=1), x_train=np.zeros((120, 4)), x_test=np.zeros((120, 4))
    )
    sparse = dataclasses.replace(make_data(masked=True), sparse=True)
    for data in (dataset, one, sparse):
        with warnings.catch_warnings(action="error"):
            for fit in references.available(Settings()).values():
                outcome = fit(data)
                assert outcome.test_scores.shape == (1, *data.y_test.shape)
                assert np.isfinite(outcome.test_scores).all()
                assert np.isfinite(judged(outcome, data).values["micro_f1_tuned"]).all()


def test_without_scikit_learn_the_prior_alone_is_there(monkeypatch):
    assert list(references.available(Settings())) == NAMES
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(references.available(Settings(model="mlp"))) == NAMES[:1]
    assert list(references.available(Settings(model="linear_head"))) == NAMES[:1]


@pytest.mark.parametrize("masked", [False, True])
def test_the_prior_over_very_many_labels_ranks_the_most_frequent_ones(masked):
    dataset = make_data(masked, labels=KEPT + 20)
    outcome = references.prior_of_many(dataset)
    known = dataset.known_train
    share = (dataset.y_train & known).sum(0) / known.sum(0)
    [ranked] = outcome.test
    assert ranked.ids.shape == (120, KEPT)
    for row, there in enumerate(dataset.known_test):
        ids = ranked.ids[row][ranked.ids[row] >= 0]
        expected = np.sort(share[there])[::-1][:KEPT]
        assert there[ids].all()
        np.testing.assert_allclose(share[ids], expected)
        np.testing.assert_allclose(expit(ranked.scores[row, : len(ids)]), expected, rtol=1e-5)
    values = large_judgment.judge(outcome, dataset, resampling.draw(5, 120)).values
    first = np.take_along_axis(dataset.y_test, ranked.ids[:, :1], axis=1)
    assert values["precision_at_1"] == pytest.approx(first.mean())


# The report.


@pytest.fixture(scope="module")
def comparison():
    dataset = make_dataset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judgment, "NUM_RESAMPLES", 40)
        found = Comparison(dataset, Settings(), baseline=BASELINE)
        for label, skill in ((BASELINE, 0.1), ("zlpr_loss", 0.2)):
            found.add(parse(label), make_outcome(dataset, models=1, skill=skill))
        for seed, name in enumerate(NAMES):
            outcome = make_outcome(dataset, models=1, seed=seed, skill=9, validation=0.9)
            found.add_reference(name, outcome)
    return found


def test_references_stand_below_the_losses_and_are_never_marked(comparison):
    for table in report._tables(comparison):
        lines = report.laid_out([table], 80).splitlines()
        starts = [
            next(place for place, line in enumerate(lines) if line.startswith(start))
            for start in ("zlpr_loss", "(prior only)", "(logistic", "(random forest)")
        ]
        assert starts == sorted(starts)
        below = "\n".join(lines[starts[1] :])
        assert " +" not in below
        assert " -" not in below
        assert any(line.startswith("regression)") for line in lines)
    text = " ".join(report.text(comparison).split())
    assert "In brackets, what no loss brings: prior only gives every row" in text
    assert "1.00" in text  # far better than the losses, and yet:
    assert comparison.best in comparison.outcomes
    assert comparison.recommended in comparison.outcomes
    assert not set(NAMES) & set(comparison.simultaneous)


def test_references_have_the_figures_of_losses(comparison):
    assert list(comparison.references) == NAMES
    for figures in comparison.references.values():
        assert figures.keys() == comparison.results[BASELINE].keys()
        assert all(list(figure) == ["mean", "low", "high", "values"] for figure in figures.values())
    rows = [row for row in report.csv_rows(comparison) if row["loss"] in NAMES]
    assert len(rows) == 3 * len(comparison.results[BASELINE])
    assert {row["marked"] for row in rows} == {""}
    assert comparison.judgments[BASELINE].num_rows == ROWS
    assert notes.REFERENCES.keys() == set(NAMES)
