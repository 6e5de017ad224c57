"""Checks of values in eager calls; under a transformation, values cannot be inspected.

Inspecting an array waits for its device. Labels, weights and counts are worth the wait, because a
wrong value would give a plausible result. Other parameters are checked only if they are Python
numbers or numpy arrays.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.platforms import on_host

Bounds = tuple[float, float]

_SCORES = ("logits", "scores", "probabilities")


def check_bounds(function: str, name: str, value: object, bounds: Bounds) -> None:
    """Raises ValueError if a Python number or numpy array is outside a closed interval."""
    low, high = bounds
    known = isinstance(value, numbers.Real | np.ndarray) and not isinstance(value, jax.core.Tracer)
    if known and not np.all((np.asarray(value) >= low) & (np.asarray(value) <= high)):
        raise ValueError(f"{function}: {name} must lie in [{low:g}, {high:g}], got {value}")


def check_amounts(function: str, arguments: dict[str, Any]) -> None:
    """Raises ValueError if known weights or counts are negative, or counts above the total."""
    for name in ("weights", "label_weights", "sample_weights", "label_counts"):
        known = _known(arguments.get(name))
        if known is not None and np.any(known < 0):
            raise ValueError(f"{function}: {name} must not be negative, got {known.min()}")
    counts, total = (_known(arguments.get(name)) for name in ("label_counts", "num_samples"))
    if counts is None or total is None or total.shape not in {(), counts.shape}:
        return
    if np.any(counts > total):
        raise ValueError(
            f"{function}: label_counts must not be above num_samples, got {counts.max()} of {total}"
        )


def _known(value: Any) -> Any:
    """Returns a number or an array of numbers as a numpy array, or None if values are unknown."""
    if isinstance(value, numbers.Real):
        return np.asarray(value)
    if isinstance(value, jax.core.Tracer) or not isinstance(value, jax.Array | np.ndarray):
        return None
    if not value.size or not any(
        jnp.issubdtype(value.dtype, kind) for kind in (jnp.integer, jnp.floating)
    ):
        return None
    return np.asarray(value)


def fits_labels(arguments: Mapping[str, Any]) -> bool:
    """Returns whether scores or predictions, if there are any, fit the labels in shape and dtype.

    If not, the function itself raises a more helpful error, such as that two arguments are swapped
    or class ids are not accepted.
    """
    name = next((name for name in (*_SCORES, "predictions") if name in arguments), None)
    if name is None:
        return True
    given, labels = arguments[name], arguments["labels"]
    is_label = name in _SCORES and hasattr(given, "dtype") and given.dtype.kind in "biu"
    return np.shape(given) == np.shape(labels) and not is_label


def check_labels(function: str, labels: Any, where: Any) -> None:
    """Raises ValueError if a label that counts has a known value outside [0, 1]."""
    if not isinstance(labels, jax.Array | np.ndarray) or labels.size == 0:
        return
    if isinstance(labels, jax.core.Tracer) or isinstance(where, jax.core.Tracer):
        return
    if not any(jnp.issubdtype(labels.dtype, kind) for kind in (jnp.integer, jnp.floating)):
        return  # bool; the function itself rejects all other dtypes
    with jax.ensure_compile_time_eval():  # checks arrays that a traced function closes over, too
        if not on_host(labels) and _all_in_unit(labels):
            return
        values = np.asarray(labels)
        one = np.ones(1, values.dtype)
        unsigned = np.dtype(f"{values.dtype.byteorder}u{values.itemsize}")
        # The bits of values above 1, below 0 or NaN are above those of 1: one fast pass suffices.
        bits, bits_of_one = values.view(unsigned), one.view(unsigned)[0]
        if bits.max() <= bits_of_one:
            return
        suspect = bits > bits_of_one
        if where is not None:
            suspect &= np.asarray(checks.mask("where", where, labels.shape))
        if suspect.any():
            suspect &= values != 0  # -0.0 has its sign bit set
        if suspect.any():
            place = np.unravel_index(suspect.argmax(), suspect.shape)
            index = tuple(int(axis) for axis in place)
            raise ValueError(f"{function}: {_complaint(values[index], index)}")


def check_probabilities(demand: str, scores: Any, where: Any) -> None:
    """Raises ValueError, beginning with `demand`, if a known score that counts is outside [0, 1].

    Only values can show that logits were passed as probabilities. Under a transformation, a
    function of probabilities must return NaN for such a score.
    """
    if not isinstance(scores, jax.Array | np.ndarray):
        return
    if isinstance(scores, jax.core.Tracer) or isinstance(where, jax.core.Tracer):
        return
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        return  # the function itself rejects them and knows the name of the argument
    with jax.ensure_compile_time_eval():  # checks arrays that a traced function closes over, too
        low, high = cast(tuple[float, float], jax.device_get(_range(scores, where)))
    if low < 0 or high > 1:
        raise ValueError(f"{demand}, got values from {low:g} to {high:g}; were logits passed?")


def _complaint(value: Any, place: tuple[int, ...]) -> str:
    if np.isnan(value):
        return (
            f"labels must be known where they count, got NaN at {place}; "
            f"labels, where = mll.labels.from_nan(labels) masks the unknown ones"
        )
    wrong = f"labels must lie in [0, 1] where they count, got {value} at {place}; "
    if value == -1:
        return (
            f"{wrong}if -1 means unknown, "
            f"labels, where = mll.labels.from_minus_one_unknown(labels) masks it; "
            f"if 0 means unknown, use from_zero_unknown(labels); "
            f"if -1 means negative, pass labels > 0; if -1 means uncertain, as in CheXpert, use "
            f"from_chexpert(labels)"
        )
    return (
        f"{wrong}if that means unknown, mask it with where=labels != {value}; if every label above "
        f"0 is positive, pass labels > 0"
    )


@jax.jit
def _all_in_unit(labels: Array) -> Array:
    return jnp.all((labels >= 0) & (labels <= 1))


@jax.jit
def _range(scores: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns the lowest and the highest score that counts, ignoring NaN."""
    s = checks.float_array("scores", scores)
    s = s.astype(compute_dtype(s))
    mask = checks.mask("where", where, s.shape)
    known = ~jnp.isnan(s) if mask is None else ~jnp.isnan(s) & mask
    low = jnp.min(s, where=known, initial=jnp.inf)
    high = jnp.max(s, where=known, initial=-jnp.inf)
    return low, high
