"""Comparisons of losses over more labels than a dense model is trained for; here these are few."""

import csv
import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from mllosses_jax import metrics
from mllosses_jax.compare import compare, plan, resampling
from mllosses_jax.compare.bound_loss import bind_to_head
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large import judgment, linear, training
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.large.thresholds import thresholds
from mllosses_jax.compare.large.training import Fitter, make_data
from mllosses_jax.compare.page import labels as labels_tab
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset
from mllosses_jax.weighting import inverse_propensity

BINARY = "sigmoid_binary_cross_entropy"
FEWER = 200  # labels that a dense model is trained for in these tests
CLUSTERS, LABELS = 5, FEWER + 150


def toy(rows=240, labels=7, seed=0, **parts):
    """Returns data with few labels, for oracles that look at each of them."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 4)).astype(np.float32)
    logits = x @ generator.normal(size=(4, labels)) - 1 + generator.normal(size=(rows, labels))
    half = rows // 2
    return Dataset(
        name="toy",
        label_names=tuple(f"label {j}" for j in range(labels)),
        x_train=x[:half],
        y_train=logits[:half] > 0,
        x_test=x[half:],
        y_test=logits[half:] > 0,
        **parts,
    )


def clustered(rows=400, seed=3):
    """Returns rows of clusters, and the probabilities of the labels in each, (CLUSTERS, LABELS).

    A row says nothing but which cluster it is of. So the best ranking of its labels is known: by
    the probabilities of the cluster. A cluster has six likely labels of its own, and in the draw
    of this seed their frequencies in the training rows are in the order of their probabilities.
    """
    generator = np.random.default_rng(seed)
    probabilities = np.full((CLUSTERS, LABELS), 1e-4)
    for cluster in range(CLUSTERS):
        own = generator.permutation(LABELS)[:6]
        probabilities[cluster, own] = np.linspace(0.95, 0.2, 6)
    cluster = np.arange(2 * rows) % CLUSTERS
    x = np.eye(CLUSTERS, dtype=np.float32)[cluster]
    y = generator.random((2 * rows, LABELS)) < probabilities[cluster]
    dataset = Dataset(
        name="clusters",
        label_names=tuple(map(str, range(LABELS))),
        x_train=x[:rows],
        y_train=y[:rows],
        x_test=x[rows:],
        y_test=y[rows:],
    )
    return dataset, probabilities[cluster[rows:]]


@pytest.fixture(scope="module", autouse=True)
def fewer_labels_are_many():
    with jax.numpy_dtype_promotion("standard"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MANY_LABELS", FEWER)
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A comparison over many labels, its data, the best scores, and the folder it is in.

    Features that exclude each other let training converge in few epochs.
    """
    out = tmp_path_factory.mktemp("large") / "out"
    dataset, best = clustered()
    losses = f"{BINARY}, softmax_cross_entropy, dice_loss, generalized_binary_cross_entropy(q=0.3)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "ROUNDS", (8, 16))
        return compare(dataset, losses=losses, num_seeds=2, out=out), dataset, best, out


def test_the_known_optimum_is_found(done):
    comparison, dataset, best, _ = done
    truth = jnp.asarray(dataset.y_test)
    for name, figures in comparison.results.items():
        for k in (1, 3, 5):
            expected = float(metrics.precision_at_k(jnp.asarray(best), truth, k))
            assert figures[f"precision_at_{k}"]["mean"] == pytest.approx(expected, abs=0.005), name
        expected = float(metrics.ndcg_at_k(jnp.asarray(best), truth, 5))
        assert figures["ndcg_at_5"]["mean"] == pytest.approx(expected, abs=0.005), name


def test_what_cannot_be_trained_is_named(done):
    comparison, *_, out = done
    assert comparison.settings.model == "linear_head"
    assert comparison.left_out == {"dice_loss": "has one value per label"}
    assert list(comparison.results) == [
        BINARY,
        "softmax_cross_entropy",
        "generalized_binary_cross_entropy(q=0.3)",
    ]
    text = " ".join((out / "report.md").read_text().split())
    assert "Left out, as a head over very many labels cannot train with them: dice_loss" in text
    for word in ("P@1", "PSP@5", "nDCG@5", "micro-F1", "## Verdict", "global_threshold.json"):
        assert word in text
    assert list(comparison.references) == ["prior only"]
    assert comparison.references["prior only"].keys() == comparison.results[BINARY].keys()
    assert "(prior only)" in text
    assert "logistic" not in text
    for word in ("mAP", "ECE", "calibrator"):
        assert word not in text.partition("## Checks")[0]
    assert json.loads((out / "results.json").read_text())["left_out"] == comparison.left_out
    with pytest.raises(ComparisonError, match="dice_loss has one value per label; multilabel_d"):
        compare(comparison.dataset, losses="dice_loss, multilabel_distillation_loss")


def test_the_page_shows_what_there_is(done):
    """There are neither scores of all labels nor thresholds by label."""
    comparison, *_, out = done
    page = (out / "report.html").read_text()
    assert "F1 of each label against its training positives" in page
    assert all(title not in page for title in ("Average precision", "Reliability", "The curves of"))
    assert "labels with fewer test positives are in per_label.csv alone" in page
    assert "global_threshold.json" in page
    assert "/thresholds.json" not in page
    with np.load(out / "predictions.npz") as found:
        ranked = comparison.outcomes[comparison.recommended].test[0]
        np.testing.assert_array_equal(found["top_ids"], ranked.ids)
        assert not found["label_sets"][ranked.ids < 0].any()


def test_labels_without_a_test_positive_do_not_count_in_groups(done, monkeypatch):
    comparison, *_, out = done
    with open(out / "per_label.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"] == comparison.recommended]
    most = max(int(row["training_positives"]) for row in rows)
    monkeypatch.setattr(labels_tab, "EDGES", (most, most))  # the tail is all labels but the largest
    tail = [row for row in rows if int(row["training_positives"]) < most]
    judged = [float(row["f1"]) for row in tail if int(row["test_positives"]) > 0]
    assert 0 < len(judged) < len(tail)
    assert f"tail, {comparison.recommended} {np.mean(judged):.3f}" in labels_tab.content(comparison)


def test_a_run_is_resumed_from_its_files(done):
    comparison, dataset, _, out = done
    of_loss = {path.name for path in (out / "losses" / BINARY).iterdir()}
    assert of_loss == {"model.npz", "validation.npz", "test.npz", "global_threshold.json"}
    told = []
    again = compare(
        dataset, losses=BINARY, num_seeds=2, out=out, on_progress=lambda *now: told.append(now[-1])
    )
    assert told == [f"finished before: {label}" for label in comparison.results]
    assert again.results == comparison.results
    assert again.references == comparison.references
    assert again.simultaneous == comparison.simultaneous
    assert again.simultaneous.keys() == again.differences.keys()
    for label, outcome in comparison.outcomes.items():
        read = again.outcomes[label]
        assert read.chosen == outcome.chosen
        assert read.global_threshold == outcome.global_threshold
        np.testing.assert_array_equal(read.held.ids, outcome.held.ids)
        np.testing.assert_array_equal(read.params["kernel"], outcome.params["kernel"])


def test_the_kept_model_gives_the_kept_scores(done):
    comparison, dataset, _, out = done
    with np.load(out / "losses" / BINARY / "model.npz") as file:
        model = dict(file)
    x = (dataset.x_test - model["feature_shift"]) * model["feature_scale"]
    logits = x @ model["params/kernel"][0] + model["params/bias"][0]
    [ranked] = comparison.outcomes[BINARY].test
    assert ranked.ids.shape == (len(dataset.x_test), training.KEPT)
    found = np.take_along_axis(logits, ranked.ids, axis=1)
    np.testing.assert_allclose(found, ranked.scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ranked.scores, -np.sort(-logits, axis=1)[:, :100], atol=1e-4)


@pytest.mark.parametrize("damage", ["ids", "rows", "missing"])
def test_damaged_files_are_refused(done, damage, tmp_path):
    comparison, dataset, *_ = done
    outcome = comparison.outcomes[BINARY]
    ranked = Ranked(outcome.held.ids.copy(), outcome.held.scores)
    if damage == "ids":
        ranked.ids[0, 0] = LABELS
    rows = outcome.held_rows + len(dataset.x_train) * (damage == "rows")
    dataclasses.replace(outcome, held=ranked, held_rows=rows).save(tmp_path, dataset, {})
    if damage == "missing":
        (tmp_path / "test.npz").unlink()
    with pytest.raises((ValueError, OSError)):
        RankedOutcome.load(tmp_path, dataset)


def test_fits_are_those_of_scikit_learn():
    """Of each label on its own: scikit-learn minimises the sum of losses + ||w||^2 / (2 C)."""
    dataset = toy()
    fitter = Fitter(dataset, bind_to_head(BINARY, dataset))
    rows, strength = np.arange(len(dataset.x_train)), 0.05
    fit = fitter.fit(rows, strength, tolerance=1e-4, rounds=4, seed=0)
    assert fit.residual <= 1e-4
    for label in range(7):
        peer = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-8, max_iter=1000)
        peer.fit(dataset.x_train, dataset.y_train[:, label])
        np.testing.assert_allclose(fit.state.kernel[label], peer.coef_[0], atol=0.02)
        np.testing.assert_allclose(fit.state.bias[label], peer.intercept_[0], atol=0.03)


def test_the_objective_is_that_of_all_rows():
    generator = np.random.default_rng(1)
    mask = generator.random((120, 7)) < 0.8
    mask[3] = False
    dataset = toy(mask_train=mask)
    fitter = Fitter(dataset, bind_to_head(BINARY, dataset))
    state = fitter.start(np.arange(120))
    kernel = generator.normal(size=(7, 4)).astype(np.float32)
    state = state._replace(kernel=jnp.asarray(kernel))
    z = dataset.x_train.astype(np.float64) @ kernel.T + np.asarray(state.bias, np.float64)
    signs = np.where(dataset.y_train, 1, -1)
    losses = np.where(mask, np.logaddexp(0, -signs * z), 0)
    slopes = np.where(mask, -signs / (1 + np.exp(signs * z)), 0) / 119
    assert len(fitter.rows) == 119  # a row without a known label does not count
    found = fitter.objective(state, fitter.rows, 0.3)
    np.testing.assert_allclose(
        found.value, losses.sum() / 119 + 0.15 * (kernel**2).sum(), rtol=1e-6
    )
    np.testing.assert_allclose(
        found.kernel, slopes.T @ dataset.x_train + 0.3 * kernel, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found.bias, slopes.sum(0), rtol=1e-5, atol=1e-6)


def test_unknown_labels_are_never_ranked():
    mask = np.random.default_rng(2).random((120, 7)) < 0.5
    dataset = toy(mask_test=mask)
    fitter = Fitter(dataset, bind_to_head(BINARY, dataset))
    data = make_data(dataset.x_test, dataset.y_test, dataset.mask_test)
    ranked = fitter.ranked(fitter.start(np.arange(120)), data, 5)
    for row in range(120):
        ids = ranked.ids[row][ranked.ids[row] >= 0]
        assert len(ids) == min(mask[row].sum(), 5)
        assert mask[row, ids].all()


def ranked_outcome(dataset, seed=0, threshold=0.1, kept=7):
    """Returns an outcome of random scores, and these scores for all labels."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=dataset.y_test.shape).astype(np.float32)
    scores += 0.5 * dataset.y_test
    order = np.argsort(-scores, axis=1, kind="stable")[:, :kept].astype(np.int32)
    ranked = Ranked(order, np.take_along_axis(scores, order, axis=1))
    outcome = RankedOutcome(
        params={},
        chosen={},
        tried={"score": np.zeros(1)},
        at_edge=(),
        varies=False,
        residuals=np.zeros(1),
        seconds=0.0,
        cpu_seconds=0.0,
        test=(ranked,),
        held=ranked,
        held_rows=np.arange(len(scores)),
        global_threshold=np.float32(threshold),
    )
    return outcome, scores


def test_metrics_are_those_of_all_scores():
    dataset = toy(rows=60)
    outcome, scores = ranked_outcome(dataset)
    weights = resampling.draw(5, 30)
    judged = judgment.judge(outcome, dataset, weights)
    train = dataset.y_train
    inverse = inverse_propensity(
        jnp.asarray(np.clip(train.sum(0), 1, len(train) - 1)), jnp.float32(len(train))
    )

    def expected(rows):
        s, y = jnp.asarray(scores[rows]), jnp.asarray(dataset.y_test[rows])
        found = {f"precision_at_{k}": metrics.precision_at_k(s, y, k) for k in (1, 3, 5)}
        found |= {f"ndcg_at_{k}": metrics.ndcg_at_k(s, y, k) for k in (3, 5)}
        found |= {
            f"psp_at_{k}": metrics.psp_at_k(s, y, k, inverse_propensity=inverse) for k in (1, 3, 5)
        }
        sets = scores[rows] >= outcome.global_threshold
        return found | {"micro_f1_tuned": f1_score(dataset.y_test[rows], sets, average="micro")}

    assert set(judged.values) == set(judgment.METRICS)
    for name, value in expected(np.arange(30)).items():
        np.testing.assert_allclose(judged.values[name], [value], rtol=1e-6, err_msg=name)
    for number in range(5):
        drawn = np.repeat(np.arange(30), weights[:, number].astype(int))
        for name, value in expected(drawn).items():
            np.testing.assert_allclose(judged.replicates[name][number], value, rtol=1e-6)


def test_metrics_of_a_diverged_model_are_undefined():
    dataset = toy(rows=60)
    outcome, _ = ranked_outcome(dataset)
    broken = Ranked(outcome.held.ids, np.full_like(outcome.held.scores, np.nan))
    outcome = dataclasses.replace(outcome, test=(broken,), held=broken)
    judged = judgment.judge(outcome, dataset, resampling.draw(5, 30))
    assert all(np.isnan(values).all() for values in judged.values.values())
    assert judgment.quality(broken, dataset.y_train[:30], dataset.known_train[:30]) == -math.inf
    assert judgment.common_threshold(broken, dataset.y_train[:30], dataset.known_train[:30]) == 0


@pytest.mark.parametrize("kept", [2, 7])
def test_the_common_threshold_is_the_best_of_all(kept):
    for seed in range(30):
        dataset = toy(rows=12, seed=seed)
        dataset = dataclasses.replace(dataset, x_train=dataset.x_test, y_train=dataset.y_test)
        outcome, scores = ranked_outcome(dataset, kept=kept, seed=seed)
        lowest = outcome.held.scores[:, -1:]
        known = np.where(scores >= lowest, scores, -np.inf)  # the labels that are kept
        found = judgment.common_threshold(
            outcome.held, dataset.y_train[:6], dataset.known_train[:6]
        )
        quality = [
            f1_score(dataset.y_test, known >= threshold, average="micro", zero_division=0)
            for threshold in (found, *np.unique(outcome.held.scores))
        ]
        assert quality[0] == max(quality)


def test_the_threshold_file_says_what_it_gains():
    dataset = toy(rows=60)
    outcome, scores = ranked_outcome(dataset, threshold=0.4)
    weights = resampling.draw(20, 30)
    found = thresholds(outcome, dataset, weights, loss=BINARY)
    assert found.by_label is None
    report, y = found.common, dataset.y_test
    assert np.all(report.thresholds == np.float32(0.4))
    for name, threshold in (("tuned", np.float32(0.4)), ("baseline", 0)):
        for average, gain in (("macro", report.macro), ("micro", report.micro)):
            value = f1_score(y, scores >= threshold, average=average, zero_division=0)
            assert getattr(gain, name) == pytest.approx(value)
    np.testing.assert_allclose(report.f, f1_score(y, scores >= np.float32(0.4), average=None))
    np.testing.assert_array_equal(report.num_positives, y.sum(0))
    assert report.micro.low < report.micro.gain < report.micro.high


def test_a_label_that_is_never_known_starts_as_rare():
    mask = np.ones((120, 7), bool)
    mask[:, 2] = False
    dataset = toy(mask_train=mask)
    start = Fitter(dataset, bind_to_head(BINARY, dataset)).start(np.arange(120))
    np.testing.assert_allclose(start.bias[2], np.log(1 / 119), rtol=1e-6)
    assert np.argmin(start.bias) == 2


@pytest.mark.parametrize("number", [1, 3])
def test_settings_are_chosen_on_rows_with_a_known_label(number):
    rows = np.arange(50, 50 + number)
    train, held = linear._held_out(rows, None)
    assert len(held) == 1
    assert set(train) | set(held) == set(rows)
    assert len(train) == max(number - 1, 1)


def test_a_second_order_of_rows_shows_whether_order_matters(monkeypatch):
    fitter = Fitter(toy(), bind_to_head(BINARY, toy()))
    monkeypatch.setattr(linear, "SAME", 0.01)  # a swap of two labels is .001 on so few rows
    fits, varies = linear._final(fitter, fitter.reference, Settings(num_seeds=3))
    assert (len(fits), varies) == (1, False)
    monkeypatch.setattr(linear, "SAME", -1.0)
    fits, varies = linear._final(fitter, fitter.reference, Settings(num_seeds=3))
    assert (len(fits), varies) == (3, True)


def test_parameters_reach_the_loss():
    dataset = toy()
    plain = bind_to_head("asymmetric_loss", dataset)
    given = bind_to_head("asymmetric_loss(gamma_neg=2, detach_focus=False)", dataset)
    assert plain.arguments == {}
    assert given.arguments == {"gamma_neg": 2, "detach_focus": False}
    assert bind_to_head("balanced_binary_cross_entropy", dataset).given == "alpha"
    with pytest.raises(ComparisonError, match="alpha has 2 values for 7 labels"):
        bind_to_head(parse("balanced_binary_cross_entropy(alpha=[0.1, 0.2])"), dataset)
    values = [
        float(fitter.objective(fitter.start(fitter.rows), fitter.rows, 0.0).value)
        for fitter in (Fitter(dataset, plain), Fitter(dataset, given))
    ]
    assert values[0] != values[1]
