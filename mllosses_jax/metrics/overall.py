"""The table of image benchmarks: mAP, and precision, recall and F1 overall and per class."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import Scored, Sets, result_dtype, scored
from mllosses_jax.metrics._averaging import mean_over
from mllosses_jax.metrics._tally import ratio, tally_of
from mllosses_jax.metrics._top_k import top_k_of_inputs
from mllosses_jax.metrics.curves import average_precision

_INF = float("inf")


class OverallAndPerClass(NamedTuple):
    """The table of `overall_and_per_class`; all values are in percent and have shape ().

    Attributes:
        mAP: mean average precision, which needs no threshold.
        OP: overall precision, over all entries.
        OR: overall recall.
        OF1: overall F1.
        CP: per-class precision, the mean over labels.
        CR: per-class recall, the mean over labels.
        CF1: per-class F1, by either definition.
    """

    mAP: Array
    OP: Array
    OR: Array
    OF1: Array
    CP: Array
    CR: Array
    CF1: Array


@compiled(min_predictions=(0, _INF))
def overall_and_per_class(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    threshold: ArrayLike,
    top: int | None = None,
    cf1: Literal["harmonic", "mean"] = "harmonic",
    min_predictions: ArrayLike = 0,
    where: ArrayLike | None = None,
) -> OverallAndPerClass:
    """Precision, recall and F1, overall (OP, OR, OF1) and per class (CP, CR, CF1), and mAP.

    Papers on COCO, VOC and NUS-WIDE tabulate these, in percent. They use two definitions of CF1,
    which can differ by many points; the one that averages the F1 of the labels is that of `f1`.

    Formula:
        OP = Σ_j TP_j / Σ_j P̂_j, OR = Σ_j TP_j / Σ_j P_j, OF1 = 2·OP·OR / (OP + OR);
        CP = mean_j TP_j/P̂_j, CR = mean_j TP_j/P_j, with P̂ predictions and P positives;
        CF1 = 2·CP·CR / (CP + CR), "harmonic", or mean_j 2·TP_j / (P̂_j + P_j), "mean"

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        threshold: scalar or (L,), on the scale of the scores: labels that reach it are predicted.
        top: None, or 1 to L: at most this number of labels is predicted for a sample, those with
            the highest scores, if they reach the threshold; the lowest index wins a tie.
        cf1: "harmonic", the harmonic mean of CP and CR; "mean", the mean over labels of their F1.
        min_predictions: a label predicted less often counts as predicted (wrongly) this often: 1
            lowers OP and OF1 for labels that are never predicted, as ML-GCN's code does.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is
            left out of all means.

    Returns:
        An `OverallAndPerClass`, in float32, float64 under x64. A label that is never predicted
        counts as 0 in CP, one that never occurs as 0 in CR, CF1 and mAP; 0/0 is 0. All values are
        NaN if a score that counts is NaN, or if nothing counts.

    Raises:
        TypeError: if scores are not floating point, top is not an integer, or where is not bool.
        ValueError: if shapes differ, or an option is unknown or out of its range.

    Reference:
        Z.-M. Chen, X.-S. Wei, P. Wang and Y. Guo, "Multi-Label Image Recognition with Graph
        Convolutional Networks" (ML-GCN), CVPR 2019, arXiv:1904.03582: "harmonic", threshold=0 on
        logits, min_predictions=1, without and with top=3. T. Ridnik et al., "Asymmetric Loss For
        Multi-Label Classification", ICCV 2021, arXiv:2009.14119: "mean", with probabilities above
        0.8 (reaching it does not suffice there). J. Opitz and S. Burst, "Macro F1 and Macro F1",
        arXiv:1911.03347, 2019, compare the two definitions.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.6, 0.1], [0.7, 0.2, 0.8], [0.1, 0.2, 0.3]])
        >>> labels = jnp.array([[1, 0, 0], [1, 0, 1], [0, 1, 0]])
        >>> table = metrics.overall_and_per_class(scores, labels, threshold=0.5)
        >>> print(" ".join(f"{name} {value:.1f}" for name, value in table._asdict().items()))
        mAP 77.8 OP 75.0 OR 75.0 OF1 75.0 CP 66.7 CR 66.7 CF1 66.7
    """
    checks.one_of("cf1", cf1, ("harmonic", "mean"))
    inputs = scored(scores, labels, where)
    predicted = _predicted(inputs, threshold, top)
    tally = tally_of(Sets(predicted, inputs.actual, inputs.where), None, None)
    dtype = result_dtype()
    tp, p, y = (c.astype(dtype) for c in (tally.tp, tally.predicted, tally.actual))
    floor = checks.scalar("min_predictions", min_predictions, dtype)
    p = jnp.where(tally.exists, jnp.maximum(p, floor), 0)

    def mean_ratio(denominator: Array) -> Array:
        return mean_over(ratio(tp, denominator), tally.exists)

    overall_precision = ratio(jnp.sum(tp), jnp.sum(p))
    overall_recall = ratio(jnp.sum(tp), jnp.sum(y))
    class_precision, class_recall = mean_ratio(p), mean_ratio(y)
    table = OverallAndPerClass(
        mAP=average_precision(scores, labels, undefined="zero", where=where).astype(dtype),
        OP=overall_precision,
        OR=overall_recall,
        OF1=_harmonic_mean(overall_precision, overall_recall),
        CP=class_precision,
        CR=class_recall,
        CF1=_harmonic_mean(class_precision, class_recall)
        if cf1 == "harmonic"
        else mean_ratio((p + y) / 2),
    )
    valid = jnp.any(tally.exists) & ~jnp.any(inputs.has_nan())
    return OverallAndPerClass(*(jnp.where(valid, 100 * value, jnp.nan) for value in table))


def _predicted(inputs: Scored, threshold: ArrayLike, top: int | None) -> Array:
    scores, where = inputs.scores, inputs.where
    t = checks.per_label("threshold", threshold, scores.shape[1], scores.dtype)
    predicted = scores >= jnp.broadcast_to(t, scores.shape)
    if top is not None:
        predicted = predicted & top_k_of_inputs(inputs, top, "top").sets().predicted
    return predicted if where is None else predicted & where


def _harmonic_mean(precision: Array, recall: Array) -> Array:
    return ratio(2 * precision * recall, precision + recall)
