"""What training with one loss gave, and its files."""

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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What training with one loss gave.

    M models were fitted to all training rows: one for each seed, or a single one where nothing that
    seeds draw changes the model.

    Attributes:
        params: the parameters of the models, arrays whose first axis is M.
        test_scores: (M, N, L) float32, logits of the test part.
        held: scores of training rows by models that were not trained on them.
        decisions: what was tuned on `held`.
        chosen: the hyper-parameters that were chosen, by name.
        tried: what was tried: for each hyper-parameter the values, and the "score" of each, (T,).
        at_edge: hyper-parameters whose best value lies at an edge that cannot move.
        varies: whether the models depend on what seeds draw.
        residuals: (M,), the norm of the slope where each fit ended, as a share of that at the
            start; NaN of a model that is not fitted to rest.
        seconds: wall-clock time of everything.
        cpu_seconds: time of all processor cores.
    """

    params: dict[str, NDArray[Any]]
    test_scores: Floats
    held: Held
    decisions: Decisions
    chosen: dict[str, float]
    tried: dict[str, NDArray[Any]]
    at_edge: tuple[str, ...]
    varies: bool
    residuals: NDArray[np.float64]
    seconds: float
    cpu_seconds: float

    @property
    def quality(self) -> float:
        """The validation score of what was chosen."""
        return float(np.max(self.tried["score"]))

    def save(self, folder: Path, dataset: Dataset, about: Mapping[str, Any]) -> None:
        """Writes the files of one loss; the model comes last, so that it is there if all are.

        Scores stand beside their labels, in files that `mllosses evaluate`, `tune` and `calibrate`
        take: `validation.npz`, and `test.npz` or, of several models, `test-0.npz` and so on.

        Args:
            folder: of the loss.
            dataset: whose labels belong to the scores.
            about: further arrays that belong to the model, such as how features were scaled.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = {"label_names": np.array(dataset.label_names), "inputs": np.array("logits")}
        labels, known = self.held.labels(dataset)
        mask = {} if dataset.mask_train is None else {"where": known}
        held = {"scores": self.held.scores, "labels": labels, **mask, "rows": self.held.rows}
        write_npz(folder / VALIDATION, held | names)
        assert dataset.y_test is not None
        mask = {} if dataset.mask_test is None else {"where": dataset.mask_test}
        paths = _tests(folder, len(self.test_scores))
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
                "at_edge": np.array(self.at_edge, str),
                "varies": self.varies,
                "residuals": self.residuals,
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
                **_prefixed("params/", self.params),
                **_prefixed("chosen/", self.chosen),
                **_prefixed("tried/", self.tried),
                **names,
                **about,
            },
        )

    @classmethod
    def load(cls, folder: Path, dataset: Dataset) -> Outcome | None:
        """Reads what `save` wrote for a data set; None where it did not come to an end.

        Raises:
            ValueError: an array is not what it should be.
            DataError: a file is damaged.
        """
        if not (folder / MODEL).exists():
            return None
        assert dataset.y_test is not None
        labels = dataset.y_train.shape[1]
        model, held = _read(folder / MODEL), _read(folder / VALIDATION)
        num_models = len(model["residuals"])
        tests = [_read(path)["scores"] for path in _tests(folder, num_models)]
        for scores in tests:
            _check(scores, dataset.y_test.shape)
        _check(held["scores"], (len(held["rows"]), labels))
        _check(held["rows"], (len(held["rows"]),), kinds="i")
        if held["rows"].size and not 0 <= held["rows"].min() <= held["rows"].max() < len(
            dataset.y_train
        ):
            raise ValueError("rows are not rows of the training part")
        for name in ("label_thresholds", "calibrator_slope", "calibrator_bias"):
            _check(model[name], (labels,))
        _check(model["global_threshold"], ())
        _check(model["residuals"], (num_models,))
        tried = _group("tried/", model)
        for values in tried.values():
            _check(values, (len(tried["score"]),), kinds="fi")
        calibrator = AffineCalibrator(
            jnp.asarray(model["calibrator_slope"]), jnp.asarray(model["calibrator_bias"])
        )
        return cls(
            params=_group("params/", model),
            test_scores=np.stack(tests),
            held=Held(held["rows"], held["scores"]),
            decisions=Decisions(model["label_thresholds"], model["global_threshold"], calibrator),
            chosen={name: float(value) for name, value in _group("chosen/", model).items()},
            tried=tried,
            at_edge=tuple(model["at_edge"].tolist()),
            varies=bool(model["varies"]),
            residuals=model["residuals"],
            seconds=float(model["seconds"]),
            cpu_seconds=float(model["cpu_seconds"]),
        )


def _check(array: NDArray[Any], shape: tuple[int, ...], kinds: str = "f") -> None:
    if array.shape != shape or array.dtype.kind not in kinds:
        raise ValueError(f"an array {array.shape} of {array.dtype} must be {shape}")


def _tests(folder: Path, num_models: int) -> list[Path]:
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


def _read(path: Path) -> dict[str, NDArray[Any]]:
    with open_arrays(path) as arrays:
        return dict(arrays)
