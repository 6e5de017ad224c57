"""Which losses are compared."""

from __future__ import annotations

from collections.abc import Sequence

from mllosses_jax.catalogue import CATALOGUE, find
from mllosses_jax.compare.errors import ComparisonError

BASELINE = "sigmoid_binary_cross_entropy"
DEFAULT = (
    BASELINE,
    "sigmoid_focal_loss",
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "softmax_cross_entropy",
    "soft_f1_loss",
    "zlpr_loss",
    "lsep_loss",
    "two_way_loss",
)


def choose(losses: str | Sequence[str] | None) -> tuple[str, ...]:
    """Returns the names of the losses asked for.

    Args:
        losses: names separated by commas, a sequence of names, "all", or None for the default.

    Returns:
        The names, each once, the baseline first if it is among them.

    Raises:
        ComparisonError: a name is unknown, or there is none.
    """
    if losses is None:
        return DEFAULT
    if losses == "all":
        names = [entry.name for entry in CATALOGUE]
    else:
        given = losses.split(",") if isinstance(losses, str) else losses
        names = list(dict.fromkeys(name.strip() for name in given if name.strip()))
    if not names:
        raise ComparisonError("no loss is named (losses); give names separated by commas, or all")
    for name in names:
        try:
            find(name)
        except KeyError as error:
            raise ComparisonError(f"{error.args[0]} (`mllosses list` shows all)") from None
    return tuple(sorted(names, key=lambda name: name != BASELINE))
