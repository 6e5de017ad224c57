"""What a comparison is to run, all of which is checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mllosses_jax.compare import parts
from mllosses_jax.compare.bound_loss import why_not_through_head
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.checks import known_codes
from mllosses_jax.compare.choice import AnyChoice
from mllosses_jax.compare.choosing import Losses, choose
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiments import EXPERIMENTS, Experiment
from mllosses_jax.compare.own_metric import Metrics, OwnMetric, choose_metrics, try_metrics
from mllosses_jax.compare.own_model import Model, OwnModel, resolve
from mllosses_jax.compare.settings import MANY_LABELS, Settings
from mllosses_jax.data import Dataset


@dataclass(frozen=True)
class Request:
    """What a caller of `compare` asks for besides the data, checked as far as it can be without.

    Attributes:
        losses: the losses.
        model: the name of a model, or one of the user's own.
        num_seeds: the number of seeds.
        metrics: the further metrics.
        ignore: codes of checks to leave out.
    """

    losses: tuple[AnyChoice, ...]
    model: str | OwnModel
    num_seeds: int
    metrics: tuple[OwnMetric, ...]
    ignore: tuple[str, ...]

    @classmethod
    def of(
        cls,
        *,
        losses: Losses,
        grid: bool,
        metrics: Metrics,
        model: Model,
        num_seeds: int,
        ignore: str | Sequence[str],
    ) -> Request:
        """Returns the arguments of `compare` with these names, or raises a ComparisonError."""
        resolved = resolve(model)
        if not isinstance(num_seeds, int | np.integer) or num_seeds is True or num_seeds < 1:
            raise ComparisonError(
                f"seeds must be a whole number of at least 1 (num_seeds), got {num_seeds!r}"
            )
        ignored, choices = known_codes(ignore), choose(losses, grid=grid)
        return cls(choices, resolved, int(num_seeds), choose_metrics(metrics), ignored)


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        dataset: the data set as it was given, with a test part.
        settings: the settings of the experiment.
        own: the user's model, or None.
        losses: the losses, each in all of its settings and with what it takes from the data.
        left_out: losses that cannot be trained over so many labels, each with the reason.
        metrics: the further metrics.
        ignore: codes of checks to leave out.
    """

    dataset: Dataset
    settings: Settings
    own: OwnModel | None
    losses: Mapping[AnyChoice, tuple[Any, ...]]
    left_out: Mapping[str, str]
    metrics: tuple[OwnMetric, ...]
    ignore: tuple[str, ...]

    @classmethod
    def of(cls, request: Request, dataset: Dataset) -> Plan:
        """Returns the plan of what is asked for, or raises a ComparisonError."""
        own = request.model if isinstance(request.model, OwnModel) else None
        if own is None and len(dataset.feature_shape) > 1:
            raise ComparisonError(
                f"a row has {' x '.join(map(str, dataset.feature_shape))} features, but the "
                f"{request.model} model takes one axis; flatten them, or give a model of your own "
                "(model)"
            )
        many = request.model == "linear" and len(dataset.label_names) > MANY_LABELS
        settings = Settings(
            model="own" if own is not None else "linear_head" if many else request.model,  # type: ignore[arg-type]
            num_seeds=request.num_seeds,
            own_model=None if own is None else own.name,
        )
        parts.check_groups(dataset, settings)
        choices, left_out = _fitting(request.losses) if many else (request.losses, {})
        if many and request.metrics:
            raise ComparisonError(
                f"above {MANY_LABELS} labels not all scores are kept, so there are no further "
                "metrics; leave them out (metrics)"
            )
        try_metrics(request.metrics, dataset)
        # What a loss does not accept is refused here, before any training.
        losses = {choice: EXPERIMENTS[settings.model].bind(choice, dataset) for choice in choices}
        if own is not None:
            for bound, *_ in losses.values():
                own.network(dataset.feature_shape, bound.num_outputs)
        return cls(dataset, settings, own, losses, left_out, request.metrics, request.ignore)

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return EXPERIMENTS[self.settings.model]

    def bound(self, choice: AnyChoice) -> tuple[Any, ...]:
        """Returns a loss, which may be another one of the same run, in each of its settings."""
        return self.losses.get(choice) or self.experiment.bind(choice, self.dataset)

    def identity(self) -> dict[str, Any]:
        """Returns what must agree for results to be of the same run."""
        config = asdict(self.settings)
        if self.own is not None:
            num_labels = len(self.dataset.label_names)
            config["parameters"] = self.own.parameters(self.dataset.feature_shape, num_labels)
        return {
            "config": config,
            "data": {**data_card(self.dataset), "sha256": fingerprint(self.dataset)},
        }


def _fitting(choices: Sequence[AnyChoice]) -> tuple[tuple[AnyChoice, ...], dict[str, str]]:
    """Returns the losses that a head can compute, and why it cannot compute the others."""
    reasons = {choice: why_not_through_head(choice) for choice in choices}
    left_out = {choice.label: reason for choice, reason in reasons.items() if reason is not None}
    fitting = tuple(choice for choice, reason in reasons.items() if reason is None)
    if not fitting:
        each = "; ".join(f"{label} {reason}" for label, reason in left_out.items())
        raise ComparisonError(
            f"none of the losses can be trained over more than {MANY_LABELS} labels (losses): "
            f"{each}"
        )
    return fitting, left_out
