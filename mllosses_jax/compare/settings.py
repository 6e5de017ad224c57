"""What a comparison is told about its experiment, and what it fixes for every loss."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

ModelName = Literal["linear", "mlp"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of an experiment.

    Attributes:
        model: "linear" or "mlp".
        num_seeds: how often what is drawn at random is drawn.
        tolerance: of a linear model, the norm of the objective's slope, as a share of that at the
            start, at which a fit ends.
        fold_tolerance: the same of the fits to folds, which only choose.
        max_evaluations: of that slope, for each fit.
    """

    model: ModelName = "linear"
    num_seeds: int = 5
    tolerance: float = 1e-4
    fold_tolerance: float = 1e-3
    max_evaluations: int = 400
