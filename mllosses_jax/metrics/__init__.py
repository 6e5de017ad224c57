"""Metrics of multi-label predictions: exact, mask-aware pure functions.

The output of the model comes first and the truth second, the reverse of scikit-learn's order.

A label lies in [0, 1] and is true where it is above 0. Unknown labels, such as NaN or -1, must be
masked by `where` (`mll.labels` converts every encoding): an eager call raises ValueError if such a
label counts. Under a transformation, which cannot look at values, it would count as false.

- For decisions, with `average` over labels, samples or all entries: `precision`, `recall`, `f1`,
  `fbeta`, `jaccard`, `specificity`, `negative_predictive_value`, `balanced_accuracy`, `g_mean`,
  `h_mean`, `cohen_kappa`, `matthews_corrcoef`, `hamming_loss`, `subset_accuracy`,
  `multilabel_confusion_matrix`, `classification_report`, `overall_and_per_class`.
- For the scores of each label: `average_precision`, `roc_auc`, their curves and operating points,
  `equal_error_rate`, `d_prime`; `by_frequency` averages them over the head and the tail.
- For the ranking of a sample's labels: `label_ranking_average_precision`, `lwlrap`,
  `label_ranking_loss`, `coverage_error`, `one_error`, `mean_reciprocal_rank`, and the metrics at k.
- For terms of an ontology: `f_max`, `s_min`.
- For probabilities: `binary_log_loss`, `brier_score`, `expected_calibration_error` and others.
- For the labels themselves: `label_statistics`, `label_cooccurrence`.
- For any of these, and your own: `bootstrap`, intervals of a metric and of differences.
- `streaming`: accumulators, for more data than fits in memory at once.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.metrics import (
    streaming,
)
from mllosses_jax.metrics.agreement import (
    cohen_kappa,
    matthews_corrcoef,
    multilabel_confusion_matrix,
)
from mllosses_jax.metrics.average_precision_at_k import (
    average_precision_at_k,
)
from mllosses_jax.metrics.bootstrapping import (
    Bootstrap,
    bootstrap,
)
from mllosses_jax.metrics.calibration_errors import (
    CalibrationCurve,
    calibration_curve,
    calibration_in_the_large,
    expected_calibration_error,
)
from mllosses_jax.metrics.counts import (
    f1,
    fbeta,
    hamming_loss,
    jaccard,
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
from mllosses_jax.metrics.curves import (
    average_precision,
    roc_auc,
)
from mllosses_jax.metrics.detection import (
    d_prime,
    equal_error_rate,
)
from mllosses_jax.metrics.groups import (
    by_frequency,
)
from mllosses_jax.metrics.ontology import (
    f_max,
    s_min,
)
from mllosses_jax.metrics.operating_points import (
    OperatingPoint,
    precision_at_recall,
    recall_at_precision,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from mllosses_jax.metrics.overall import (
    OverallAndPerClass,
    overall_and_per_class,
)
from mllosses_jax.metrics.probabilities import (
    BrierDecomposition,
    binary_log_loss,
    brier_decomposition,
    brier_score,
)
from mllosses_jax.metrics.propensity import (
    psndcg_at_k,
    psp_at_k,
    psr_at_k,
)
from mllosses_jax.metrics.ranking import (
    coverage_error,
    label_ranking_average_precision,
    label_ranking_loss,
    lwlrap,
    mean_reciprocal_rank,
    one_error,
)
from mllosses_jax.metrics.rates import (
    balanced_accuracy,
    g_mean,
    h_mean,
    negative_predictive_value,
    specificity,
)
from mllosses_jax.metrics.report import (
    classification_report,
)
from mllosses_jax.metrics.statistics import (
    LabelStatistics,
    label_cooccurrence,
    label_statistics,
)
from mllosses_jax.metrics.top_k import (
    f1_at_k,
    hit_at_k,
    label_coverage_at_k,
    ndcg_at_k,
    precision_at_k,
    r_precision_at_k,
    recall_at_k,
)

__all__ = [
    "Bootstrap",
    "BrierDecomposition",
    "CalibrationCurve",
    "LabelStatistics",
    "OperatingPoint",
    "OverallAndPerClass",
    "PrecisionRecallCurve",
    "ROCCurve",
    "average_precision",
    "average_precision_at_k",
    "balanced_accuracy",
    "binary_log_loss",
    "bootstrap",
    "brier_decomposition",
    "brier_score",
    "by_frequency",
    "calibration_curve",
    "calibration_in_the_large",
    "classification_report",
    "cohen_kappa",
    "coverage_error",
    "d_prime",
    "equal_error_rate",
    "expected_calibration_error",
    "f1",
    "f1_at_k",
    "f_max",
    "fbeta",
    "g_mean",
    "h_mean",
    "hamming_loss",
    "hit_at_k",
    "jaccard",
    "label_cooccurrence",
    "label_coverage_at_k",
    "label_ranking_average_precision",
    "label_ranking_loss",
    "label_statistics",
    "lwlrap",
    "matthews_corrcoef",
    "mean_reciprocal_rank",
    "multilabel_confusion_matrix",
    "ndcg_at_k",
    "negative_predictive_value",
    "one_error",
    "overall_and_per_class",
    "precision",
    "precision_at_k",
    "precision_at_recall",
    "precision_recall_curve",
    "psndcg_at_k",
    "psp_at_k",
    "psr_at_k",
    "r_precision_at_k",
    "recall",
    "recall_at_k",
    "recall_at_precision",
    "roc_auc",
    "roc_curve",
    "s_min",
    "sensitivity_at_specificity",
    "specificity",
    "specificity_at_sensitivity",
    "streaming",
    "subset_accuracy",
]

show_public_names(__name__)
