"""Label encodings: converters to labels and `where`, label smoothing, and hierarchies.

Losses and metrics use one encoding: labels in [0, 1], and a bool `where` that says which are
known. Every other encoding in use is converted here explicitly and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.hierarchy import (
    Hierarchy,
    check_labels_of,
    hierarchy,
    highest_below,
    rows,
)
from mllosses_jax._core.masking import counted_entries, is_positive
from mllosses_jax._core.public import show_public_names
from mllosses_jax._core.smoothing import CONVENTIONS, Convention, smoothed

__all__ = [
    "Hierarchy",
    "from_chexpert",
    "from_indices",
    "from_minus_one_unknown",
    "from_nan",
    "from_zero_unknown",
    "hierarchy",
    "information_accretion",
    "smooth_labels",
    "with_ancestors",
]

show_public_names(__name__)

# The mean of the random labels between 0.55 and 0.85 that Pham et al. give uncertain findings.
_LIKELY = 0.7


def _signed(labels: ArrayLike) -> Array:
    values = checks.label_array("labels", labels)
    if not any(jnp.issubdtype(values.dtype, kind) for kind in (jnp.signedinteger, jnp.floating)):
        raise TypeError(f"labels must be signed integers or floats, got {values.dtype}")
    return values


@compiled(any_labels=True)
def from_minus_one_unknown(labels: ArrayLike) -> tuple[Array, Array]:
    """Converts labels in which 1 is positive, 0 negative and -1 unknown.

    Args:
        labels: signed integer or float array (..., L); every value below 0, and NaN, is unknown.

    Returns:
        Bool labels (..., L), and a bool `where` (..., L), true where the label is known.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import labels
        >>> y, where = labels.from_minus_one_unknown(jnp.array([1, 0, -1]))
        >>> print(y, where)
        [ True False False] [ True  True False]
    """
    values = _signed(labels)
    return values > 0, values >= 0


@compiled(any_labels=True)
def from_zero_unknown(labels: ArrayLike) -> tuple[Array, Array]:
    """Converts labels in which 1 is positive, -1 negative and 0 unknown.

    Args:
        labels: signed integer or float array (..., L); NaN is unknown as well.

    Returns:
        Bool labels (..., L), and a bool `where` (..., L), true where the label is known.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import labels
        >>> y, where = labels.from_zero_unknown(jnp.array([1, 0, -1]))
        >>> print(y, where)
        [ True False False] [ True False  True]
    """
    values = _signed(labels)
    return values > 0, (values > 0) | (values < 0)


@compiled(any_labels=True)
def from_nan(labels: ArrayLike) -> tuple[Array, Array]:
    """Converts float labels in which NaN is unknown.

    Args:
        labels: float array (..., L), hard or soft.

    Returns:
        Labels (..., L) of the same dtype with 0 for NaN, and a bool `where` (..., L), true where
        the label is known.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import labels
        >>> y, where = labels.from_nan(jnp.array([1.0, 0.0, jnp.nan]))
        >>> print(y, where)
        [1. 0. 0.] [ True  True False]
    """
    values = checks.float_array("labels", labels)
    known = ~jnp.isnan(values)
    return jnp.where(known, values, jnp.zeros_like(values)), known


def from_chexpert(
    labels: ArrayLike,
    *,
    uncertain: Literal["ignore", "zeros", "ones", "smooth"] = "ignore",
    blank: Literal["negative", "ignore"] = "negative",
) -> tuple[Array, Array]:
    """Converts CheXpert labels: 1 is positive, 0 negative, -1 uncertain and NaN not mentioned.

    Args:
        labels: signed integer or float array (..., L) of these four values.
        uncertain: what -1 becomes: unknown ("ignore"), negative ("zeros"), positive ("ones") or,
            with "smooth", the soft label 0.7, for losses that take soft labels. These are U-Ignore,
            U-Zeros, U-Ones and U-Ones with label smoothing; its authors draw labels between 0.55
            and 0.85, whose mean gives binary cross-entropy the same expectation.
        blank: what NaN becomes. "negative" is the convention of CheXpert: a finding that a report
            does not mention is absent. With "ignore" it is unknown.

    Returns:
        Labels (..., L): bool or, with uncertain="smooth", float; float32 unless the labels have
        another floating dtype. And a bool `where` (..., L), true where the label is known.

    Raises:
        TypeError: if the labels are neither signed integers nor floats.
        ValueError: if an option is unknown, or an eager call has a label of another value.

    Reference:
        J. Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and
        Expert Comparison", 2019, arXiv:1901.07031; for label smoothing H. H. Pham, T. T. Le, D. Q.
        Tran, D. T. Ngo and H. Q. Nguyen, "Interpreting chest X-rays via CNNs that exploit
        hierarchical disease dependencies and uncertainty labels", 2019, arXiv:1911.06475.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import labels
        >>> y, where = labels.from_chexpert(jnp.array([1, 0, -1, jnp.nan]))
        >>> print(y, where)
        [ True False False False] [ True  True False  True]
    """
    checks.one_of("uncertain", uncertain, ("ignore", "zeros", "ones", "smooth"))
    checks.one_of("blank", blank, ("negative", "ignore"))
    values = _signed(labels)
    y, unsure, unmentioned = values == 1, values == -1, jnp.isnan(values)
    other = ~(y | unsure | unmentioned | (values == 0))
    if not isinstance(other, jax.core.Tracer) and other.any():
        place = tuple(map(int, np.argwhere(other)[0]))
        raise ValueError(
            "from_chexpert: labels must be 1 (positive), 0 (negative), -1 (uncertain) or NaN (not "
            f"mentioned), got {values[place]} at {place}"
        )
    known = jnp.ones_like(y) if blank == "negative" else ~unmentioned
    if uncertain == "ignore":
        return y, known & ~unsure
    if uncertain == "smooth":
        floating = jnp.issubdtype(values.dtype, jnp.floating)
        dtype = values.dtype if floating else jnp.dtype(jnp.float32)
        return jnp.where(unsure, jnp.asarray(_LIKELY, dtype), y.astype(dtype)), known
    return (y | unsure if uncertain == "ones" else y), known


def from_indices(indices: ArrayLike | Sequence[Sequence[int]], num_labels: int) -> Array:
    """Converts label indices: ragged lists, or an integer array padded with negative numbers.

    Args:
        indices: a list with the indices of the positive labels of each sample, or an integer array
            (..., K) in which negative entries are padding.
        num_labels: the number L of labels.

    Returns:
        Bool labels (..., L).

    Raises:
        TypeError: if indices are not lists of integers or an integer array.
        ValueError: if an index in a list is not in [0, L). In an array, whose values are not
            known at trace time, an index of L or more is ignored like padding.

    Example:
        >>> from mllosses_jax import labels
        >>> print(labels.from_indices([[0, 2], []], num_labels=3))
        [[ True False  True]
         [False False False]]
    """
    if isinstance(indices, list | tuple):
        dense = np.zeros((len(indices), num_labels), bool)
        for row, chosen in enumerate(indices):
            if not isinstance(chosen, Iterable):
                raise TypeError(f"indices[{row}] must be a list of indices, got {chosen!r}")
            for index in chosen:
                if isinstance(index, bool) or not isinstance(index, int | np.integer):
                    raise TypeError(f"indices[{row}] must hold integers, got {index!r}")
                if not 0 <= index < num_labels:
                    raise ValueError(f"indices[{row}] must lie in [0, {num_labels}), got {index}")
                dense[row, index] = True
        return jnp.asarray(dense)
    padded = checks.label_array("indices", indices)  # type: ignore[arg-type]
    if not jnp.issubdtype(padded.dtype, jnp.integer) or padded.ndim == 0:
        raise TypeError(f"indices must be lists or an integer array, got {padded.dtype}")
    return jnp.any(jax.nn.one_hot(padded, num_labels, dtype=bool), axis=-2)


@compiled(label_smoothing=(0, 1))
def smooth_labels(
    labels: ArrayLike,
    label_smoothing: ArrayLike,
    convention: Convention = "half",
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Smooths labels by one of the five conventions in use, which are incompatible.

    In the formulas s is the smoothing, y is in [0, 1], and k of the L labels are positive.

    Formula:
        "half"           y·(1 − s) + s/2             Keras, TensorFlow, timm's asymmetric loss
        "full"           y·(1 − s) + (1 − y)·s       mmpretrain "multi_label", SMP, Cole et al.
        "uniform"        y·(1 − s) + s/L             optax, Szegedy et al.; for distributions
        "others"         y·(1 − s) + s/(L − k)       only on labels with y = 0, no smoothing
                                                     if there are none; for distributions
        "classy_vision"  (y + s/L) / (1 + s)         ClassyVision

    Args:
        labels: bool, integer or float array (..., L).
        label_smoothing: s in [0, 1], a scalar or (L,).
        convention: one of the names above.
        where: bool array of the rank of labels, axes equal or 1: which entries L and k count.

    Returns:
        Float labels (..., L): float32, unless the labels have another floating dtype.

    Raises:
        ValueError: if the convention is unknown or the smoothing is out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import labels
        >>> print(labels.smooth_labels(jnp.array([1, 0, 0]), 0.5, "others"))
        [0.5  0.25 0.25]
    """
    checks.one_of("convention", convention, CONVENTIONS)
    given = checks.label_array("labels", labels)
    floating = jnp.issubdtype(given.dtype, jnp.floating)
    y = given if floating else is_positive(given).astype(jnp.float32)
    s = checks.element_parameter("label_smoothing", label_smoothing, y)
    counted = counted_entries(checks.mask("where", where, y.shape), y)
    return smoothed(y, s, convention, counted)


@compiled()
def with_ancestors(labels: ArrayLike, hierarchy: Hierarchy) -> Array:
    """Makes labels obey a hierarchy: every ancestor of a positive label becomes positive.

    Args:
        labels: bool, integer or float array (..., L); positive where above 0.
        hierarchy: the hierarchy, made from parent edges by `labels.hierarchy`.

    Returns:
        Bool labels (..., L). Time and memory are O(L + E) per sample.

    Raises:
        ValueError: if the hierarchy has another number of labels.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import labels
        >>> animals = labels.hierarchy(np.array([[0, 1], [0, 2], [2, 3]]), num_labels=4)
        >>> print(labels.with_ancestors(np.array([False, False, False, True]), animals))
        [ True False  True  True]
    """
    given = is_positive(checks.label_array("labels", labels))
    check_labels_of(hierarchy, given.shape[-1])
    return jnp.moveaxis(highest_below(jnp.moveaxis(given, -1, 0), hierarchy), 0, -1)


@compiled()
def information_accretion(labels: ArrayLike, hierarchy: Hierarchy) -> Array:
    """Information that each label adds to its parents, by which F-max and S-min weigh labels.

    Formula:
        I_c = −log₂ ((1 + #{rows with c}) / (1 + #{rows with all parents of c}))

    One row that has every label is counted besides the given ones, so that a label without a row
    has a finite information. A label without parents is compared with all rows.

    Args:
        labels: bool, integer or float array (N, L) of training rows; positive where above 0. Their
            ancestors are added.
        hierarchy: the hierarchy, made from parent edges by `labels.hierarchy`.

    Returns:
        The information in bits, float32 (L,), at least 0: the `information` of `metrics.f_max` and
        `metrics.s_min`. Time and memory are O(L + E) per row.

    Raises:
        ValueError: if labels are not (N, L), or the hierarchy has another number of labels.

    Reference:
        W. T. Clark and P. Radivojac, "Information-Theoretic Evaluation of Predicted Ontological
        Annotations", 2013.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import labels
        >>> animals = labels.hierarchy(np.array([[0, 1], [0, 2]]), num_labels=3)
        >>> rows = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1]])
        >>> print(labels.information_accretion(rows, animals))
        [0.        1.        0.4150375]
    """
    given = with_ancestors(labels, hierarchy)
    if given.ndim != 2:
        raise ValueError(f"labels must be (N, L), got {given.shape}")
    present = given.T

    def step(complete: Array, edges: tuple[Array, Array]) -> tuple[Array, None]:
        parents, children = edges
        return complete.at[children].min(rows(present, parents), mode="drop"), None

    complete = jnp.ones_like(present)
    complete, _ = jax.lax.scan(step, complete, (hierarchy.parents, hierarchy.children))
    with_parents, with_label = (jnp.sum(of, axis=1, dtype=jnp.int32) for of in (complete, present))
    return jnp.log2((1 + with_parents) / (1 + with_label))
