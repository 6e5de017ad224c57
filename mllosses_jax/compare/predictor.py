"""The model that was found, with all that leads from raw features to label sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from mllosses_jax._core.files import write_npz
from mllosses_jax._core.text import shown
from mllosses_jax.calibration import AffineCalibrator
from mllosses_jax.compare import mlp
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.heads import scores_of
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.own_model import OwnNetwork
from mllosses_jax.compare.preprocessing import Preprocessing

BLOCK = 1 << 22  # the most features, and the most scores, that are computed together
ROWS = 4096  # the most rows

Params = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Predictor:
    """A trained model that takes raw features and gives scores, probabilities and label sets.

    If the models of a loss depend on the seed, this is the first of them. Thresholds and calibrator
    were tuned on scores of single models, and the figures of a comparison describe single models;
    the mean of several models has other scores, which would need other thresholds.

    Attributes:
        label_names: the names of the L labels.
        loss: the loss that it was trained with.
        model: "linear", "mlp", "linear_head" or "own".
        preprocessing: what is done to features before the model sees them.
        params: the parameters of the model, by name.
        label_thresholds: (L,), for macro-F1, or None if there are too many labels.
        global_threshold: the threshold of all labels, for micro-F1.
        calibrator: makes probabilities of scores, or None if there are too many labels.
        network: the user's model, or None if it is one of this package.
        learns_threshold: whether the model has learned a threshold of each row, from which scores
            are measured.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.compare import compare
        >>> from mllosses_jax.data import Dataset
        >>> x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
        >>> y = x[:, :2] > 0
        >>> data = Dataset(name="signs", label_names=("first", "second"), x_train=x, y_train=y)
        >>> predictor = compare(data, losses="zlpr_loss").predictor()
        >>> predictor.predict([[2.0, -2.0, 0.0, 0.0]]).tolist()
        [[True, False]]
    """

    label_names: tuple[str, ...]
    loss: str
    model: str
    preprocessing: Preprocessing
    params: Params
    label_thresholds: NDArray[np.float32] | None
    global_threshold: np.float32
    calibrator: AffineCalibrator | None
    network: OwnNetwork | None = None
    learns_threshold: bool = False

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.preprocessing.shape))
        return (
            f"Predictor({self.model_name} model trained with {self.loss}: {shape} features, "
            f"{len(self.label_names)} labels)"
        )

    @property
    def model_name(self) -> str:
        """The name of the model, which may be the user's."""
        return self.model if self.network is None else self.network.name

    def scores(self, features: ArrayLike) -> NDArray[np.float32]:
        """Returns the scores of rows.

        Args:
            features: (N, ...) raw features, in the order of those of the data set.

        Returns:
            Logits, (N, L).

        Raises:
            ComparisonError: the features do not fit the model, or its training diverged.
        """
        empty = np.empty((0, len(self.label_names)), np.float32)
        return np.concatenate([empty, *self._blocks(features)])

    def probabilities(self, features: ArrayLike) -> NDArray[np.float32]:
        """Returns calibrated probabilities of rows.

        Args:
            features: (N, ...) raw features.

        Returns:
            Probabilities, (N, L).

        Raises:
            ComparisonError: there is no calibrator, or `scores` would raise.
        """
        return self.probabilities_of(self.scores(features))

    def predict(
        self, features: ArrayLike, *, scope: Literal["label", "global"] | None = None
    ) -> NDArray[np.bool_]:
        """Returns the predicted label sets of rows.

        Args:
            features: (N, ...) raw features.
            scope: "label" for a threshold of each label, which are tuned for macro-F1; "global" for
                that of all labels, which is tuned for micro-F1; None for "label" where there are
                such thresholds.

        Returns:
            Label sets, bool (N, L).

        Raises:
            ComparisonError: there are no thresholds of labels, or `scores` would raise.
        """
        thresholds = self._thresholds(scope)
        empty = np.empty((0, len(self.label_names)), np.bool_)
        return np.concatenate([empty, *(s >= thresholds for s in self._blocks(features))])

    def top_k(self, features: ArrayLike, k: int) -> Ranked:
        """Returns the labels of the highest scores of rows; no more scores are kept at once.

        Args:
            features: (N, ...) raw features.
            k: the number of labels of each row.

        Returns:
            The `ids` of the labels and their `scores`, (N, k) each, in descending order.

        Raises:
            ComparisonError: there are fewer labels than k, or `scores` would raise.
        """
        num_labels = len(self.label_names)
        if not isinstance(k, int | np.integer) or not 1 <= k <= num_labels:
            raise ComparisonError(f"k must be a whole number from 1 to {num_labels}, got {k!r}")
        parts = [jax.lax.top_k(block, k) for block in self._blocks(features)]
        scores = [np.empty((0, k), np.float32), *(np.asarray(part[0]) for part in parts)]
        ids = [np.empty((0, k), np.int32), *(np.asarray(part[1]) for part in parts)]
        return Ranked(np.concatenate(ids), np.concatenate(scores))

    def sets_of(
        self, scores: NDArray[np.float32], *, scope: Literal["label", "global"] | None = None
    ) -> NDArray[np.bool_]:
        """Returns the label sets, bool (N, L), of rows with the given scores, as `predict` does."""
        return np.asarray(scores >= self._thresholds(scope))

    def probabilities_of(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the probabilities, (N, L), of rows with the given scores."""
        if self.calibrator is None:
            raise ComparisonError(
                f"there is no calibrator for a model over {len(self.label_names)} labels; use the "
                "scores"
            )
        return np.asarray(self.calibrator(scores))

    def save(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Writes the predictor as one .npz file, whole or not at all.

        Args:
            path: the file.
            force: whether to replace an existing file.

        Raises:
            FileExistsError: the file exists, unless `force`.
        """
        if Path(path).exists() and not force:
            raise FileExistsError(f"{path} exists; choose another file, or force=True")
        from mllosses_jax.compare.predictor_file import arrays_of

        write_npz(Path(path), arrays_of(self))

    @classmethod
    def load(
        cls, path: str | PathLike[str], *, loss: str | None = None, model: Any = None
    ) -> Predictor:
        """Reads a predictor from a file or from the folder of a comparison.

        Args:
            path: the folder of a comparison, or a file that `save` wrote.
            loss: a loss of the comparison; None for the recommended one.
            model: a model of your own that the predictor was trained with, as `compare` takes it.
                None imports it by its name, from an installed module or the current folder.

        Returns:
            The predictor.

        Raises:
            ComparisonError: there is no predictor, or its model cannot be imported or is another.
            DataError: the file is damaged.
        """
        from mllosses_jax.compare.predictor_file import read

        return read(Path(path), loss, model)

    def _thresholds(self, scope: str | None) -> NDArray[np.float32]:
        if scope not in {"label", "global", None}:
            raise ComparisonError(f"scope must be 'label' or 'global', got {shown(scope)}")
        if scope == "label" and self.label_thresholds is None:
            raise ComparisonError(
                f"there are no thresholds of single labels for a model over "
                f"{len(self.label_names)} labels; use scope='global'"
            )
        if scope == "global" or self.label_thresholds is None:
            return np.asarray(self.global_threshold)
        return self.label_thresholds

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns all outputs (N, K) of the model for preprocessed features, logits first."""
        if self.network is not None:
            return self.network.outputs(self.params, features)
        return np.asarray(_OUTPUTS[self.model](self.params, features))

    def _blocks(self, features: ArrayLike) -> Iterator[NDArray[np.float32]]:
        """Yields the scores of rows, some of which are computed at a time."""
        x = self.preprocessing.checked(features)
        num_labels = len(self.label_names)
        widest = max(num_labels, int(np.prod(self.preprocessing.shape)))
        rows = min(ROWS, max(BLOCK // widest, 1))
        for start in range(0, len(x), rows):
            # Further outputs are what a loss takes besides logits.
            outputs = self.outputs(self.preprocessing(x[start : start + rows]))
            scores = scores_of(outputs, num_labels, self.learns_threshold)
            if not np.isfinite(scores).all():
                raise ComparisonError(
                    f"the scores of the model trained with {self.loss} are not finite: its "
                    "training diverged, or a feature is too large"
                )
            yield scores


@jax.jit
def _linear(params: Mapping[str, Array], features: Array) -> Array:
    product = jnp.matmul(features, params["kernel"], precision="highest")
    return product + params["bias"][None]


_OUTPUTS: Mapping[str, Callable[..., Array]] = {
    "linear": _linear,
    "linear_head": _linear,
    "mlp": jax.jit(mlp.apply),
}


def make_predictor(
    outcome: Outcome | RankedOutcome,
    *,
    label_names: tuple[str, ...],
    loss: str,
    model: str,
    preprocessing: Preprocessing,
    network: OwnNetwork | None,
    learns_threshold: bool,
) -> Predictor:
    """Returns the predictor of the first model of an outcome."""
    decisions = outcome.decisions if isinstance(outcome, Outcome) else None
    return Predictor(
        label_names=label_names,
        loss=loss,
        model=model,
        preprocessing=preprocessing,
        params={name: value[0] for name, value in outcome.params.items()},
        label_thresholds=None if decisions is None else decisions.label_thresholds,
        global_threshold=np.float32(
            outcome.global_threshold
            if isinstance(outcome, RankedOutcome)
            else outcome.decisions.global_threshold
        ),
        calibrator=None if decisions is None else decisions.calibrator,
        network=network,
        learns_threshold=learns_threshold,
    )
