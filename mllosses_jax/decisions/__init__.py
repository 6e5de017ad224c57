"""From scores to label sets: thresholds and set sizes."""

from mllosses_jax.decisions.sets import sets_from_counts, top_k
from mllosses_jax.decisions.thresholds import apply_thresholds, tune_thresholds

__all__ = ["apply_thresholds", "sets_from_counts", "top_k", "tune_thresholds"]
