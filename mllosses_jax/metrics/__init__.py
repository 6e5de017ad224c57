"""Metrics of multi-label predictions: pure functions, compiled, exact and mask-aware.

What the model says comes first, the truth second; scikit-learn's order is the reverse.
"""

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
from mllosses_jax.metrics.curve_points import (
    PrecisionRecallCurve,
    ROCCurve,
    precision_recall_curve,
    roc_curve,
)
from mllosses_jax.metrics.curves import average_precision, roc_auc
from mllosses_jax.metrics.operating_points import (
    OperatingPoint,
    precision_at_recall,
    recall_at_precision,
)
from mllosses_jax.metrics.ranking import (
    coverage_error,
    label_ranking_average_precision,
    label_ranking_loss,
    one_error,
    precision_at_k,
)
from mllosses_jax.metrics.report import classification_report

__all__ = [
    "OperatingPoint",
    "PrecisionRecallCurve",
    "ROCCurve",
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
    "precision_at_recall",
    "precision_recall_curve",
    "recall",
    "recall_at_precision",
    "roc_auc",
    "roc_curve",
    "subset_accuracy",
]
