"""The sentences of a report: what was done, what its figures mean, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax._core import intervals
from mllosses_jax._core.intervals import too_small
from mllosses_jax.compare import judgment, methods, references
from mllosses_jax.compare.card import first_part
from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.judgment import METRICS
from mllosses_jax.compare.large import notes as large_notes
from mllosses_jax.compare.own_metric import RESAMPLES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


NDCG = (
    "nDCG@5: the positives among the first five labels, discounted by the logarithm of their rank, "
    "as a share of the largest possible value. "
)

REFERENCES = {
    references.PRIOR: (
        "prior only gives every row the log odds of each label's frequency in the training part, "
        "and so, with tuned thresholds, the best sets that are the same for all rows"
    ),
    references.LOGISTIC: (
        "logistic regression is scikit-learn's, with one model per label and a common strength "
        "chosen as those of the losses are"
    ),
    references.FOREST: (
        f"random forest is scikit-learn's, with {references.TREES} trees for all labels together, "
        "in whose targets an unknown label has its frequency; thresholds of these two are tuned "
        "on scores of rows that they were not trained on, like those of the losses"
    ),
}


def heading(comparison: Comparison) -> list[str]:
    """Returns what was compared and how: data, losses, model, seeds and thresholds."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    rows, (test_rows, num_labels) = len(dataset.x_train), dataset.y_test.shape
    masks = {
        "validation": dataset.mask_validation,
        first_part(dataset): dataset.mask_train,
        "test": dataset.mask_test,
    }
    chosen_on = (
        "" if dataset.y_validation is None else f"{len(dataset.y_validation)} validation rows, "
    )
    unknown = [
        f"{np.mean(~mask):.0%} of the {part} part's"
        for part, mask in masks.items()
        if mask is not None and not mask.all()
    ]
    count = len(comparison.results)
    shape = dataset.feature_shape
    features = "" if 0 in shape else f"{' x '.join(map(str, shape))} features, "
    first = (
        f"{dataset.name}: {rows} {first_part(dataset)} rows, {chosen_on}{test_rows} test rows, "
        f"{features}{num_labels} label{'s' * (num_labels != 1)}; "
        f"{count} {comparison.settings.what[count != 1]}"
    )
    if unknown:
        first += f". {' and '.join(unknown)} labels are unknown and do not count"
    return [
        first,
        *methods.paragraphs(comparison),
        *large_notes.left_out(comparison.left_out),
    ]


def explanation(comparison: Comparison) -> list[str]:
    """Returns what a reader needs to know to read the tables, as paragraphs."""
    what = comparison.settings.what
    of = "name" if comparison.settings.model == "scores" else "loss"
    paragraphs = [
        f"The tables show means over the models of a {of}. Below each is the 95% interval of the "
        f"expected value at this test size, over test rows ({judgment.NUM_RESAMPLES} resamples, "
        f"the same for all {what[1]}) and, if there are several models, over seeds."
    ]
    paragraphs += _marks(comparison)
    paragraphs += _references(comparison)
    large = comparison.settings.model == "linear_head"
    metrics = large_notes.metrics(methods.held_out(comparison)) if large else _metrics(comparison)
    paragraphs.append(metrics)
    if comparison.further_metrics:
        paragraphs.append(_further(comparison))
    if not all(choice.zero_decides for choice in comparison.choices.values()):
        paragraphs.append(
            "*: this loss only orders the labels and fixes no origin, so 0.5 and sigmoid(logit) "
            "say nothing about it; see the tuned columns."
        )
    if any(set(each.at_edge) & set(each.chosen) for each in comparison.outcomes.values()):
        paragraphs.append("!: this value is at an edge of those tried.")
    if comparison.given:
        each = "; ".join(f"{name}: {what}" for name, what in comparison.given.items())
        paragraphs.append(
            "Some losses were given more than logits and labels; where no number is shown, it was "
            f"estimated from the training part. {each}."
        )
    return paragraphs


def _marks(comparison: Comparison) -> list[str]:
    """Returns what the marks of the tables mean, and how many differences are marked."""
    compared = [
        difference
        for by_metric in comparison.simultaneous.values()
        for difference in by_metric.values()
        if not math.isnan(difference.mean)
    ]
    if not compared:
        return []
    baseline, losses = comparison.baseline, len(comparison.simultaneous)
    one, several = comparison.settings.what
    named_first = "" if baseline == BASELINE else f", the {one} that was named first"
    paragraph = (
        f"+ means better and - worse than {baseline}{named_first}: the interval of the difference "
        "excludes zero."
    )
    if losses > 1:
        paragraph += (
            f" These intervals are simultaneous over the {losses} {several} that are compared with "
            "it: where all of them equal it in a metric, the chance that any is marked is about "
            "5 %."
        )
    can_be = sum(difference.decided for difference in compared)
    if can_be:
        marked = sum(difference.excludes_zero for difference in compared)
        paragraph += f" {marked} of {can_be} differences are marked."
    if not all(outcome.varies for outcome in comparison.outcomes.values()):
        who = "model" if one == "model" else "loss's model"
        paragraph += (
            f" If neither {who} depends on a seed, a mark concerns these fitted models only."
        )
    if can_be == len(compared):
        return [paragraph]
    return [
        paragraph,
        "Models that depend on the seed were trained with only one, so their differences are not "
        "marked. Ask for more seeds.",
    ]


def _further(comparison: Comparison) -> str:
    """Returns which further metrics there are, and how their intervals are made."""
    each = ", ".join(
        f"{metric.label} ({'higher' if metric.higher_is_better else 'lower'} is better)"
        for metric in comparison.further_metrics
    )
    sets = any(metric.of_sets for metric in comparison.further_metrics)
    at = " Label sets are those at thresholds tuned per label." if sets else ""
    return f"Further metrics: {each}. Their intervals rest on {RESAMPLES} of the resamples.{at}"


def _references(comparison: Comparison) -> list[str]:
    """Returns what the rows below the losses are, as no or one paragraph."""
    whats = [REFERENCES[name] for name in comparison.references]
    if not whats:
        return []
    missing = "".join(
        f" Left out: {name}, as its {reason}."
        for name, reason in comparison.references_left_out.items()
    )
    return [
        f"In brackets, what no loss brings: {'; '.join(whats)}. These rows are neither marked nor "
        f"recommended.{missing}"
    ]


def _metrics(comparison: Comparison) -> str:
    """Returns what the metrics of the tables mean."""
    lower = [m.heading.replace("\n", " ") for m in METRICS.values() if not m.higher_is_better]
    one, _ = comparison.settings.what
    chose = "" if one == "model" else "chose the settings, and it "
    return (
        f"Lower is better for {', '.join(lower)}; higher is better for all others. mAP and ROC AUC "
        "are means over the labels with a test positive and, for ROC AUC, also a test negative; "
        "macro-F1 counts all labels. P@k: the share of positives among the k labels with the "
        "highest scores. LRAP: the mean over a row's positives of the share of positives among the "
        "labels ranked no lower. Ranking loss: the share of a row's pairs of a positive and a "
        "negative that are in the wrong order. "
        f"{NDCG if 'ndcg_at_5' in next(iter(comparison.judgments.values())).values else ''}"
        "ECE tells how far probabilities are from frequencies, as a mean over labels, for "
        "sigmoid(logit) and after Platt calibration. `At 0.5` means sigmoid(logit) > 0.5. The "
        "held-out score is the mean of average precision by label and by row on "
        f"{methods.held_out(comparison)}; it {chose}chooses the best {one}."
    )


def warnings(comparison: Comparison) -> list[str]:
    """Returns the reasons why figures are missing or rough, besides what the checks find."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    paragraphs = []
    if not comparison.outcomes[comparison.best].quality > 0:
        which = "held-out row" if comparison.settings.model == "linear_head" else "label"
        paragraphs.append(
            f"Nothing could be chosen or tuned: no {which} of the training part has a known "
            "positive."
        )
    num_rows, positives = len(dataset.y_test), (dataset.y_test & dataset.known_test).sum(0)
    if "rows" in too_small(num_rows, positives):
        paragraphs.append(
            f"The test part has {num_rows} row{'s' * (num_rows != 1)}; with fewer than "
            f"{intervals.MIN_ROWS}, intervals are rough."
        )
    return paragraphs + _undefined(comparison)


def _undefined(comparison: Comparison) -> list[str]:
    """Returns why a metric of every loss is not available."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    if "map" not in comparison.experiment.metrics:
        return []
    positive = (dataset.y_test & dataset.known_test).any(0)
    negative = (~dataset.y_test & dataset.known_test).any(0)
    if not positive.any():
        return ["n/a: no label has a positive in the test part, so mAP and ROC AUC are undefined."]
    if not (positive & negative).any():
        return [
            "n/a: no label has both a positive and a negative in the test part, so ROC AUC is "
            "undefined."
        ]
    return []


def verdict(comparison: Comparison) -> str:
    """Returns which loss to take, why, and where its thresholds are."""
    baseline, taken = comparison.baseline, comparison.recommended
    if not comparison.outcomes[taken].quality > 0:
        return f"Verdict: none, as nothing could be chosen. The files are those of {baseline}."
    if comparison.thresholds[taken].by_label is None:
        return f"Verdict: {reason(comparison)}. The file global_threshold.json is that of {taken}."
    return (
        f"Verdict: {reason(comparison)}. The files thresholds.json (by label), "
        f"global_threshold.json and calibrator.json are those of {taken}."
    )


def reason(comparison: Comparison) -> str:
    """Returns which loss to take, and why."""
    baseline, best, count = comparison.baseline, comparison.best, len(comparison.results)
    one, _ = comparison.settings.what
    if count == 1:
        return f"there was no other {one} to compare {baseline} with"
    qualities = [outcome.quality for outcome in comparison.outcomes.values()]
    chosen = f"the best of {count} on validation scores"
    if best == baseline:
        alone = qualities.count(max(qualities)) == 1
        it = f"it is {chosen}" if alone else f"no {one} is better on validation scores"
        return f"keep {baseline}: {it}"
    metric = comparison.experiment.leading
    lead = comparison.differences[best][metric]
    if math.isnan(lead.mean):
        return f"keep {baseline}: a lead of {best}, {chosen}, cannot be measured"
    heading = comparison.experiment.metrics[metric].heading
    size = f"{abs(lead.mean):.3f} {heading} on test rows"
    if not math.isnan(lead.low):
        size += f" (a difference of {lead.low:+.3f} to {lead.high:+.3f})"
    if comparison.recommended == best:
        reason = f"take {best}: {chosen}, it is ahead of {baseline} by {size}"
        if not comparison.mark(best, metric):
            reason += (
                f". That interval is for this comparison alone, as validation chose the {one}; the "
                f"tables allow for {len(comparison.simultaneous)} comparisons and do not mark it"
            )
        return reason
    if lead.mean > 0:
        what = f"and ahead by {size}, but the lead is not significant, and the best of {count}"
        return f"keep {baseline}. {best} is {chosen}, {what} always seems to have one"
    return f"keep {baseline}. {best} is {chosen}, but behind by {size}"
