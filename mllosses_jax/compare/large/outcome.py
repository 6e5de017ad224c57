"""The result of training with one loss over very many labels, and its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.files import write_npz
from mllosses_jax.compare.outcome import (
    MODEL,
    VALIDATION,
    Training,
    check_array,
    check_rows,
    read_arrays,
    test_files,
    training_fields,
)
from mllosses_jax.data import Dataset


class Ranked(NamedTuple):
    """The labels with the highest scores of each row, in descending order.

    Attributes:
        ids: int32 (N, k); -1 where fewer labels are known.
        scores: float32 (N, k), logits; -inf at -1.
    """

    ids: NDArray[np.int32]
    scores: NDArray[np.float32]

    @property
    def usable(self) -> bool:
        """Whether no score is NaN or infinite."""
        return bool(np.isfinite(self.scores[self.ids >= 0]).all() and (self.ids[:, 0] >= 0).any())


@dataclasses.dataclass(frozen=True)
class RankedOutcome(Training):
    """The result of training with one loss.

    Attributes:
        test: the ranked labels of the test part, one for each of the M models.
        held: the ranked labels of rows, by a model that was not trained on them.
        held_rows: (V,), their places in the validation part or, without one, in the training part.
        global_threshold: the threshold for micro-F1 that was tuned on `held`.
    """

    test: tuple[Ranked, ...]
    held: Ranked
    held_rows: NDArray[np.intp]
    global_threshold: np.float32

    def save(self, folder: Path, dataset: Dataset, about: Mapping[str, Any]) -> None:
        """Writes the files of one loss; the model comes last and exists only if all others do.

        Args:
            folder: the folder of the loss.
            dataset: the data set, with the names of the labels.
            about: further arrays to store with the model, such as how features were scaled.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = {"label_names": np.array(dataset.label_names), "inputs": np.array("logits")}
        write_npz(folder / VALIDATION, _arrays(self.held) | {"rows": self.held_rows} | names)
        for path, ranked in zip(test_files(folder, len(self.test)), self.test, strict=True):
            write_npz(path, _arrays(ranked) | names)
        threshold = {"global_threshold": self.global_threshold}
        write_npz(folder / MODEL, threshold | self.training_arrays() | names | dict(about))

    @classmethod
    def load(cls, folder: Path, dataset: Dataset) -> RankedOutcome | None:
        """Reads what `save` wrote for a data set, or returns None if it did not finish.

        Raises:
            ValueError: an array has the wrong shape, dtype or values.
            DataError: a file is damaged.
        """
        if not (folder / MODEL).exists():
            return None
        assert dataset.y_test is not None
        model, held = read_arrays(folder / MODEL), read_arrays(folder / VALIDATION)
        training = training_fields(model)
        check_rows(held["rows"], dataset)
        check_array(model["global_threshold"], ())
        paths = test_files(folder, len(training["residuals"]))
        num_rows, num_labels = dataset.y_test.shape
        return cls(
            **training,
            test=tuple(_ranked(read_arrays(path), num_rows, num_labels) for path in paths),
            held=_ranked(held, len(held["rows"]), num_labels),
            held_rows=held["rows"],
            global_threshold=np.float32(model["global_threshold"]),
        )


def _arrays(ranked: Ranked) -> dict[str, NDArray[Any]]:
    return {"top_ids": ranked.ids, "top_scores": ranked.scores}


def _ranked(arrays: Mapping[str, NDArray[Any]], num_rows: int, num_labels: int) -> Ranked:
    ids, scores = arrays["top_ids"], arrays["top_scores"]
    shape = (num_rows, ids.shape[-1])
    check_array(ids, shape, kinds="i")
    check_array(scores, shape)
    if ids.size and not -1 <= ids.min() <= ids.max() < num_labels:
        raise ValueError("ids must be those of labels")
    return Ranked(ids, scores)
