"""The settings of an experiment: those that the caller chooses, and those fixed for every loss."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

ModelName = Literal["linear", "mlp"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
ExperimentName = Literal["linear", "mlp", "linear_head", "own", "scores"]
MANY_LABELS = 2000  # above this number, the linear model is trained through a head


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of an experiment.

    Attributes:
        model: "linear", "mlp", "linear_head" for the linear model over many labels, "own" for a
            model of the user's, or "scores" for scores of models that were trained elsewhere.
        num_seeds: the number of seeds.
        tolerance: the norm of the objective's slope at which the fit of a linear model ends, as a
            share of that at the start.
        fold_tolerance: the tolerance of the fits to folds, which only choose the strength.
        max_evaluations: the most evaluations of the slope in each fit.
        own_model: the name of the user's model.
    """

    model: ExperimentName = "linear"
    num_seeds: int = 5
    tolerance: float = 1e-4
    fold_tolerance: float = 1e-3
    max_evaluations: int = 400
    own_model: str | None = None

    @property
    def trains_in_steps(self) -> bool:
        """Whether the model is trained in steps, with one budget for each loss."""
        return self.model in {"mlp", "own"}

    @property
    def what(self) -> tuple[str, str]:
        """What is compared, as a word for one of it and for several."""
        return ("model", "models") if self.model == "scores" else ("loss", "losses")
