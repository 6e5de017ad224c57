"""Which losses are compared."""

from __future__ import annotations

from mllosses_jax.catalogue import CATALOGUE, find
from mllosses_jax.compare.errors import UsageError

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


def choose(text: str | None) -> tuple[str, ...]:
    """Returns the names of the losses asked for: the default, "all", or names and commas.

    Args:
        text: what stands after ``--losses``; None for the default.

    Returns:
        The names, each once, the baseline first if it is among them.

    Raises:
        UsageError: a name is unknown, or there is none.
    """
    if text is None:
        return DEFAULT
    if text == "all":
        names = [entry.name for entry in CATALOGUE]
    else:
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--losses names no loss; give names separated by commas, or all")
    for name in names:
        try:
            find(name)
        except KeyError as error:
            raise UsageError(f"{error.args[0]} (`mllosses list` shows all)") from None
    return tuple(sorted(names, key=lambda name: name != BASELINE))
