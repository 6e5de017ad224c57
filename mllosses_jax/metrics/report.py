"""The classification report: precision, recall, F1 and support of each label, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import checked, compiled
from mllosses_jax._core.platforms import on_host
from mllosses_jax._core.sets import count_entries, result_dtype, sets
from mllosses_jax.metrics._tally import count_columns, count_together

Counts = np.ndarray[Any, np.dtype[Any]]
_COLUMNS = ("precision", "recall", "f1-score", "support")
_AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")


@checked()
def classification_report(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    label_names: Sequence[str] | None = None,
    digits: int = 2,
    output_dict: bool = False,
    zero_division: float = 0.0,
    where: ArrayLike | None = None,
) -> str | dict[str, dict[str, float]]:
    """Precision, recall, F1 and support per label and averaged, as text or as a dictionary.

    One compiled pass takes the counts; the fractions are formed from them on the host, in float64,
    so this function is not for use under `jit`.

    Formula:
        precision = TP/(TP + FP), recall = TP/(TP + FN), F1 = 2·TP/(2·TP + FP + FN),
        support = TP + FN

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        label_names: one name per label; "0", "1", ... if None.
        digits: number of decimals in the text.
        output_dict: whether to return the numbers instead of text.
        zero_division: the number used where undefined; nan leaves the value out of the means.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The text, character for character that of scikit-learn, or
        {name: {"precision", "recall", "f1-score", "support"}} with a row per label and for
        "micro avg", "macro avg", "weighted avg" and "samples avg".

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, label_names are not one distinct name per label, or an
            option is out of its range.

    Reference:
        `sklearn.metrics.classification_report(labels, predictions, target_names=...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1]])
        >>> labels = jnp.array([[1, 0], [0, 1]])
        >>> report = metrics.classification_report(predictions, labels, label_names=["sky", "sea"])
        >>> print(report.splitlines()[2])
                 sky       0.50      1.00      0.67         1
    """
    checks.scalar("zero_division", zero_division, result_dtype())
    if digits < 0:
        raise ValueError(f"digits must be 0 or more, got {digits}")
    one_device = all(map(on_host, (predictions, labels, where)))
    counts = _counts(predictions, labels, where=where, one_device=one_device)
    per_label, per_sample = jax.device_get(counts)
    names = checks.label_names(label_names, per_label.shape[1])
    reserved = sorted(set(names) & set(_AVERAGES))
    if reserved:
        raise ValueError(f"label_names must not contain {', '.join(_AVERAGES)}, got {reserved}")
    rows, averages = _fractions(per_label, per_sample, float(zero_division))
    support = per_label[2]
    lines = [(name, *row, count) for name, row, count in zip(names, rows, support, strict=True)]
    means = [(name, *row, support.sum()) for name, row in zip(_AVERAGES, averages, strict=True)]
    if output_dict:
        return {
            str(name): dict(zip(_COLUMNS, map(float, numbers), strict=True))
            for name, *numbers in lines + means
        }
    width = max(*(len(name) for name in (*names, "weighted avg")), digits)
    header = " ".join(f"{column:>9}" for column in _COLUMNS)
    body = "\n".join(_line(line, width, digits) for line in lines)
    foot = "\n".join(_line(line, width, digits) for line in means)
    return f"{'':>{width}}  {header}\n\n{body}\n\n{foot}\n"


def _report_counts(
    predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None, one_device: bool
) -> tuple[Array, Array]:
    """Returns true positives, predictions, positives and entries, per label and per sample."""
    inputs = sets(predictions, labels, where)
    kinds = (inputs.predicted & inputs.actual, inputs.predicted, inputs.actual)

    def along(axis: int) -> Array:
        in_columns = axis == 0 and one_device
        sums = count_columns(kinds) if in_columns else count_together(kinds, axis)
        return jnp.stack([*sums, count_entries(inputs.where, inputs.actual.shape, axis)])

    return along(0), along(1)


# It is compiled under the public name, because error messages begin with that name.
_report_counts.__name__ = "classification_report"
_counts = compiled()(_report_counts)


def _fractions(
    per_label: Counts, per_sample: Counts, zero_division: float
) -> tuple[Counts, list[Counts]]:
    """Returns precision, recall and F1 of each label, (L, 3), and of the four averages."""
    label_rows = _precision_recall_f1(per_label, zero_division)
    sample_rows = _precision_recall_f1(per_sample, zero_division)
    micro = _precision_recall_f1(per_label.sum(axis=1, dtype=np.int64)[:, None], zero_division)
    return label_rows, [
        micro[0],
        _mean(label_rows),
        _mean(label_rows, per_label[2]),
        _mean(sample_rows),
    ]


def _precision_recall_f1(counts: Counts, zero_division: float) -> Counts:
    tp, predicted, actual, entries = counts
    fractions = ((tp, predicted), (tp, actual), (2 * tp, actual + predicted))
    rows = np.stack(
        [np.where(den == 0, zero_division, num / np.maximum(den, 1)) for num, den in fractions],
        axis=1,
    )
    return np.where(entries[:, None] > 0, rows, np.nan)


def _mean(rows: Counts, weights: Counts | None = None) -> Counts:
    """Returns the mean of each column, leaving NaN out; weights that sum to zero are ignored."""
    means = []
    for column in rows.T:
        counted = ~np.isnan(column)
        w = None if weights is None or not weights[counted].any() else weights[counted]
        means.append(np.average(column[counted], weights=w) if counted.any() else np.nan)
    return np.array(means)


def _line(line: tuple[Any, ...], width: int, digits: int) -> str:
    name, *numbers, support = line
    columns = " ".join(f"{number:>9.{digits}f}" for number in numbers)
    return f"{name:>{width}}  {columns} {support:>9}"
