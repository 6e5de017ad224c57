"""The sentences of a report that say how models were trained, and how decisions were tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare import parts, steps_attempts, steps_search
from mllosses_jax.compare.large import notes as large_notes
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

SCORES = (
    "Models: trained elsewhere; their scores on validation and test rows were given. Without "
    "features there are no references to compare with, and there is no predictor."
)


def paragraphs(comparison: Comparison) -> list[str]:
    """Returns how models are trained, what seeds determine, and how decisions are tuned."""
    return [*_how(comparison), *_settings(comparison)]


def _settings(comparison: Comparison) -> list[str]:
    """Returns which parameters were chosen of losses that were given several values."""
    chosen = [
        f"{label}: {', '.join(f'{name} = {value:g}' for name, value in outcome.setting.items())} "
        f"(of {len(outcome.settings['score'])} settings)"
        for label, outcome in comparison.outcomes.items()
        if outcome.settings
    ]
    if not chosen:
        return []
    return [
        "Parameters that were chosen like the settings of the model, on the same rows. Each of a "
        "loss's settings has had the whole search of a loss without a choice, so that losses with "
        f"more settings have had more attempts: {'; '.join(chosen)}."
    ]


def _how(comparison: Comparison) -> list[str]:
    """Returns the paragraphs that every comparison has."""
    settings, rows = comparison.settings, len(comparison.dataset.x_train)
    if settings.model == "linear_head":
        return [
            large_notes.model(given=comparison.dataset.y_validation is not None),
            *_groups(comparison),
            _seeds(comparison),
            large_notes.DECISIONS,
        ]
    if settings.model == "scores":
        return [SCORES, _seeds(comparison), _decisions(comparison)]
    few, folds = rows < parts.FEW_ROWS, parts.num_folds(rows)
    given = comparison.dataset.y_validation is not None
    again = "" if given else " again"
    if settings.model == "linear":
        share = "on the validation part" if given else f"by {folds} folds"
        model = (
            "Model: linear, a stationary point of mean loss + (strength / 2) ||kernel||^2 with a "
            f"free bias. The strength of each loss is chosen {share} for the best average "
            "precision by label and by row, by the same search for each loss, and the model is "
            f"fitted{again} to all training rows."
        )
    else:
        fifth = "a fifth of the rows, drawn anew for each of the first five seeds,"
        share = f"{folds} folds" if few else fifth
        share = "the validation part" if given else share
        model = (
            f"Model: {settings.own_model or 'MLP with one hidden layer'}. Step size, decay and "
            f"number of steps are chosen on {share} for the best average precision by label and "
            f"by row, with the same budget for each loss: {steps_search.ATTEMPTS} attempts of at "
            f"most {steps_attempts.ROUNDS} rounds, each of which ends early once "
            f"{steps_attempts.PATIENCE} rounds have brought nothing better. The final models are "
            "trained on all training rows."
        )
    return [
        model,
        *_groups(comparison),
        _seeds(comparison),
        _decisions(comparison),
    ]


def _decisions(comparison: Comparison) -> str:
    """Returns how thresholds and calibrators are tuned."""
    return (
        "Thresholds, for the best F1, and a Platt calibrator are tuned on scores of "
        f"{held_out(comparison)}. There is one threshold for all labels for "
        f"micro-F1, and one per label for macro-F1 (a label with fewer than {MIN_POSITIVES} "
        "positives takes the common one)."
    )


def held_out(comparison: Comparison) -> str:
    """Returns the rows on which everything is chosen and tuned, in words."""
    if comparison.settings.model == "scores" or comparison.dataset.y_validation is not None:
        return "the validation part"
    return "training rows that the models were not trained on"


def _groups(comparison: Comparison) -> list[str]:
    """Returns what is done with groups and what is not, as no or one paragraph."""
    dataset = comparison.dataset
    groups = dataset.groups_train
    if groups is None:
        return []
    found = (
        f"Groups: {len(np.unique(groups))} in the training part. No rows that are held out, for "
        "validation or in a test part that is drawn here, are of a group that a model was trained "
        "on. Intervals resample test rows one by one; where rows of a group are alike, they are "
        "too narrow."
    )
    if dataset.y_validation is not None and dataset.groups_validation is None:
        found += " The groups of the validation part are not known."
    return [found]


def _seeds(comparison: Comparison) -> str:
    """Returns what the seeds determine."""
    num_seeds = comparison.settings.num_seeds
    if comparison.settings.trains_in_steps:
        return f"Seeds: {num_seeds}, which set the start of each model and the order of its rows."
    sets = (
        "in which order a fit sees the rows"
        if comparison.settings.model == "linear_head"
        else ("where a fit starts")
    )
    several = [label for label, outcome in comparison.outcomes.items() if outcome.varies]
    if comparison.settings.model == "scores":
        if not several:
            return "Seeds: none. There is one model of each name, and the results describe it."
        return (
            f"Seeds: at most {num_seeds}, whose models differ in nothing else. The scores of those "
            "of one name are tuned together."
        )
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
