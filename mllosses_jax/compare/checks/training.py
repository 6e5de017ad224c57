"""Checks of how the models were trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare.checks.check import check, num_diverged
from mllosses_jax.compare.large.training import GAP

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


@check(
    "MLC004",
    "tip",
    title="Settings are at an edge of the values tried",
    why="A value further out might be better. The search, which is the same for every loss, goes "
    "no further.",
    remedy="Compare losses whose lead depends on it with care. If the edge is that of the weakest "
    "or strongest regularisation, the model may not suit the data: try another --model.",
)
def at_edge(comparison: Comparison) -> Iterator[str]:
    """Yields the chosen value of each setting that is at an edge."""
    for label, outcome in comparison.outcomes.items():
        for name in outcome.at_edge:
            tried = (outcome.tried | outcome.settings)[name]
            value = (outcome.chosen | outcome.setting)[name]
            yield (
                f"{label}: {name} {value:.3g}, tried from {tried.min():.3g} to {tried.max():.3g}"
            )


@check(
    "MLC008",
    "issue",
    title="Training diverged, so figures are n/a",
    why="The scores of these models are NaN or infinite, so no metric of the loss is available.",
    remedy="Check the features for extreme values and the parameters of the loss; a loss without "
    "an upper bound on its slope may need milder ones.",
)
def diverged(comparison: Comparison) -> Iterator[str]:
    """Yields how many models of each loss have scores that are not finite."""
    for label, outcome in comparison.outcomes.items():
        bad = num_diverged(outcome)
        if bad:
            yield f"{label}: {bad} of {len(outcome.residuals)} models"


@check(
    "MLC014",
    "tip",
    title="Fits ended before they had converged",
    why="A model that could still be fitted better may rank its loss too low. What is measured is "
    "the norm of the objective's gradient as a share of that at the start or, over very many "
    "labels, its square over twice the strength as a share of the objective's fall. Losses with "
    "kinks, such as hinges, never converge in this sense.",
    remedy="Trust a comparison with these losses less, above all where the figure is far above "
    "the tolerance. Features of similar size converge faster.",
)
def not_converged(comparison: Comparison) -> Iterator[str]:
    """Yields how far each loss's worst fit of the linear model ended from convergence."""
    tolerances = {"linear": comparison.settings.tolerance, "linear_head": GAP}
    tolerance = tolerances.get(comparison.settings.model)
    if tolerance is None:
        return  # an MLP is not fitted until its gradient vanishes
    for label, outcome in comparison.outcomes.items():
        residual = float(np.max(outcome.residuals))
        if not residual <= tolerance:  # NaN is not converged either
            yield f"{label}: {residual:.1e}, above {tolerance:g}"
