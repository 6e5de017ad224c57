"""Plots of scores, decisions and comparisons, each of which returns a matplotlib Axes.

Every function takes plain arrays and draws on `ax`, or on the Axes of a new figure if it is None.
Colours are those of matplotlib's settings (the colour cycle, `text.color` and `grid.color`), so a
style sheet changes them all. The extra `cli` brings matplotlib.

- For one label: `precision_recall`, `threshold_curve`.
- For probabilities: `reliability_diagram`.
- For all labels: `label_frequencies`, `average_precision_by_frequency`, `head_medium_tail`,
  `two_losses`.
- For several losses: `intervals`.
- For hyper-parameters: `search_curve`; for the steps of training: `learning_curves`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.plots.frequency import average_precision_by_frequency
from mllosses_jax.plots.groups import head_medium_tail
from mllosses_jax.plots.interval_dots import intervals
from mllosses_jax.plots.label_frequency import label_frequencies
from mllosses_jax.plots.learning import learning_curves
from mllosses_jax.plots.pair import two_losses
from mllosses_jax.plots.precision_recall_line import precision_recall
from mllosses_jax.plots.reliability import reliability_diagram
from mllosses_jax.plots.search import search_curve
from mllosses_jax.plots.threshold_lines import threshold_curve

__all__ = [
    "average_precision_by_frequency",
    "head_medium_tail",
    "intervals",
    "label_frequencies",
    "learning_curves",
    "precision_recall",
    "reliability_diagram",
    "search_curve",
    "threshold_curve",
    "two_losses",
]

show_public_names(__name__)
