"""The bootstrap of the test rows: every metric on many resamples, the same ones for each loss.

A resample gives each test row a multiplicity, which every metric uses as its weight. The models
stay the same, because resamples of rows say nothing about how models vary. Sums over the rows, for
all labels and resamples together, are products of one matrix with the weights. Average precision
and ROC AUC need no sum over all rows of each resample: from one positive to the next, only the
weight between them counts, and the running sums of these weights are as short as positives are few.

On a resample on which two losses agree, their metrics differ only by rounding, below 1e-6.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BINS = 15  # number of bins of the calibration error
BLOCK = 1 << 20  # numbers in an array of sums: 4 MiB, which stay in a processor's cache
DENSE = 0.1  # the share of entries above which the product with a dense matrix is faster
_ROWS = 512  # number of rows that are summed in double precision at a time
_TERMS = 64  # the most terms that are summed in single precision


def draw(num_resamples: int, num_rows: int) -> Floats:
    """Returns how often each of N rows is in each of R resamples of N rows, (N, R).

    The same sizes give the same resamples.
    """
    generator = np.random.default_rng(0)
    weights = np.empty((num_rows, num_resamples), np.float32)
    for index in range(num_resamples):
        drawn = generator.integers(num_rows, size=num_rows, dtype=np.int32)
        weights[:, index] = np.bincount(drawn, minlength=num_rows)
    return weights


def figures(
    scores: ArrayLike,
    *,
    predictions: Mapping[str, ArrayLike],
    row_values: Mapping[str, ArrayLike],
    labels: ArrayLike,
    where: ArrayLike,
    weights: Floats,
    probabilities: ArrayLike | None = None,
) -> dict[str, Doubles]:
    """Returns each metric of each model on each resample; weights of one give the metric itself.

    Args:
        scores: (M, N, L) scores of the test rows by each model, without NaN.
        predictions: (M, N, L) bool, by the F1 metric they are for, whose name begins with "macro"
            or "micro".
        row_values: (M, N) values by the metric that is their mean over rows; NaN in rows that
            do not count.
        labels: (N, L) bool, the true labels.
        where: (N, L) bool, True where a label is known.
        weights: (N, R), from `draw`.
        probabilities: (M, N, L) for the calibration error, or None to leave it out.

    Returns:
        (M, R) by metric, with "map" and "roc_auc" for the means of average precision and ROC AUC
        over the labels for which the resample defines them, and "calibration_error" for the error
        with 15 bins of equal width. They are NaN on a resample that defines nothing.
    """
    truth, known = np.asarray(labels, bool), np.asarray(where, bool)
    ranked = [rankings(s, truth, known, weights) for s in np.asarray(scores)]
    result = {
        "map": np.stack([over_labels(precision) for precision, _ in ranked]),
        "roc_auc": np.stack([over_labels(area) for _, area in ranked]),
    }
    for name, values in row_values.items():
        result[name] = row_means(np.asarray(values), weights)
    if probabilities is not None:
        errors = [calibration_errors(p, truth, known, weights) for p in np.asarray(probabilities)]
        result["calibration_error"] = np.stack([over_labels(error) for error in errors])
    return result | f1_figures(predictions, labels=truth, where=known, weights=weights)


def f1_figures(
    predictions: Mapping[str, ArrayLike], *, labels: ArrayLike, where: ArrayLike, weights: Floats
) -> dict[str, Doubles]:
    """Returns the F1 of each model's predictions on each resample; see `figures`."""
    truth, known = np.asarray(labels, bool), np.asarray(where, bool)
    exists = _weight_of_known(known, weights) > 0

    def on_model(predicted: Bools, macro: bool) -> Doubles:
        true = _weight_of(predicted & truth & known, weights)
        wrong = _weight_of((predicted ^ truth) & known, weights)
        if macro:
            return over_labels(np.where(exists, _f1(true, wrong), np.nan))
        return _f1(true.sum(0), wrong.sum(0))

    return {
        name: np.stack([on_model(s, name.startswith("macro")) for s in np.asarray(sets, bool)])
        for name, sets in predictions.items()
    }


def row_means(values: NDArray[Any], weights: Floats) -> Doubles:
    """Returns the means (M, R) over rows of values (M, N), leaving out rows that are NaN."""
    counts = ~np.isnan(values)
    entries = np.concatenate([np.where(counts, values, 0), counts], dtype=np.float64)
    sums = row_sums(entries, weights)
    return ratio(sums[: len(values)], sums[len(values) :])


def row_sums(entries: Doubles, weights: Floats) -> Doubles:
    """Returns the sums (M, R) over rows of entries (M, N)."""
    sums = np.zeros((len(entries), weights.shape[1]))
    for start in range(0, len(weights), _ROWS):  # double precision without a copy of all weights
        rows = slice(start, start + _ROWS)
        sums += entries[:, rows] @ weights[rows].astype(np.float64)
    return sums


def rankings(
    scores: NDArray[Any], labels: Bools, where: Bools, weights: Floats
) -> tuple[Doubles, Doubles]:
    """Returns average precision and ROC AUC of scores (N, L) by label, both (L, R).

    Both are NaN without a positive, and ROC AUC also without a negative. Equal scores form one
    cut-off, and count half in ROC AUC.
    """
    positive = labels & where
    shape = labels.shape[1], weights.shape[1]
    precisions, wrong_pairs = np.zeros(shape), np.zeros(shape)
    positives = np.zeros(shape, np.float32)
    for part in _blocks(np.count_nonzero(positive, axis=0), weights.shape[1]):
        steps, tied = _steps(scores[:, part], positive[:, part], where[:, part])
        sums = (steps @ weights).reshape(-1, len(part), 2, weights.shape[1])
        hits = sums[:, :, 1].copy()
        # The sums of each cut-off are contiguous and are added one after the other, because
        # numpy's sum along the first axis of an array is many times slower.
        for above, below in itertools.pairwise(sums):
            np.add(above, below, out=below)
        above, reached = sums[:, :, 0], sums[:, :, 1]
        precision = np.maximum(above, 1)
        np.divide(reached, precision, out=precision)
        precisions[part] = _sum_of_products(hits, precision)
        wrong = np.subtract(above, reached, out=above)
        if tied.nnz:
            wrong -= (tied @ weights).reshape(wrong.shape) / 2
        wrong_pairs[part] = _sum_of_products(hits, wrong)
        positives[part] = reached[-1]
    negatives = _weight_of_known(where, weights) - positives
    pairs = positives.astype(np.float64) * negatives
    return ratio(precisions, positives), 1 - ratio(wrong_pairs, pairs)


def calibration_errors(
    probabilities: NDArray[Any], labels: Bools, where: Bools, weights: Floats
) -> Doubles:
    """Returns the calibration error of probabilities (N, L) by label, (L, R); NaN where undefined.

    It is the sum over bins `(a, b]` of equal width of the absolute difference between the sum of
    probabilities and the number of positives, divided by the number of known entries.
    """
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    excess = np.zeros((labels.shape[1], weights.shape[1]))
    for part in _blocks(np.full(labels.shape[1], BINS), weights.shape[1]):
        rows, columns = np.nonzero(where[:, part])
        p = probabilities[:, part][rows, columns]
        error = (p - labels[:, part][rows, columns]).astype(np.float32)
        place = columns * BINS + np.searchsorted(edges, p)
        shape = len(part) * BINS, len(weights)
        sums = csr_matrix((error, (place, rows)), shape=shape) @ weights
        excess[part] = np.abs(sums).reshape(-1, BINS, weights.shape[1]).sum(1)
    return ratio(excess, _weight_of_known(where, weights))


def over_labels(values: NDArray[Any]) -> Doubles:
    """Returns the mean (R,) of values (L, R) over the labels for which they are defined, or NaN."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(0), np.count_nonzero(defined, axis=0))


def _steps(scores: NDArray[Any], positive: Bools, where: Bools) -> tuple[Any, Any]:
    """Returns which rows come between the cut-offs of labels, as sparse matrices of ones.

    Each label has a cut-off at every score of its positives, in descending order. Cut-offs without
    rows pad them to the greatest number that any of the J labels has.

    Returns:
        A matrix (cut-offs x J x 2, N) of the rows that reach a cut-off but none above it, and of
        the positives among them, which have exactly that score; and a matrix (cut-offs x J, N) of
        the negatives with exactly that score.
    """
    num_rows, num_labels = scores.shape
    parts, longest = [], 0
    columns = (np.ascontiguousarray(part.T) for part in (-scores, positive, where))
    for label, (column, is_positive, is_known) in enumerate(zip(*columns, strict=True)):
        cut_offs = np.unique(column[is_positive])
        place = np.searchsorted(cut_offs, column)
        row = np.flatnonzero(is_known & (place < len(cut_offs)))
        place = place[row]
        at = cut_offs[place] == column[row]
        parts.append((place * num_labels + label, row, is_positive[row], at))
        longest = max(longest, len(cut_offs))
    place, row, hit, at = (np.concatenate(part) for part in zip(*parts, strict=True))
    tied = at & ~hit
    places = np.concatenate([2 * place, 2 * place[hit] + 1])
    rows = np.concatenate([row, row[hit]])
    size = longest * num_labels
    return _ones(places, rows, (2 * size, num_rows)), _ones(
        place[tied], row[tied], (size, num_rows)
    )


def _ones(first: NDArray[Any], second: NDArray[Any], shape: tuple[int, int]) -> Any:
    return csr_matrix((np.ones(len(first), np.float32), (first, second)), shape=shape)


def _sum_of_products(first: Floats, second: Floats) -> Doubles:
    """Returns sums of products along the first axis, with only a few terms in single precision."""
    result = np.zeros(first.shape[1:])
    for start in range(0, len(first), _TERMS):
        terms = slice(start, start + _TERMS)
        result += np.einsum("clr,clr->lr", first[terms], second[terms])
    return result


def _blocks(sizes: NDArray[Any], num_resamples: int) -> Iterator[NDArray[np.intp]]:
    """Yields blocks of labels of similar sizes, with a bound on (labels x largest size x R).

    Labels of size 0 are left out.
    """
    labels: list[int] = []
    for label in np.argsort(sizes, kind="stable"):
        if labels and (len(labels) + 1) * sizes[label] * num_resamples > BLOCK:
            yield np.asarray(labels)
            labels = []
        if sizes[label]:
            labels.append(int(label))
    if labels:
        yield np.asarray(labels)


def _weight_of(entries: Bools, weights: Floats) -> Floats:
    """Returns the weight of the true entries (N, L), (L, R), which is exact for whole numbers."""
    columns = entries.T.astype(np.float32)
    sparse = np.count_nonzero(entries) <= DENSE * entries.size
    result: Floats = (csr_matrix(columns) if sparse else columns) @ weights
    return result


def _weight_of_known(where: Bools, weights: Floats) -> Floats:
    """Returns the weight of the known entries, (L, R), or (1, R) if all are known."""
    return weights.sum(0, keepdims=True) if where.all() else _weight_of(where, weights)


def _f1(true: Floats, wrong: Floats) -> Doubles:
    """Returns F1 from the weights of true positives and of wrong entries; 0 if both are 0."""
    result: Doubles = 2 * true / np.maximum(2 * true + wrong, 1).astype(np.float64)
    return result


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Doubles:
    """Returns part over whole, or NaN where whole is 0."""
    exists = whole > 0
    result: Doubles = np.where(exists, part / np.where(exists, whole, 1), np.nan)
    return result
