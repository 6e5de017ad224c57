"""What an .npy or .npz file of scores or labels holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data import DataError
from mllosses_jax.data._archive import Arrays, open_arrays

Inputs = Literal["logits", "probabilities"]
Role = Literal["scores", "labels"]

MASKS = ("where", "mask")


class Content(NamedTuple):
    """What a file holds, of the one role or the other.

    Attributes:
        values: (N, L).
        names: of the labels, if it has them.
        mask: bool (N, L), where the values count.
        inputs: what it says that its scores are, if it does.
        with_labels: whether labels stand beside its scores.
        doubt: what there is to say if its names are not those of the labels: they read like scores.
    """

    values: NDArray[Any]
    names: tuple[str, ...] | None
    mask: NDArray[np.bool_]
    inputs: Inputs | None = None
    with_labels: bool = False
    doubt: DataError | None = None


def read_numpy(path: Path, role: Role) -> Content:
    """Returns what a file holds of a role: one array, or that of the role's name among others.

    Raises:
        DataError: it is no such file, or holds nothing of the role.
    """
    with open_arrays(path, alone=role) as arrays:
        return _from_arrays(arrays, role)


def _from_arrays(arrays: Arrays, role: Role) -> Content:
    inputs = _declared(arrays)
    beside = {"label_names", *MASKS, *(() if inputs is None else ("inputs",))}
    candidates = [name for name in arrays if name not in beside]
    mine = [role] if role in candidates else candidates
    if len(mine) != 1 or (mine[0] != role and mine[0] in get_args(Role)):
        found = ", ".join(candidates[:8]) or "none"
        raise DataError(f"no array {role}; found: {found}; save it under this name")
    shape, dtype = arrays.header(mine[0])  # they may be large, and nothing to be read
    if role == "scores" and len(shape) == 3:
        raise DataError(
            f"scores have shape {shape}, an axis too many; of several models, save those of "
            "one, such as scores[0], or their mean, as (samples, labels)"
        )
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"{role} have shape {shape}; they must be (samples, labels), none of them 0"
        )
    if dtype.kind not in ("iuf" if role == "scores" else "biuf"):
        raise DataError(f"{role} are {dtype} values; they must be numbers")
    values = arrays[mine[0]]
    if role == "scores":
        single = np.result_type(values, np.float32) == np.float32
        values = values.astype(np.float32 if single else np.float64)
    names = _names(arrays, values.shape[1])
    with_labels = role == "scores" and {"scores", "labels"} <= set(candidates)
    # Beside labels, a mask is theirs: it says nothing of the scores.
    mask = np.ones(values.shape, bool) if with_labels else _mask(arrays, values.shape)
    return Content(values, names, mask, inputs, with_labels)


def _declared(arrays: Arrays) -> Inputs | None:
    """Returns what an archive says that its scores are; `inputs` of numbers are something else."""
    if "inputs" not in arrays or arrays.header("inputs").dtype.kind != "U":
        return None
    said = arrays["inputs"].ravel().tolist()
    for known in get_args(Inputs):
        if said == [known]:
            return cast(Inputs, known)
    raise DataError(f"inputs is {', '.join(said[:3])!r}; it must be logits or probabilities")


def _names(arrays: Arrays, count: int) -> tuple[str, ...] | None:
    if "label_names" not in arrays:
        return None
    shape, dtype = arrays.header("label_names")
    if shape != (count,) or dtype.kind != "U":
        raise DataError(f"label_names must be a vector of {count} strings, one per label")
    return tuple(arrays["label_names"].tolist())


def _mask(arrays: Arrays, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    present = [name for name in MASKS if name in arrays]
    if not present:
        return np.ones(shape, bool)
    if len(present) > 1:
        raise DataError("holds where and mask, which mean the same; keep one of them")
    name = present[0]
    found, dtype = arrays.header(name)
    if found != shape or dtype.kind not in "biuf":
        raise DataError(
            f"{name} has shape {found} of {dtype} values; it must be {shape}, 1 where a label is "
            "known"
        )
    mask, known = binary(arrays[name], name)
    return mask & known


def binary(values: NDArray[Any], what: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which entries are 1, and which are known, that is not NaN."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    wrong = known & (values != 0) & (values != 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{what} are {values[row, column]} at row {row}, column {column} (from 0); they are 0 "
            "or 1, and NaN or `where` tells what is unknown"
        )
    return (values == 1) & known, known
