"""Metrics of multi-label predictions: pure functions, compiled, exact and mask-aware.

What the model says comes first, the truth second; scikit-learn's order is the reverse.
"""

from mllosses_jax.metrics import streaming
from mllosses_jax.metrics.counts import (
    f1,
    fbeta,
    hamming_loss,
    jaccard,
    multilabel_confusion_matrix,
    precision,
    recall,
    subset_accuracy,
)
from mllosses_jax.metrics.curves import average_precision, roc_auc
from mllosses_jax.metrics.ranking import (
    coverage_error,
    label_ranking_average_precision,
    label_ranking_loss,
    one_error,
    precision_at_k,
)
from mllosses_jax.metrics.report import classification_report

__all__ = [
    "average_precision",
    "classification_report",
    "coverage_error",
    "f1",
    "fbeta",
    "hamming_loss",
    "jaccard",
    "label_ranking_average_precision",
    "label_ranking_loss",
    "multilabel_confusion_matrix",
    "one_error",
    "precision",
    "precision_at_k",
    "recall",
    "roc_auc",
    "streaming",
    "subset_accuracy",
]
