"""The result of training with one loss, and its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.files import write_npz
from mllosses_jax.calibration import AffineCalibrator
from mllosses_jax.compare.validation import Decisions, Held
from mllosses_jax.data import Dataset
from mllosses_jax.data._archive import open_arrays

Floats = NDArray[np.float32]

MODEL, VALIDATION, TEST = "model.npz", "validation.npz", "test.npz"
LOSSES, PREDICTOR = "losses", "predictor.npz"  # in the folder of a comparison


@dataclasses.dataclass(frozen=True)
class Training:
    """How the models of a loss were chosen and fitted.

    M models were fitted to all training rows: one for each seed, or a single one if the seed does
    not change the model.

    Attributes:
        params: the parameters of the models, arrays whose first axis is M.
        chosen: the chosen hyper-parameters, by name.
        tried: the values of each hyper-parameter that were tried, and their "score", (T,) each.
        at_edge: hyper-parameters whose best value is at an edge that cannot move.
        varies: whether the models depend on the seed.
        residuals: (M,), how far from convergence each fit ended, in the measure of the model; NaN
            for a model that is not fitted to convergence.
        seconds: the wall-clock time of everything.
        cpu_seconds: the time of all processor cores.
        settings: the values of the loss's parameters in each setting that was tried, by name, and
            the best "score" of each, (S,); empty if there was one setting.
        curves: of a model that is trained in steps, the "steps" at the end of each round with the
            chosen hyper-parameters, (R,), the mean "training_loss" of the round and the validation
            "score" after it, and the "final_loss" of the training on all rows, (F,); else empty.
    """

    params: dict[str, NDArray[Any]]
    chosen: dict[str, float]
    tried: dict[str, NDArray[Any]]
    at_edge: tuple[str, ...]
    varies: bool
    residuals: NDArray[np.float64]
    seconds: float
    cpu_seconds: float
    settings: dict[str, NDArray[Any]] = dataclasses.field(default_factory=dict, kw_only=True)
    curves: dict[str, NDArray[Any]] = dataclasses.field(default_factory=dict, kw_only=True)

    @property
    def setting(self) -> dict[str, float]:
        """The values of the loss's parameters that were chosen among several."""
        if not self.settings:
            return {}
        best = int(np.argmax(self.settings["score"]))
        return {name: float(of[best]) for name, of in self.settings.items() if name != "score"}

    @property
    def quality(self) -> float:
        """The validation score of the chosen hyper-parameters."""
        return float(np.max(self.tried["score"]))

    def training_arrays(self) -> dict[str, Any]:
        """Returns the fields as the arrays of a file."""
        return {
            "at_edge": np.array(self.at_edge, str),
            "varies": self.varies,
            "residuals": self.residuals,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            **_prefixed("params/", self.params),
            **_prefixed("chosen/", self.chosen),
            **_prefixed("tried/", self.tried),
            **_prefixed("settings/", self.settings),
            **_prefixed("curves/", self.curves),
        }


def training_fields(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns the fields of a `Training` from the arrays of a file.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has the wrong shape or dtype.
    """
    tried = _group("tried/", arrays)
    for values in tried.values():
        check_array(values, (len(tried["score"]),), kinds="fi")
    check_array(arrays["residuals"], (len(arrays["residuals"]),))
    return {
        "params": _group("params/", arrays),
        "chosen": {name: float(value) for name, value in _group("chosen/", arrays).items()},
        "tried": tried,
        "at_edge": tuple(arrays["at_edge"].tolist()),
        "varies": bool(arrays["varies"]),
        "residuals": arrays["residuals"],
        "seconds": float(arrays["seconds"]),
        "cpu_seconds": float(arrays["cpu_seconds"]),
        "settings": _group("settings/", arrays),
        "curves": _group("curves/", arrays),
    }


@dataclasses.dataclass(frozen=True)
class Outcome(Training):
    """The result of training with one loss.

    Attributes:
        test_scores: (M, N, L) float32, logits of the test part.
        held: scores of training rows by models that were not trained on them.
        decisions: the thresholds and the calibrator that were tuned on `held`.
    """

    test_scores: Floats
    held: Held
    decisions: Decisions

    def save(self, folder: Path, dataset: Dataset, about: Mapping[str, Any]) -> None:
        """Writes the files of one loss; the model comes last and exists only if all others do.

        Scores are stored with their labels, in files that `mllosses evaluate`, `tune` and
        `calibrate` take: `validation.npz`, and `test.npz` or, for several models, `test-0.npz` and
        so on.

        Args:
            folder: the folder of the loss.
            dataset: the data set, with the labels of the scores.
            about: further arrays to store with the model, such as how features were scaled.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = {"label_names": np.array(dataset.label_names), "inputs": np.array("logits")}
        labels, known = self.held.labels(dataset)
        mask = {} if dataset.mask_train is None else {"where": known}
        held = {"scores": self.held.scores, "labels": labels, **mask, "rows": self.held.rows}
        write_npz(folder / VALIDATION, held | names)
        assert dataset.y_test is not None
        mask = {} if dataset.mask_test is None else {"where": dataset.mask_test}
        paths = test_files(folder, len(self.test_scores))
        for path, scores in zip(paths, self.test_scores, strict=True):
            write_npz(path, {"scores": scores, "labels": dataset.y_test, **mask, **names})
        calibrator = self.decisions.calibrator
        write_npz(
            folder / MODEL,
            {
                "label_thresholds": self.decisions.label_thresholds,
                "global_threshold": self.decisions.global_threshold,
                "calibrator_slope": np.asarray(calibrator.slope),
                "calibrator_bias": np.asarray(calibrator.bias),
                **self.training_arrays(),
                **names,
                **about,
            },
        )

    @classmethod
    def load(cls, folder: Path, dataset: Dataset) -> Outcome | None:
        """Reads what `save` wrote for a data set, or returns None if it did not finish.

        Raises:
            ValueError: an array has the wrong shape, dtype or values.
            DataError: a file is damaged.
        """
        if not (folder / MODEL).exists():
            return None
        assert dataset.y_test is not None
        labels = dataset.y_train.shape[1]
        model, held = read_arrays(folder / MODEL), read_arrays(folder / VALIDATION)
        training = training_fields(model)
        paths = test_files(folder, len(training["residuals"]))
        tests = [read_arrays(path)["scores"] for path in paths]
        for scores in tests:
            check_array(scores, dataset.y_test.shape)
        check_array(held["scores"], (len(held["rows"]), labels))
        check_rows(held["rows"], dataset)
        for name in ("label_thresholds", "calibrator_slope", "calibrator_bias"):
            check_array(model[name], (labels,))
        check_array(model["global_threshold"], ())
        calibrator = AffineCalibrator(
            jnp.asarray(model["calibrator_slope"]), jnp.asarray(model["calibrator_bias"])
        )
        return cls(
            **training,
            test_scores=np.stack(tests),
            held=Held(held["rows"], held["scores"]),
            decisions=Decisions(model["label_thresholds"], model["global_threshold"], calibrator),
        )


def check_rows(rows: NDArray[Any], dataset: Dataset) -> None:
    """Raises a ValueError unless an array holds places in the training part."""
    check_array(rows, (len(rows),), kinds="i")
    if rows.size and not 0 <= rows.min() <= rows.max() < len(dataset.y_train):
        raise ValueError("rows must be rows of the training part")


def check_array(array: NDArray[Any], shape: tuple[int, ...], kinds: str = "f") -> None:
    """Raises a ValueError if an array has another shape, or a dtype of another kind."""
    if array.shape != shape or array.dtype.kind not in kinds:
        raise ValueError(
            f"an array has shape {array.shape} and dtype {array.dtype}; it must be {shape}"
        )


def test_files(folder: Path, num_models: int) -> list[Path]:
    """Returns the files of the test part, one for each model."""
    if num_models == 1:
        return [folder / TEST]
    return [folder / f"test-{index}.npz" for index in range(num_models)]


def _prefixed(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in arrays.items()}


def _group(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a file.

    Raises:
        DataError: the file is damaged.
    """
    with open_arrays(path) as arrays:
        return dict(arrays)
