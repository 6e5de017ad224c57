"""The sentences of a report: what was done, what its figures mean, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare import intervals, judgement, parts
from mllosses_jax.compare.intervals import too_small
from mllosses_jax.compare.judgement import METRICS
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


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
        share = f"{folds} folds" if few else "a fifth of the rows, drawn by each seed,"
        model = (
            "Model: MLP with one hidden layer; step size, decay and number of steps by "
            f"{share} for the best average precision by label and by row, with the same budget "
            "for each loss; trained again on all training rows."
        )
    return [
        f"{dataset.name}: {rows} training rows, {test_rows} test rows, "
        f"{dataset.x_train.shape[1]} features, {num_labels} labels; "
        f"{len(comparison.results)} {'loss' if len(comparison.results) == 1 else 'losses'}",
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
        drawn = "the start, the order of the rows"
        drawn += "" if len(comparison.dataset.x_train) < parts.FEW_ROWS else ", the validation part"
        return f"Seeds: {num_seeds}, which drew {drawn} of each model."
    several = [label for label, outcome in comparison.outcomes.items() if outcome.varies]
    if not several:
        return (
            "Seeds: none. No model depends on its start, so that each loss has one, and figures "
            "are of these fitted models."
        )
    each = f"of {len(several)} losses" if len(several) > 3 else "of " + ", ".join(several)
    return (
        f"Seeds: {num_seeds}, which drew the start of the models {each}: two starts led to "
        "different ones. The other losses have one model each."
    )


def explanation(comparison: Comparison) -> list[str]:
    """Returns what a reader must know to read the tables, one paragraph each."""
    compared = [
        difference
        for label, by_metric in comparison.differences.items()
        for metric, difference in by_metric.items()
        if comparison.is_comparable(label, metric) and not math.isnan(difference.mean)
    ]
    paragraphs = [
        "Means over the models of a loss; below them the 95% interval of what is expected at this "
        f"test size, over test rows ({judgement.NUM_RESAMPLES} resamples, the same for all losses) "
        "and, of several models, over seeds."
    ]
    if compared:
        marked = sum(difference.excludes_zero for difference in compared)
        chance = 0.05 * len(compared)
        expected = f"{chance:.0f}" if chance >= 1 else f"{chance:.1f}"
        paragraphs.append(
            f"+ better and - worse than {comparison.baseline}: the interval of the difference "
            f"excludes zero. {marked} of {len(compared)} comparisons are marked; by chance alone "
            f"about {expected} would be, for nothing is corrected for their number. Where neither "
            "loss's model depends on a seed, a mark is of these fitted models."
        )
        if not all(difference.decided for difference in compared):
            paragraphs.append(
                "Models that depend on the seed were drawn once: their differences bear no mark. "
                "Ask for more seeds."
            )
    lower = [m.heading.replace("\n", " ") for m in METRICS.values() if not m.higher_is_better]
    paragraphs.append(
        f"Lower is better in {', '.join(lower)}; higher in all others. mAP and ROC AUC are means "
        "over labels. P@k: the share of positives among the k labels of the highest scores. LRAP: "
        "the mean over a row's positives of the share of positives among the labels down to it. "
        "Ranking loss: the share of a row's pairs of a positive and a negative in the wrong order. "
        "ECE: how far probabilities are from frequencies, the mean over labels, of sigmoid(logit) "
        "and after Platt's calibration. At 0.5: sigmoid(logit) > 0.5."
    )
    if not all(choice.entry.zero_decides for choice in comparison.choices.values()):
        paragraphs.append(
            "*: this loss orders the labels and fixes no origin, so that 0.5 and sigmoid(logit) "
            "say nothing about it; see the tuned columns."
        )
    if comparison.given:
        each = "; ".join(f"{name}: {what}" for name, what in comparison.given.items())
        paragraphs.append(
            "Beside logits and labels these were given, from the training part where no number is "
            f"shown: {each}."
        )
    return paragraphs


def warnings(comparison: Comparison) -> list[str]:
    """Returns what keeps figures from meaning what they seem to."""
    dataset, settings = comparison.dataset, comparison.settings
    assert dataset.y_test is not None
    labels = dataset.y_test
    known = np.ones_like(labels) if dataset.mask_test is None else dataset.mask_test
    paragraphs = []
    empty = int(np.sum(known.any(1) & ~(labels & known).any(1)))
    if empty:
        paragraphs.append(
            f"{empty} of {len(labels)} test rows have no label. They count, as 0 in P@k, nDCG and "
            "ranking loss and as 1 in LRAP."
        )
    positives = (labels & known).sum(0)
    missed = too_small(len(labels), positives)
    if "rows" in missed:
        paragraphs.append(
            f"{len(labels)} test rows are few: below {intervals.MIN_ROWS} intervals are rough."
        )
    if "positives" in missed:
        rare = int(np.sum(positives < intervals.MIN_POSITIVES))
        paragraphs.append(
            f"{rare} of {len(positives)} labels have fewer than {intervals.MIN_POSITIVES} test "
            "positives: intervals of means over labels are rough."
        )
    edges = [label for label, outcome in comparison.outcomes.items() if outcome.at_edge]
    if edges:
        paragraphs.append(
            f"!: the best value lies at an edge of what is tried, which does not move "
            f"({', '.join(edges)})."
        )
    restless = {
        label: float(np.max(outcome.residuals))
        for label, outcome in comparison.outcomes.items()
        if np.max(outcome.residuals) > settings.tolerance
    }
    if restless:
        each = ", ".join(f"{label} {residual:.0e}" for label, residual in restless.items())
        paragraphs.append(
            "Not at rest: the norm of the objective's slope did not fall to "
            f"{settings.tolerance:g} of that at the start ({each}). Losses with kinks, such as "
            "hinges, never do: they were trained on by Adam with a step size that shrinks to 0."
        )
    undefined = [
        label for label, j in comparison.judgements.items() if np.isnan(j.values["map"]).any()
    ]
    diverged = [
        label
        for label in undefined
        if np.isnan(comparison.judgements[label].values["micro_f1_tuned"]).any()
    ]
    if diverged:
        paragraphs.append(f"n/a: training diverged ({', '.join(diverged)}).")
    elif undefined:
        paragraphs.append(
            "n/a: no label has a positive in the test part, so that mAP is undefined."
        )
    return paragraphs


def verdict(comparison: Comparison) -> str:
    """Returns which loss to take, why, and where its thresholds are."""
    baseline, best, count = comparison.baseline, comparison.best, len(comparison.results)
    files = "Its thresholds are in thresholds.json, its calibrator in calibrator.json."
    if count == 1:
        return f"Verdict: {baseline} was compared with nothing. {files}"
    chosen = f"the best of {count} on validation scores"
    if best == baseline:
        return f"Verdict: keep {baseline}: it is {chosen}. {files}"
    lead = comparison.differences[best]["map"]
    if math.isnan(lead.mean):
        return f"Verdict: keep {baseline}: a lead of {best}, {chosen}, cannot be measured. {files}"
    size = f"{abs(lead.mean):.3f} mAP on test rows ({lead.low:+.3f} to {lead.high:+.3f})"
    if comparison.recommended == best:
        return f"Verdict: take {best}: {chosen}, it is ahead of {baseline} by {size}. {files}"
    side = "ahead of" if lead.mean > 0 else "behind"
    return (
        f"Verdict: keep {baseline}. {best} is {chosen}, and {side} it by {size}: no safe lead, "
        f"and the best of {count} always seems to have some. thresholds.json and calibrator.json "
        f"are those of {baseline}."
    )
