"""The file of a predictor: the arrays of the model of a loss, for one of its models."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mllosses_jax.calibration import AffineCalibrator
from mllosses_jax.compare import own_code
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.outcome import LOSSES, MODEL, PREDICTOR, check_array, read_arrays
from mllosses_jax.compare.own_model import OwnModel, OwnNetwork, resolve
from mllosses_jax.compare.predictor import Predictor
from mllosses_jax.compare.preprocessing import Preprocessing
from mllosses_jax.data import DataError
from mllosses_jax.data._reading import reading


def arrays_of(predictor: Predictor) -> dict[str, Any]:
    """Returns the arrays of a predictor's file."""
    decisions: dict[str, Any] = {"global_threshold": predictor.global_threshold}
    if predictor.label_thresholds is not None:
        decisions["label_thresholds"] = predictor.label_thresholds
    if predictor.calibrator is not None:
        decisions["calibrator_slope"] = np.asarray(predictor.calibrator.slope)
        decisions["calibrator_bias"] = np.asarray(predictor.calibrator.bias)
    return {
        "model": np.array(predictor.model),
        "loss": np.array(predictor.loss),
        "label_names": np.array(predictor.label_names),
        "learns_threshold": np.array(predictor.learns_threshold),
        **decisions,
        **predictor.preprocessing.arrays(),
        **({} if predictor.network is None else predictor.network.about()),
        **{f"params/{name}": value[None] for name, value in predictor.params.items()},
    }


def read(path: Path, loss: str | None, model: Any) -> Predictor:
    """Returns the predictor in a file or in the folder of a comparison (see `Predictor.load`)."""
    file = path
    if loss is not None:
        file = _folder_of(loss, path) / MODEL
    elif file.is_dir():
        file /= PREDICTOR
    if not file.is_file() or file.suffix != ".npz":
        raise ComparisonError(
            f"{path} holds no predictor; give the folder of a finished comparison, or a file that "
            "Predictor.save wrote"
        )
    with reading(file):
        arrays = read_arrays(file)
        try:
            predictor = _from_arrays(arrays)
        except KeyError as error:
            raise DataError(f"is not a predictor: it has no {error.args[0]}") from None
    if predictor.model == "own":
        network = _own_network(arrays, predictor.preprocessing.shape, model)
        predictor = dataclasses.replace(predictor, network=network)
    elif model is not None:
        raise ComparisonError(
            f"the predictor has the {predictor.model} model of this package; leave yours out "
            "(model)"
        )
    one_row = np.zeros((1, *predictor.preprocessing.shape), np.float32)
    try:
        found = predictor.outputs(one_row).shape
    except ComparisonError:
        raise
    except Exception:  # Broken content can raise anything.
        found = (0, 0)
    if found[0] != 1 or found[1] < len(predictor.label_names):
        raise DataError("the parameters do not fit the labels; write it again", path=file)
    return predictor


def _folder_of(loss: str, results: Path) -> Path:
    """Returns the folder of a loss in the folder of a comparison."""
    folders = {file.parent.name: file.parent for file in results.glob(f"{LOSSES}/*/{MODEL}")}
    name = loss
    with contextlib.suppress(ComparisonError):
        name = parse(loss).file_name
    if name not in folders:
        there = ", ".join(sorted(map(_loss_in, folders.values()))) or "none"
        raise ComparisonError(f"no model of {loss!r} is in {results} (loss); there are: {there}")
    return folders[name]


def _loss_in(folder: Path) -> str:
    """Returns the loss of a folder as the user wrote it, unlike the name of the folder."""
    with reading(folder / MODEL):
        return str(read_arrays(folder / MODEL)["loss"])


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Predictor:
    """Returns the predictor in a file, without the user's model if it has one."""
    label_names = tuple(arrays["label_names"].tolist())
    shape = (len(label_names),)
    calibrator = None
    if "calibrator_slope" in arrays:
        slope, bias = arrays["calibrator_slope"], arrays["calibrator_bias"]
        check_array(slope, shape)
        check_array(bias, shape)
        calibrator = AffineCalibrator(jnp.asarray(slope), jnp.asarray(bias))
    if "label_thresholds" in arrays:
        check_array(arrays["label_thresholds"], shape)
    check_array(arrays["global_threshold"], ())
    return Predictor(
        label_names=label_names,
        loss=str(arrays["loss"]),
        model=str(arrays["model"]),
        preprocessing=Preprocessing.from_arrays(arrays),
        params={
            name.removeprefix("params/"): value[0]
            for name, value in arrays.items()
            if name.startswith("params/")
        },
        label_thresholds=arrays.get("label_thresholds"),
        global_threshold=np.float32(arrays["global_threshold"]),
        calibrator=calibrator,
        learns_threshold=bool(arrays.get("learns_threshold", False)),
    )


def _own_network(
    arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...], model: Any
) -> OwnNetwork:
    """Returns the user's model with which the predictor in a file was trained."""
    name, num_outputs = str(arrays["own_model"]), int(arrays["num_outputs"])
    if model is None and not own_code.PATH.fullmatch(name):
        raise ComparisonError(
            f"the predictor has your model {name}, which cannot be imported by its name; give it "
            "(model)"
        )
    own = resolve(name if model is None else model)
    if not isinstance(own, OwnModel):
        raise ComparisonError(f"the predictor has your model {name}, got {model!r} (model)")
    return own.network(shape, num_outputs)._replace(name=name)
