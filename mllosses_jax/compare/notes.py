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
    "nDCG@5: the positives among the first five labels, discounted by the logarithm of their rank, "
    "as a share of the largest possible value. "
)


def heading(comparison: Comparison) -> list[str]:
    """Returns what was compared and how: data, losses, model, seeds and thresholds."""
    dataset, settings = comparison.dataset, comparison.settings
    assert dataset.y_test is not None
    rows, (test_rows, num_labels) = len(dataset.x_train), dataset.y_test.shape
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
    several = [label for label, outcome in comparison.outcomes.items() if outcome.varies]
    if not several:
        return (
            "Seeds: none. No model depends on where its fit starts, so each loss has one model, "
            "and the results describe these fitted models."
        )
    each = f"of {len(several)} losses" if len(several) > 3 else "of " + ", ".join(several)
    return (
        f"Seeds: {num_seeds}, each of which sets where a fit starts. This matters to the models "
        f"{each}, with one model for each seed; the other losses have one model each."
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
    lower = [m.heading.replace("\n", " ") for m in METRICS.values() if not m.higher_is_better]
    paragraphs.append(
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


def warnings(comparison: Comparison) -> list[str]:
    """Returns the reasons why results may not mean what they seem to."""
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
            f"Test rows without a known label, which are left out: {left_out} of {len(labels)}."
        )
    empty = int(np.sum(known.any(1) & ~(labels & known).any(1)))
    if empty:
        paragraphs.append(
            f"Test rows without a known positive, which count as 0 in P@k, nDCG and ranking loss "
            f"and as 1 in LRAP: {empty} of {len(labels)}."
        )
    positives = (labels & known).sum(0)
    missed = too_small(len(labels), positives)
    if "rows" in missed:
        paragraphs.append(
            f"The test part has {len(labels)} row{'s' * (len(labels) != 1)}; with fewer than "
            f"{intervals.MIN_ROWS}, intervals are rough."
        )
    if "positives" in missed:
        rare = int(np.sum(positives < intervals.MIN_POSITIVES))
        paragraphs.append(
            f"Labels with fewer than {intervals.MIN_POSITIVES} test positives: {rare} of "
            f"{len(positives)}. Intervals of means over labels are therefore rough."
        )
    edges = [label for label, outcome in comparison.outcomes.items() if outcome.at_edge]
    if edges:
        why = (
            "the edge does not move"
            if settings.model == "linear"
            else "every loss is given the same number of values to try"
        )
        paragraphs.append(
            f"!: the best value is at an edge of those tried, and {why} ({', '.join(edges)})."
        )
    restless = {
        label: float(np.max(outcome.residuals))
        for label, outcome in comparison.outcomes.items()
        if settings.model == "linear" and not np.max(outcome.residuals) <= settings.tolerance
    }
    if restless:
        each = ", ".join(f"{label} {residual:.1e}" for label, residual in restless.items())
        paragraphs.append(
            "Not converged: the norm of the objective's gradient did not fall to "
            f"{settings.tolerance:g} of its value at the start ({each}). Training of these models "
            "was continued by Adam with a step size that shrinks to 0. Losses with kinks, such as "
            "hinges, never converge in this sense."
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
            "n/a: no label has a positive in the test part, so mAP and ROC AUC are undefined."
        )
    elif np.isnan(judged["roc_auc"]).any():
        paragraphs.append(
            "n/a: no label has both a positive and a negative in the test part, so ROC AUC is "
            "undefined."
        )
    return paragraphs


def verdict(comparison: Comparison) -> str:
    """Returns which loss to take, why, and where its thresholds are."""
    baseline, taken = comparison.baseline, comparison.recommended
    if not math.isfinite(comparison.outcomes[taken].quality):
        return f"Verdict: none, as nothing could be chosen. The files are those of {baseline}."
    return (
        f"Verdict: {_reason(comparison)}. The files thresholds.json (by label), "
        f"global_threshold.json and calibrator.json are those of {taken}."
    )


def _reason(comparison: Comparison) -> str:
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
    lead = comparison.differences[best]["map"]
    if math.isnan(lead.mean):
        return f"keep {baseline}: a lead of {best}, {chosen}, cannot be measured"
    size = f"{abs(lead.mean):.3f} mAP on test rows"
    if not math.isnan(lead.low):
        size += f" (a difference of {lead.low:+.3f} to {lead.high:+.3f})"
    if comparison.recommended == best:
        return f"take {best}: {chosen}, it is ahead of {baseline} by {size}"
    if lead.mean > 0:
        what = f"and ahead by {size}, but the lead is not significant, and the best of {count}"
        return f"keep {baseline}. {best} is {chosen}, {what} always seems to have one"
    return f"keep {baseline}. {best} is {chosen}, but behind by {size}"
