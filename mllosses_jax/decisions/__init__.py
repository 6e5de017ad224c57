"""From scores to label sets: thresholds, sets of given sizes, and sets that maximise a metric.

- Thresholds tuned on validation data: `tune_thresholds`, `tune_thresholds_fbr` against overfitting
  on rare labels, `tune_thresholds_for_precision`; `threshold_report` measures the gain by
  cross-validation, and `apply_thresholds` applies them.
- Thresholds with a promise for new rows: `threshold_for_recall`, `threshold_for_precision`;
  `rows_for_guarantee` tells how many rows that takes, `labelwise_conformal_sets` abstains by
  `labelwise_p_values`, and `set_report` shows what is kept on held-out rows.
- Thresholds computed from probabilities, costs or frequencies: `plugin_f_thresholds`,
  `cost_threshold`, `proportional_thresholds`.
- Sets of the highest expected F, sample by sample: `expected_f_sets` for independent labels,
  `gfm_sets` for any joint distribution.
- Sets of given sizes: `top_k`, `sets_from_counts`; of sizes read from the scores:
  `largest_gap_sets`.
- Scores that obey a hierarchy of labels: `coherent_scores`.
- Sets of k labels for the best macro measure: `block_coordinate_sets`, `fit_frank_wolfe`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.decisions.block_coordinate import block_coordinate_sets
from mllosses_jax.decisions.coherence import coherent_scores
from mllosses_jax.decisions.conformal import (
    ConformalSets,
    PValues,
    labelwise_conformal_sets,
    labelwise_p_values,
)
from mllosses_jax.decisions.constrained import tune_thresholds_fbr, tune_thresholds_for_precision
from mllosses_jax.decisions.cross_validation import threshold_report
from mllosses_jax.decisions.expected_f import expected_f_sets, gfm_matrix, gfm_sets
from mllosses_jax.decisions.frank_wolfe import RandomizedTopK, fit_frank_wolfe
from mllosses_jax.decisions.guarantees import (
    rows_for_guarantee,
    threshold_for_precision,
    threshold_for_recall,
)
from mllosses_jax.decisions.plugin import plugin_f_thresholds
from mllosses_jax.decisions.proportional import proportional_thresholds
from mllosses_jax.decisions.set_report import SetReport, set_report
from mllosses_jax.decisions.sets import largest_gap_sets, sets_from_counts, top_k
from mllosses_jax.decisions.threshold_file import ThresholdReport
from mllosses_jax.decisions.thresholds import apply_thresholds, cost_threshold, tune_thresholds

__all__ = [
    "ConformalSets",
    "PValues",
    "RandomizedTopK",
    "SetReport",
    "ThresholdReport",
    "apply_thresholds",
    "block_coordinate_sets",
    "coherent_scores",
    "cost_threshold",
    "expected_f_sets",
    "fit_frank_wolfe",
    "gfm_matrix",
    "gfm_sets",
    "labelwise_conformal_sets",
    "labelwise_p_values",
    "largest_gap_sets",
    "plugin_f_thresholds",
    "proportional_thresholds",
    "rows_for_guarantee",
    "set_report",
    "sets_from_counts",
    "threshold_for_precision",
    "threshold_for_recall",
    "threshold_report",
    "top_k",
    "tune_thresholds",
    "tune_thresholds_fbr",
    "tune_thresholds_for_precision",
]

show_public_names(__name__)
