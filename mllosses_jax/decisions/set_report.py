"""What label sets miss, claim wrongly and leave open on rows with known labels."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import counted_entries
from mllosses_jax._core.sets import result_dtype, sets


class SetReport(NamedTuple):
    """Errors and sizes of label sets; see `set_report`.

    Attributes:
        rows: int (), rows with an entry that counts; means over rows are over these.
        false_negative_rate: float (), the mean over rows of the share of positives that are missed,
            0 for a row without positives.
        false_discovery_rate: float (), the mean over rows of the share of predictions that are
            wrong, 0 for a row without predictions.
        set_size: float (), the mean number of predicted labels of a row.
        empty: float (), the share of rows without a prediction.
        abstained: float (), the share of entries that are left open.
        rows_with_positives: int (), rows with a positive.
        missed_if_any: float (), the mean of the share that is missed, over rows with a positive.
        label_positives: int (L,), the number of positives of each label.
        label_false_negative_rate: float (L,), the share of them that is missed; 0 if there is none.
    """

    rows: Array
    false_negative_rate: Array
    false_discovery_rate: Array
    set_size: Array
    empty: Array
    abstained: Array
    rows_with_positives: Array
    missed_if_any: Array
    label_positives: Array
    label_false_negative_rate: Array


@compiled()
def set_report(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    abstained: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> SetReport:
    """Reports what `threshold_for_recall`, `threshold_for_precision` and conformal sets promise.

    Formula:
        FNR = 1/n·Σ_i #{j∈P_i : j∉Ŷ_i} / max(|P_i|, 1),
        FDR = 1/n·Σ_i #{j∈Ŷ_i : j∉P_i} / max(|Ŷ_i|, 1)

    The rows must be others than those to which thresholds were tuned.

    Args:
        predictions: bool or integer array (N, L), the label sets, such as `apply_thresholds` or
            the `present` of `ConformalSets`.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        abstained: bool array (N, L), which entries are left open, such as the `abstained` of
            `ConformalSets`; None leaves none open. It changes no other figure.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A `SetReport`; means of nothing are 0.

    Raises:
        TypeError: if predictions are not hard, or abstained or where is not bool.
        ValueError: if shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> predictions = jnp.array([[1, 1, 0], [0, 0, 0]])
        >>> labels = jnp.array([[1, 0, 1], [0, 0, 0]])
        >>> report = decisions.set_report(predictions, labels)
        >>> print(report.false_negative_rate, report.false_discovery_rate, report.set_size)
        0.25 0.25 1.0
    """
    given = sets(predictions, labels, where)
    counted = counted_entries(given.where, given.actual)
    left_open = jnp.zeros_like(given.actual)
    if abstained is not None:
        left_open = checks.array("abstained", abstained)
        checks.same_shape("abstained", left_open, "labels", given.actual)
        if left_open.dtype != jnp.bool_:
            raise TypeError(f"abstained must be a bool array, got {left_open.dtype}")
    missed, wrong = given.actual & ~given.predicted, given.predicted & ~given.actual
    is_row, has_positive = (jnp.any(entries, axis=1) for entries in (counted, given.actual))
    share_missed = _ratio(_per(missed, axis=1), _per(given.actual, axis=1))
    share_wrong = _ratio(_per(wrong, axis=1), _per(given.predicted, axis=1))
    rows, rows_with_positives = (_per(rows, axis=0) for rows in (is_row, has_positive))
    label_positives = _per(given.actual, axis=0)
    num_entries = jnp.sum(_floats(_per(counted, axis=1)))
    return SetReport(
        rows=rows,
        false_negative_rate=_ratio(jnp.sum(share_missed), rows),
        false_discovery_rate=_ratio(jnp.sum(share_wrong), rows),
        set_size=_ratio(jnp.sum(_floats(_per(given.predicted, axis=1))), rows),
        empty=_ratio(_per(is_row & ~jnp.any(given.predicted, axis=1), axis=0), rows),
        abstained=_ratio(jnp.sum(_floats(_per(left_open & counted, axis=1))), num_entries),
        rows_with_positives=rows_with_positives,
        missed_if_any=_ratio(jnp.sum(share_missed), rows_with_positives),
        label_positives=label_positives,
        label_false_negative_rate=_ratio(_per(missed, axis=0), label_positives),
    )


def _per(entries: Array, *, axis: int) -> Array:
    return jnp.sum(entries, axis=axis, dtype=jnp.int32)


def _floats(counts: Array) -> Array:
    return counts.astype(result_dtype())


def _ratio(part: Array, whole: Array) -> Array:
    return _floats(part) / jnp.maximum(_floats(whole), 1)
