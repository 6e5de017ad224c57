"""The sentences of a report: what was done, what its figures mean, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare import intervals, judgment, parts
from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.intervals import too_small
from mllosses_jax.compare.judgment import METRICS
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


NDCG = (
    "nDCG@5: positives among the first five labels, discounted by the logarithm of their place, as "
    "a share of the most that can be. "
)


def heading(comparison: Comparison) -> list[str]:
    """Returns what was compared, and how: data, losses, model, seeds, thresholds."""
    dataset, settings = comparison.dataset, comparison.settings
    assert dataset.y_test is not None
    rows, (test_rows, num_labels) = len(dataset.x_train), dataset.y_test.shape
    few = rows < parts.FEW_ROWS
    folds = parts.FOLDS_OF_FEW if few else parts.FOLDS
    if settings.model == "linear":
        model = (
            "Model: linear, the point of rest of mean loss + (strength / 2) ||kernel||^2 with a "
            f"free bias; strength by {folds} folds, one for each loss, for the best average "
            "precision by label and by row; fitted again to all training rows."
        )
    else:
        share = f"{folds} folds" if few else "a fifth of the rows for each seed up to the fifth,"
        model = (
            "Model: MLP with one hidden layer; step size, decay and number of steps by "
            f"{share} for the best average precision by label and by row, with the same budget "
            "for each loss; trained again on all training rows."
        )
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
        first += f". {' and '.join(unknown)} labels are unknown and count nowhere"
    return [
        first,
        model,
        _seeds(comparison),
        "Thresholds, for the best F1, and a Platt calibrator are tuned on scores of training rows "
        "by models that were not trained on them: one threshold for all labels for micro-F1, one "
        f"per label for macro-F1 (a label with fewer than {MIN_POSITIVES} positives takes the "
        "common one).",
    ]


def _seeds(comparison: Comparison) -> str:
    """What seeds drew."""
    num_seeds = comparison.settings.num_seeds
    if comparison.settings.model == "mlp":
        return f"Seeds: {num_seeds}, which drew the start of each model and the order of its rows."
    several = [label for label, outcome in comparison.outcomes.items() if outcome.varies]
    if not several:
        return (
            "Seeds: none. No model depends on where its fit begins, so that each loss has one "
            "model, and the figures describe these fitted models."
        )
    each = f"of {len(several)} losses" if len(several) > 3 else "of " + ", ".join(several)
    return (
        f"Seeds: {num_seeds}, each of which drew where a fit begins. That matters to the models "
        f"{each}, which have one for each seed; the other losses have one model each."
    )


def explanation(comparison: Comparison) -> list[str]:
    """Returns what a reader must know to read the tables, one paragraph each."""
    compared = [
        difference
        for label, by_metric in comparison.differences.items()
        for metric, difference in by_metric.items()
        if not math.isnan(difference.mean)
    ]
    paragraphs = [
        "Means over the models of a loss; below them the 95% interval of what is expected at this "
        f"test size, over test rows ({judgment.NUM_RESAMPLES} resamples, the same for all losses) "
        "and, of several models, over seeds."
    ]
    if compared:
        marked = sum(difference.excludes_zero for difference in compared)
        can_be = sum(difference.decided for difference in compared)
        named_first = "" if comparison.baseline == BASELINE else ", the loss that was named first"
        paragraph = (
            f"+ better and - worse than {comparison.baseline}{named_first}: the interval of the "
            "difference excludes zero."
        )
        if can_be:
            chance = 0.05 * can_be
            paragraph += (
                f" {marked} of {can_be} comparisons are marked; by chance alone about "
                f"{chance:.{0 if chance >= 1 else 1}f} would be, for nothing is corrected for "
                "their number."
            )
        if not all(outcome.varies for outcome in comparison.outcomes.values()):
            paragraph += (
                " Where neither loss's model depends on a seed, a mark is of these fitted models."
            )
        paragraphs.append(paragraph)
        if can_be < len(compared):
            paragraphs.append(
                "Models that depend on the seed were drawn once: their differences bear no mark. "
                "Ask for more seeds."
            )
    lower = [m.heading.replace("\n", " ") for m in METRICS.values() if not m.higher_is_better]
    paragraphs.append(
        f"Lower is better in {', '.join(lower)}; higher in all others. mAP and ROC AUC are means "
        "over the labels with a test positive, for ROC AUC also a negative; in macro-F1 all labels "
        "count. P@k: the share of positives among the k labels of the highest scores. LRAP: "
        "the mean over a row's positives of the share of positives among the labels down to it. "
        "Ranking loss: the share of a row's pairs of a positive and a negative in the wrong order. "
        f"{NDCG if 'ndcg_at_5' in next(iter(comparison.judgments.values())).values else ''}"
        "ECE tells how far probabilities are from frequencies, as a mean over labels, for "
        "sigmoid(logit) and after Platt's calibration. At 0.5 means sigmoid(logit) > 0.5. The "
        "held-out score is the mean of average precision by label and by row on training rows that "
        "models were not trained on; settings were chosen by it, and so is the best loss."
    )
    if not all(choice.entry.zero_decides for choice in comparison.choices.values()):
        paragraphs.append(
            "*: this loss orders the labels and fixes no origin, so that 0.5 and sigmoid(logit) "
            "say nothing about it; see the tuned columns."
        )
    if comparison.given:
        each = "; ".join(f"{name}: {what}" for name, what in comparison.given.items())
        paragraphs.append(
            "Some losses were given more than logits and labels, estimated from the training part "
            f"where no number is shown: {each}."
        )
    return paragraphs


def warnings(comparison: Comparison) -> list[str]:
    """Returns what keeps figures from meaning what they seem to."""
    dataset, settings = comparison.dataset, comparison.settings
    assert dataset.y_test is not None
    labels, known = dataset.y_test, dataset.known_test
    paragraphs = []
    if not math.isfinite(comparison.outcomes[comparison.best].quality):
        paragraphs.append(
            "Nothing could be chosen or tuned: no label of the training part has a known positive."
        )
    left_out = int(np.sum(~known.any(1)))
    if left_out:
        paragraphs.append(
            f"{left_out} of {len(labels)} test rows have no known label and are left out."
        )
    empty = int(np.sum(known.any(1) & ~(labels & known).any(1)))
    if empty:
        paragraphs.append(
            f"{empty} of {len(labels)} test rows have no known positive. They count as 0 in P@k, "
            "nDCG and ranking loss and as 1 in LRAP."
        )
    positives = (labels & known).sum(0)
    missed = too_small(len(labels), positives)
    if "rows" in missed:
        paragraphs.append(
            f"The test part has {len(labels)} row{'s' * (len(labels) != 1)}: below "
            f"{intervals.MIN_ROWS} intervals are rough."
        )
    if "positives" in missed:
        rare = int(np.sum(positives < intervals.MIN_POSITIVES))
        paragraphs.append(
            f"{rare} of {len(positives)} labels have fewer than {intervals.MIN_POSITIVES} test "
            "positives: intervals of means over labels are rough."
        )
    edges = [label for label, outcome in comparison.outcomes.items() if outcome.at_edge]
    if edges:
        why = (
            "the edge does not move"
            if settings.model == "linear"
            else "every loss is given the same number of values to try"
        )
        paragraphs.append(
            f"!: the best value lies at an edge of what was tried, and {why} ({', '.join(edges)})."
        )
    restless = {
        label: float(np.max(outcome.residuals))
        for label, outcome in comparison.outcomes.items()
        if settings.model == "linear" and not np.max(outcome.residuals) <= settings.tolerance
    }
    if restless:
        each = ", ".join(f"{label} {residual:.1e}" for label, residual in restless.items())
        paragraphs.append(
            "Not at rest: the norm of the objective's slope did not fall to "
            f"{settings.tolerance:g} of that at the start ({each}). These models were trained "
            "on by Adam with a step size that shrinks to 0. Losses with kinks, such as hinges, "
            "never come to rest."
        )
    diverged = [
        label
        for label, judged in comparison.judgments.items()
        if np.isnan(judged.values["micro_f1_tuned"]).any()
    ]
    judged = comparison.judgments[comparison.baseline].values
    if diverged:
        paragraphs.append(f"n/a: training diverged ({', '.join(diverged)}).")
    elif np.isnan(judged["map"]).any():
        paragraphs.append(
            "n/a: no label has a positive in the test part, so that mAP and ROC AUC are undefined."
        )
    elif np.isnan(judged["roc_auc"]).any():
        paragraphs.append(
            "n/a: no label has both a positive and a negative in the test part, so that ROC AUC is "
            "undefined."
        )
    return paragraphs


def verdict(comparison: Comparison) -> str:
    """Returns which loss to take, why, and where its thresholds are."""
    baseline, taken = comparison.baseline, comparison.recommended
    if not math.isfinite(comparison.outcomes[taken].quality):
        return f"Verdict: none, as nothing could be chosen. The files are those of {baseline}."
    return (
        f"Verdict: {_reason(comparison)}. thresholds.json (by label), global_threshold.json and "
        f"calibrator.json are those of {taken}."
    )


def _reason(comparison: Comparison) -> str:
    """Which loss to take, and why."""
    baseline, best, count = comparison.baseline, comparison.best, len(comparison.results)
    if count == 1:
        return f"{baseline} was compared with nothing"
    qualities = [outcome.quality for outcome in comparison.outcomes.values()]
    chosen = f"the best of {count} on validation scores"
    if best == baseline:
        alone = qualities.count(max(qualities)) == 1
        it = f"it is {chosen}" if alone else "no loss is better on validation scores"
        return f"keep {baseline}: {it}"
    lead = comparison.differences[best]["map"]
    if math.isnan(lead.mean):
        return f"keep {baseline}: a lead of {best}, {chosen}, cannot be measured"
    size = f"{abs(lead.mean):.3f} mAP on test rows"
    if not math.isnan(lead.low):
        size += f" (a difference of {lead.low:+.3f} to {lead.high:+.3f})"
    if comparison.recommended == best:
        return f"take {best}: {chosen}, it is ahead of {baseline} by {size}"
    if lead.mean > 0:
        what = f"and ahead of it by {size}: no safe lead, and the best of {count} always seems to"
        return f"keep {baseline}. {best} is {chosen}, {what} have some"
    return f"keep {baseline}. {best} is {chosen}, but behind it by {size}"
