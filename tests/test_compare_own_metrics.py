"""Further metrics of a comparison: by name, the user's own, compiled or not, and refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from comparison_inputs import make_dataset, make_outcome
from sklearn import metrics as peers

import mllosses_jax as mll
from mllosses_jax.compare import compare, report
from mllosses_jax.compare.choosing import choose
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.own_metric import NAMES, RESAMPLES, choose_metrics, try_metrics
from mllosses_jax.compare.settings import Settings

LOSSES = choose("sigmoid_binary_cross_entropy, zlpr_loss")


def spread(scores, labels, where=None):
    """A metric on a scale of its own."""
    return 100 * jnp.mean(jnp.where(labels, scores, -scores))


def on_host(scores, labels):
    """A metric that JAX cannot trace."""
    return float(peers.label_ranking_average_precision_score(np.asarray(labels), scores))


def first_row_only(scores, labels):
    return float(np.asarray(scores)[0, 0])


def breaks(scores, labels):
    rows = labels.shape[0]
    return scores.reshape(rows + 1, -1).mean()


def by_row(scores, labels):
    return scores.mean(axis=1)


def compared(metrics, masked=False):
    """Returns a comparison of two losses, the second of which is better."""
    dataset = make_dataset(masked)
    chosen = choose_metrics(metrics)
    try_metrics(chosen, dataset)
    comparison = Comparison(dataset, Settings(), baseline=LOSSES[0].label, further_metrics=chosen)
    for choice, skill in zip(LOSSES, (0.5, 2.0), strict=True):
        comparison.add(choice, make_outcome(dataset, skill=skill))
    return comparison


def test_every_name_gives_a_number_on_masked_data():
    needed = {
        **dict.fromkeys([n for n in NAMES if n.endswith("_at_k")], "k=2"),
        **dict.fromkeys(["psp_at_k", "psr_at_k", "psndcg_at_k"], "k=2, inverse_propensity=[1, 2]"),
        "fbeta": "beta=2",
    }
    scores = np.array([[0.5, -1], [2, 1], [-1, 3]], np.float32)
    labels, where = (
        np.array([[1, 0], [0, 1], [1, 1]], bool),
        np.array([[1, 1], [1, 1], [1, 0]], bool),
    )
    for name in (name for name in NAMES if name != "roc_auc"):  # which the tables have
        [metric] = choose_metrics(f"{name}({needed[name]})" if name in needed else name)
        value = metric(scores > 0 if metric.of_sets else scores, labels, where)
        assert np.shape(value) == ()
        assert 0 <= value <= 1 or not metric.bounded, name


def test_values_and_resamples_are_those_of_the_function():
    comparison = compared([spread, on_host, "precision_at_k(k=2), f1(average='micro')"])
    label = LOSSES[1].label
    outcome, data = comparison.outcomes[label], comparison.dataset
    y, judged = data.y_test, comparison.judgments[label]
    names = [name for name in judged.values if name not in comparison.experiment.metrics]
    assert [name.rpartition(":")[2] for name in names] == [
        "spread",
        "on_host",
        "precision_at_k(k=2)",
        "f1(average='micro')",
    ]
    sets = outcome.test_scores >= outcome.decisions.label_thresholds
    rows = np.repeat(np.arange(len(y)), comparison.resamples[:, 3].astype(int))
    oracles = [
        lambda s, p, y: 100 * np.where(y, s, -s).mean(),
        lambda s, p, y: peers.label_ranking_average_precision_score(y, s),
        lambda s, p, y: np.take_along_axis(y, np.argsort(-s, axis=1)[:, :2], axis=1).mean(),
        lambda s, p, y: peers.f1_score(y, p, average="micro"),
    ]
    for name, oracle in zip(names, oracles, strict=True):
        pairs = list(zip(outcome.test_scores, sets, strict=True))
        wanted = [oracle(s, p, y) for s, p in pairs]
        np.testing.assert_allclose(judged.values[name], wanted, rtol=1e-5)
        assert judged.replicates[name].shape == (RESAMPLES,)
        wanted = np.mean([oracle(s[rows], p[rows], y[rows]) for s, p in pairs])
        assert judged.replicates[name][3] == pytest.approx(wanted, rel=1e-5)
    figure = comparison.results[label][names[0]]
    assert figure["mean"] > 1  # and not cut at 1
    assert figure["low"] < figure["mean"] < figure["high"]


def test_lower_is_better_where_the_metric_says_so():
    def lower(scores, labels):
        return -jnp.mean(jnp.where(labels, scores, -scores))

    lower.higher_is_better = False
    own = {"up": spread, "down": (lambda s, y: -spread(s, y), False), "attribute": lower}
    comparison = compared(own)
    other = LOSSES[1].label
    assert [comparison.mark(other, name) for name in own] == ["+", "+", "+"]
    assert comparison.differences[other]["down"].mean < 0
    assert [m.higher_is_better for m in choose_metrics("one_error, brier_score, jaccard")] == [
        False,
        False,
        True,
    ]
    assert choose_metrics([mll.metrics.hamming_loss])[0].of_sets


def test_tables_and_files_hold_them():
    comparison = compared({"up": spread, "a quite long name of a metric": spread})
    text = report.text(comparison)
    assert "Further metrics\n" in text
    assert "up (higher is better), a quite long name of a metric (higher is better)" in " ".join(
        text.split()
    )
    assert all(len(line) <= report.WIDTH + 1 for line in text.splitlines())
    rows = [row for row in report.csv_rows(comparison) if row["metric"] == "up"]
    assert [row["loss"] for row in rows] == [choice.label for choice in LOSSES]
    assert rows[1]["marked"] == 1


def test_divergence_gives_no_value():
    dataset = make_dataset()
    comparison = Comparison(
        dataset, Settings(), baseline=LOSSES[0].label, further_metrics=choose_metrics([spread])
    )
    outcome = make_outcome(dataset)
    broken = dataclasses.replace(outcome, test_scores=np.full_like(outcome.test_scores, np.nan))
    comparison.add(LOSSES[0], broken)
    [name] = [each.label for each in comparison.further_metrics]
    assert np.isnan(comparison.results[LOSSES[0].label][name]["mean"])


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("roc_au", "called 'roc_au'.*did you mean roc_auc"),
        ("roc_curve", "no metric of scores or label sets is called 'roc_curve'"),
        ("label_statistics", "no metric"),
        ("precision_at_k", r"precision_at_k.*missing.*'k'"),
        ("precision_at_k(k=x)", "precision_at_k: k is x; give a number"),
        ("precision_at_k(3)", "takes its parameters by name"),
        ("nowhere:metric", "no module 'nowhere' here"),
        (lambda s, y: 0.0, "a lambda has no name.*give a dict"),
        (3, r"names or functions \(metrics\), got 3"),
        ({"up": 3}, r"\{name: function\} or.*got \{'up': 3\}"),
        ({"": spread}, "metrics in a dict must be"),
        ([breaks], r"breaks failed in .*test_compare_own_metrics.py, line 38 \(return scores"),
        ([by_row], r"by_row .*test_compare_own_metrics.py, line 41\) returned shape \(20,\)"),
        ("f1(average=None)", r"returned shape \(4,\)"),
    ],
)
def test_mistakes_are_named(metrics, words):
    with pytest.raises(ComparisonError, match=words) as caught:
        compare(make_dataset(), losses="zlpr_loss", metrics=metrics)
    assert "\n" not in str(caught.value)


def test_unknown_labels_need_a_metric_that_takes_where():
    with pytest.raises(ComparisonError, match=r"takes no `where`.*test part of toy"):
        compare(make_dataset(masked=True), losses="zlpr_loss", metrics=[first_row_only])


@pytest.mark.parametrize(
    ("metrics", "table"),
    [
        ({"map": spread}, "mAP"),
        ({"mAP": spread}, "mAP"),
        ({"ROC AUC": spread}, "ROC AUC"),
        ({"macro-F1": spread}, "macro-F1"),
        ({"ranking_loss": spread}, "ranking loss"),
        ("roc_auc", "ROC AUC"),
    ],
)
def test_a_metric_cannot_be_mistaken_for_one_of_the_tables(metrics, table):
    with pytest.raises(ComparisonError, match=f"would be mistaken for {table}"):
        choose_metrics(metrics)


def test_headings_of_metrics_differ():
    found = choose_metrics({"a long name of one": spread, "a long name of two": on_host})
    headings = [metric.column.heading for metric in found]
    assert headings[1].endswith(" 2")
    assert len(set(headings)) == 2
