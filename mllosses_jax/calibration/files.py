"""Calibrators as JSON, keyed by label name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mllosses_jax._core import checks, schema
from mllosses_jax._core.files import read_format, write_format
from mllosses_jax._core.text import shown
from mllosses_jax.calibration.affine import AffineCalibrator
from mllosses_jax.calibration.beta import BetaCalibrator
from mllosses_jax.calibration.isotonic import IsotonicCalibrator

Calibrator = AffineCalibrator | BetaCalibrator | IsotonicCalibrator

_FORMAT = "mllosses_jax calibrator 1"
_KINDS: dict[str, type[Calibrator]] = {
    "affine": AffineCalibrator,
    "beta": BetaCalibrator,
    "isotonic": IsotonicCalibrator,
}
_CURVE = ("knots", "values")


class OtherLabels(ValueError):
    """Raised when a calibrator lacks a label for which it is wanted."""


def to_dict(calibrator: Calibrator, label_names: Sequence[str]) -> dict[str, Any]:
    """A calibrator as a dictionary of Python numbers, strings and lists.

    The dictionary is {"calibrator": KIND, "labels": {NAME: {PARAMETER: number or list, ...}, ...}}
    or, for a calibrator with one map for all labels, {"calibrator": KIND, "all": {...}}. KIND is
    "affine" (temperature, bias, Platt), "beta" or "isotonic"; for the last, "base" holds the common
    map.

    Args:
        calibrator: a calibrator, as a fit returns it.
        label_names: one name per label, all different.

    Returns:
        A dictionary for `json.dump` and `from_dict`. Numbers are exact.

    Raises:
        TypeError: if a name is not a string.
        ValueError: if the names are not one per label and distinct, or a number is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> calibrator = calibration.AffineCalibrator(jnp.array([0.5, 2.0]), jnp.array([0.0, 1.0]))
        >>> calibration.to_dict(calibrator, ["sea", "sunset"])["labels"]["sunset"]
        {'slope': 2.0, 'bias': 1.0}
    """
    arrays = _arrays(calibrator)
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise ValueError("calibrator must hold finite numbers; was it fitted to logits with NaN?")
    kind = next(name for name, cls in _KINDS.items() if cls is type(calibrator))
    result: dict[str, Any] = {"calibrator": kind}
    shared = {name: int(name in _CURVE) for name in arrays}  # axes of one map for all labels
    own = [array.shape[0] for name, array in arrays.items() if array.ndim > shared[name]]
    if not own:
        result["all"] = _written(arrays)
    else:
        columns = own[0]
        label_names = checks.label_names(label_names, columns)
        full = {
            name: np.broadcast_to(array, (columns, *array.shape[array.ndim - shared[name] :]))
            for name, array in arrays.items()
        }
        result["labels"] = {
            name: _written({field: values[label] for field, values in full.items()})
            for label, name in enumerate(label_names)
        }
    base = getattr(calibrator, "base", None)
    return result if base is None else {**result, "base": to_dict(base, label_names)}


def from_dict(data: Mapping[str, Any], label_names: Sequence[str]) -> Calibrator:
    """The calibrator in a dictionary made by `to_dict`, for labels in any order.

    Args:
        data: a dictionary as `to_dict` returns it.
        label_names: the names of the labels in the order of the logits; a subset will do.

    Returns:
        The calibrator, in float32, or float64 where x64 is enabled.

    Raises:
        ValueError: if the dictionary does not hold a calibrator, or lacks a label.

    Example:
        >>> from mllosses_jax import calibration
        >>> labels = {"sea": {"slope": 0.5, "bias": 0.0}, "sunset": {"slope": 2.0, "bias": 1.0}}
        >>> data = {"calibrator": "affine", "labels": labels}
        >>> calibration.from_dict(data, ["sunset", "sea"]).slope
        Array([2. , 0.5], dtype=float32)
    """
    kind = data.get("calibrator") if isinstance(data, Mapping) else None
    if not (isinstance(kind, str) and kind in _KINDS):
        got = shown(kind) if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(f'data must hold "calibrator", one of {", ".join(_KINDS)}; got {got}')
    cls = _KINDS[kind]
    names = [field.name for field in dataclasses.fields(cls) if field.name != "base"]
    if ("all" in data) == ("labels" in data):
        raise ValueError('data must hold either "all" or "labels"')
    of_base = {"base"} if cls is IsotonicCalibrator else set()
    extra = set(data) - {"format", "calibrator", "all", "labels"} - of_base
    if extra:
        raise ValueError(f"data must not hold {shown(min(extra))}")
    base: dict[str, Any] = {"base": _base(data["base"], label_names)} if "base" in data else {}
    if "all" in data:
        parameters = _read({"all": data["all"]}, names)
        return cls(**{name: value[0] for name, value in parameters.items()}, **base)
    known = schema.named(data["labels"], "labels")
    missing = [name for name in label_names if name not in known]
    if missing:
        raise OtherLabels(
            f"data must hold every label: {len(missing)} of {len(label_names)} are missing, "
            f"the first is {shown(missing[0])}"
        )
    rows = {f"labels[{shown(name)}]": row for name, row in known.items()}
    read = _read(rows, names)
    place = {name: label for label, name in enumerate(known)}
    chosen = np.array([place[name] for name in label_names])
    return cls(**{name: value[chosen] for name, value in read.items()}, **base)


def save(
    calibrator: Calibrator, path: str | Path, label_names: Sequence[str], *, force: bool = False
) -> None:
    """Writes a calibrator to a JSON file.

    The file holds the dictionary of `to_dict`, preceded by the entry
    "format": "mllosses_jax calibrator 1".

    Args:
        calibrator: a calibrator, as a fit returns it.
        path: the file to write.
        label_names: one name per label, all different.
        force: whether to overwrite an existing file.

    Raises:
        TypeError: if a name is not a string.
        ValueError: if the names are not one per label and distinct, or a number is not finite.
        FileExistsError: if the file exists, unless `force`.
        OSError: if the file cannot be written.

    Example:
        >>> import jax.numpy as jnp, pathlib, tempfile
        >>> from mllosses_jax import calibration
        >>> calibrator = calibration.AffineCalibrator(jnp.array([0.5, 2.0]), jnp.array([0.0, 1.0]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "calibrator.json"
        ...     calibration.save(calibrator, file, ["sea", "sunset"])
        ...     print(calibration.load(file, ["sunset"]).bias)
        [1.]
    """
    content = to_dict(calibrator, label_names)
    write_format(path, content, format_name=_FORMAT, force=force)


def load(path: str | Path, label_names: Sequence[str]) -> Calibrator:
    """Reads a calibrator from a JSON file, for labels in any order.

    Args:
        path: a file written by `save`.
        label_names: the names of the labels in the order of the logits; a subset will do.

    Returns:
        The calibrator, in float32, or float64 where x64 is enabled.

    Raises:
        ValueError: if the file does not hold a calibrator, or lacks a label.
        OSError: if the file cannot be read.

    Example:
        See `save`.

        >>> from mllosses_jax import calibration
        >>> calibration.load("missing.json", ["sea"])
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.json'
    """
    content = read_format(path, format_name=_FORMAT)
    try:
        return from_dict(content, label_names)
    except ValueError as error:
        raise type(error)(f"{path} must hold a calibrator of these labels: {error}") from None


def _arrays(calibrator: Calibrator) -> dict[str, np.ndarray]:
    fields = dataclasses.fields(calibrator)
    return {f.name: np.asarray(getattr(calibrator, f.name)) for f in fields if f.name != "base"}


def _written(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the values as Python numbers, with each knot of a curve once."""
    written = {name: value.tolist() for name, value in values.items()}
    if "knots" in written:
        points = dict.fromkeys(zip(*(written[name] for name in _CURVE), strict=True))
        for name, column in zip(_CURVE, zip(*points, strict=True), strict=True):
            written[name] = list(column)
    return written


def _base(data: object, label_names: Sequence[str]) -> Calibrator:
    """Returns the common map of an isotonic calibrator, which must not have a base itself."""
    common = schema.mapping(data, "base")
    if common.get("calibrator") != "isotonic":
        raise ValueError(f"base.calibrator must be isotonic, got {shown(common.get('calibrator'))}")
    if "base" in common:
        raise ValueError("base must not have a base of its own")
    try:
        return from_dict(common, label_names)
    except ValueError as error:
        raise ValueError(f"base.{error}") from None


def _read(rows: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Returns one array per parameter, with curves padded to the longest; keys name the rows."""
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for place, row in rows.items():
        schema.mapping(row, place, names)
        for name in names:
            columns[name].append(_parameter(row[name], name, f"{place}.{name}"))
        if "knots" in row and len(row["knots"]) != len(row["values"]):
            raise ValueError(
                f"{place}.values must hold one value per knot, {len(row['knots'])}, got "
                f"{len(row['values'])}"
            )
    if "knots" in names:
        size = max(2, *map(len, columns["knots"]))
        for name in _CURVE:
            columns[name] = [curve + curve[-1:] * (size - len(curve)) for curve in columns[name]]
    dtype = jnp.result_type(float)
    return {name: jnp.asarray(np.array(v, np.float64), dtype) for name, v in columns.items()}


def _parameter(value: object, name: str, place: str) -> float | list[float]:
    if name == "knots":
        return schema.ascending(value, place)
    if name == "values":
        return schema.ascending(value, place, 0, 1)
    return schema.number(value, place, *((0, 1) if name == "weight" else ()))
