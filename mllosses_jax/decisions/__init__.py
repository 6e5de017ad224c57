"""From scores to label sets: thresholds and set sizes."""

from mllosses_jax.decisions.sets import top_k
from mllosses_jax.decisions.thresholds import apply_thresholds, tune_thresholds

__all__ = ["apply_thresholds", "top_k", "tune_thresholds"]
