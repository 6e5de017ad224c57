"""The sentences of a report: what was done, what its figures mean, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare import intervals, judgment, parts
from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.intervals import too_small
from mllosses_jax.compare.judgment import METRICS
from mllosses_jax.compare.large import notes as large_notes
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


NDCG = (
    "nDCG@5: the positives among the first five labels, discounted by the logarithm of their rank, "
    "as a share of the largest possible value. "
)


def heading(comparison: Comparison) -> list[str]:
    """Returns what was compared and how: data, losses, model, seeds and thresholds."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    rows, (test_rows, num_labels) = len(dataset.x_train), dataset.y_test.shape
    masks = {"training": dataset.mask_train, "test": dataset.mask_test}
    unknown = [
        f"{np.mean(~mask):.0%} of the {part} part's"
        for part, mask in masks.items()
        if mask is not None and not mask.all()
    ]
    count = len(comparison.results)
    first = (
        f"{dataset.name}: {rows} training rows, {test_rows} test rows, "
        f"{dataset.x_train.shape[1]} features, {num_labels} label{'s' * (num_labels != 1)}; "
        f"{count} {'loss' if count == 1 else 'losses'}"
    )
    if unknown:
        first += f". {' and '.join(unknown)} labels are unknown and do not count"
    return [
        first,
        *_how(comparison),
        *large_notes.left_out(comparison.left_out),
    ]


def _how(comparison: Comparison) -> list[str]:
    """Returns how models are trained, what seeds determine, and how thresholds are tuned."""
    settings, rows = comparison.settings, len(comparison.dataset.x_train)
    if settings.model == "linear_head":
        return [large_notes.MODEL, _seeds(comparison), large_notes.DECISIONS]
    few = rows < parts.FEW_ROWS
    folds = parts.FOLDS_OF_FEW if few else parts.FOLDS
    if settings.model == "linear":
        model = (
            "Model: linear, a stationary point of mean loss + (strength / 2) ||kernel||^2 with a "
            f"free bias. The strength of each loss is chosen by {folds} folds for the best average "
            "precision by label and by row, and the model is fitted again to all training rows."
        )
    else:
        share = f"{folds} folds" if few else "a fifth of the rows for each seed up to the fifth"
        model = (
            "Model: MLP with one hidden layer. Step size, decay and number of steps are chosen on "
            f"{share} for the best average precision by label and by row, with the same budget "
            "for each loss, and the model is trained again on all training rows."
        )
    return [
        model,
        _seeds(comparison),
        "Thresholds, for the best F1, and a Platt calibrator are tuned on scores of training rows "
        "by models that were not trained on them. There is one threshold for all labels for "
        f"micro-F1, and one per label for macro-F1 (a label with fewer than {MIN_POSITIVES} "
        "positives takes the common one).",
    ]


def _seeds(comparison: Comparison) -> str:
    """Returns what the seeds determine."""
    num_seeds = comparison.settings.num_seeds
    if comparison.settings.model == "mlp":
        return f"Seeds: {num_seeds}, which set the start of each model and the order of its rows."
    sets = (
        "in which order a fit sees the rows"
        if comparison.settings.model == "linear_head"
        else ("where a fit starts")
    )
    several = [label for label, outcome in comparison.outcomes.items() if outcome.varies]
    if not several:
        return (
            f"Seeds: none. No model depends on {sets}, so each loss has one model, and the results "
            "describe these fitted models."
        )
    each = f"of {len(several)} losses" if len(several) > 3 else "of " + ", ".join(several)
    others = len(several) < len(comparison.outcomes)
    rest = "; the other losses have one model each." if others else "."
    return (
        f"Seeds: {num_seeds}, each of which sets {sets}. This matters to the models "
        f"{each}, with one model for each seed{rest}"
    )


def explanation(comparison: Comparison) -> list[str]:
    """Returns what a reader needs to know to read the tables, as paragraphs."""
    compared = [
        difference
        for label, by_metric in comparison.differences.items()
        for metric, difference in by_metric.items()
        if not math.isnan(difference.mean)
    ]
    paragraphs = [
        "The tables show means over the models of a loss. Below each is the 95% interval of the "
        f"expected value at this test size, over test rows ({judgment.NUM_RESAMPLES} resamples, "
        "the same for all losses) and, if there are several models, over seeds."
    ]
    if compared:
        marked = sum(difference.excludes_zero for difference in compared)
        can_be = sum(difference.decided for difference in compared)
        named_first = "" if comparison.baseline == BASELINE else ", the loss that was named first"
        paragraph = (
            f"+ means better and - worse than {comparison.baseline}{named_first}: the interval of "
            "the difference excludes zero."
        )
        if can_be:
            chance = 0.05 * can_be
            paragraph += (
                f" {marked} of {can_be} comparisons are marked; by chance alone about "
                f"{chance:.{0 if chance >= 1 else 1}f} would be, because the intervals are not "
                "corrected for the number of comparisons."
            )
        if not all(outcome.varies for outcome in comparison.outcomes.values()):
            paragraph += (
                " If neither loss's model depends on a seed, a mark concerns these fitted models "
                "only."
            )
        paragraphs.append(paragraph)
        if can_be < len(compared):
            paragraphs.append(
                "Models that depend on the seed were trained with only one, so their differences "
                "are not marked. Ask for more seeds."
            )
    large = comparison.settings.model == "linear_head"
    paragraphs.append(large_notes.METRICS if large else _metrics(comparison))
    if not all(choice.entry.zero_decides for choice in comparison.choices.values()):
        paragraphs.append(
            "*: this loss only orders the labels and fixes no origin, so 0.5 and sigmoid(logit) "
            "say nothing about it; see the tuned columns."
        )
    if comparison.given:
        each = "; ".join(f"{name}: {what}" for name, what in comparison.given.items())
        paragraphs.append(
            "Some losses were given more than logits and labels; where no number is shown, it was "
            f"estimated from the training part. {each}."
        )
    return paragraphs


def _metrics(comparison: Comparison) -> str:
    """Returns what the metrics of the tables mean."""
    lower = [m.heading.replace("\n", " ") for m in METRICS.values() if not m.higher_is_better]
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
        "held-out score is the mean of average precision by label and by row on training rows that "
        "the models were not trained on; it chose the settings, and it chooses the best loss."
    )


def warnings(comparison: Comparison) -> list[str]:
    """Returns the reasons why results may not mean what they seem to."""
    paragraphs = _of_rows(comparison)
    large = comparison.settings.model == "linear_head"
    if not large:
        paragraphs += _of_labels(comparison)
    edges = [label for label, outcome in comparison.outcomes.items() if outcome.at_edge]
    if edges:
        why = (
            "every loss is given the same number of values to try"
            if comparison.settings.model == "mlp"
            else "the edge does not move"
        )
        paragraphs.append(
            f"!: the best value is at an edge of those tried, and {why} ({', '.join(edges)})."
        )
    residuals = {
        label: float(np.max(outcome.residuals)) for label, outcome in comparison.outcomes.items()
    }
    if large:
        paragraphs += large_notes.restless(residuals)
    elif comparison.settings.model == "linear":
        paragraphs += _restless(residuals, comparison.settings.tolerance)
    return paragraphs + _undefined(comparison)


def _of_rows(comparison: Comparison) -> list[str]:
    """Returns what is unusual about the rows of the test part, and whether nothing was tuned."""
    dataset, large = comparison.dataset, comparison.settings.model == "linear_head"
    assert dataset.y_test is not None
    labels, known = dataset.y_test, dataset.known_test
    paragraphs = []
    if not comparison.outcomes[comparison.best].quality > 0:
        which = "held-out row" if large else "label"
        paragraphs.append(
            f"Nothing could be chosen or tuned: no {which} of the training part has a known "
            "positive."
        )
    left_out = int(np.sum(~known.any(1)))
    if left_out:
        paragraphs.append(
            f"Test rows without a known label, which are left out: {left_out} of {len(labels)}."
        )
    empty = int(np.sum(known.any(1) & ~(labels & known).any(1)))
    if empty:
        others = "P@k and nDCG" if large else "P@k, nDCG and ranking loss and as 1 in LRAP"
        paragraphs.append(
            f"Test rows without a known positive, which count as 0 in {others}: {empty} of "
            f"{len(labels)}."
        )
    if "rows" in too_small(len(labels), (labels & known).sum(0)):
        paragraphs.append(
            f"The test part has {len(labels)} row{'s' * (len(labels) != 1)}; with fewer than "
            f"{intervals.MIN_ROWS}, intervals are rough."
        )
    return paragraphs


def _of_labels(comparison: Comparison) -> list[str]:
    """Returns whether labels of the test part have too few positives for their means."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    positives = (dataset.y_test & dataset.known_test).sum(0)
    if "positives" not in too_small(len(dataset.y_test), positives):
        return []
    rare = int(np.sum(positives < intervals.MIN_POSITIVES))
    return [
        f"Labels with fewer than {intervals.MIN_POSITIVES} test positives: {rare} of "
        f"{len(positives)}. Intervals of means over labels are therefore rough."
    ]


def _restless(residuals: dict[str, float], tolerance: float) -> list[str]:
    """Returns which fits of the linear model ended before they had converged."""
    found = [f"{label} {value:.1e}" for label, value in residuals.items() if not value <= tolerance]
    if not found:
        return []
    return [
        "Not converged: the norm of the objective's gradient did not fall to "
        f"{tolerance:g} of its value at the start ({', '.join(found)}). Training of these models "
        "was continued by Adam with a step size that shrinks to 0. Losses with kinks, such as "
        "hinges, never converge in this sense."
    ]


def _undefined(comparison: Comparison) -> list[str]:
    """Returns why a metric is not available."""
    diverged = [
        label
        for label, judged in comparison.judgments.items()
        if np.isnan(judged.values["precision_at_1"]).any()
    ]
    if diverged:
        return [f"n/a: training diverged ({', '.join(diverged)})."]
    judged = comparison.judgments[comparison.baseline].values
    if np.isnan(judged.get("map", 0)).any():
        return ["n/a: no label has a positive in the test part, so mAP and ROC AUC are undefined."]
    if np.isnan(judged.get("roc_auc", 0)).any():
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
    if count == 1:
        return f"there was no other loss to compare {baseline} with"
    qualities = [outcome.quality for outcome in comparison.outcomes.values()]
    chosen = f"the best of {count} on validation scores"
    if best == baseline:
        alone = qualities.count(max(qualities)) == 1
        it = f"it is {chosen}" if alone else "no loss is better on validation scores"
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
        return f"take {best}: {chosen}, it is ahead of {baseline} by {size}"
    if lead.mean > 0:
        what = f"and ahead by {size}, but the lead is not significant, and the best of {count}"
        return f"keep {baseline}. {best} is {chosen}, {what} always seems to have one"
    return f"keep {baseline}. {best} is {chosen}, but behind by {size}"
