"""A comparison of models that were trained elsewhere, by their scores."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.compare import report
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.checks import known_codes
from mllosses_jax.compare.choice import Choice, hashed
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Folder, alone
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.own_metric import Metrics, choose_metrics, try_metrics
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.validation import Held, decide, quality
from mllosses_jax.data import DataError, Dataset

Floats = NDArray[np.float32]
ScoreKind = Literal["logits", "probabilities"]

# Probabilities become log odds, of which those of 0 and 1 are finite.
LOWEST, HIGHEST = 1e-38, 1 - 2.0**-53


def compare_scores(
    *,
    validation: Mapping[str, ArrayLike],
    test: Mapping[str, ArrayLike],
    y_validation: ArrayLike,
    y_test: ArrayLike,
    inputs: ScoreKind,
    label_names: Sequence[str] | None = None,
    mask_validation: ArrayLike | None = None,
    mask_test: ArrayLike | None = None,
    name: str = "scores",
    metrics: Metrics = None,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    run_file: str | None = None,
    ignore: str | Sequence[str] = (),
) -> Comparison:
    """Compares models that were trained elsewhere, by their scores.

    Thresholds and calibrators are tuned on the validation scores, and everything else is as in
    `compare`: metrics of the test scores with their intervals, marks, checks and the page. As there
    are no features, there are no references and no predictor.

    Args:
        validation: the scores of each model on validation rows, by the name of the model: (V, L),
            or (S, V, L) for S models that differ in their seed, which are tuned together.
        test: their scores on test rows: (N, L), or (S, N, L). The first model is the baseline.
        y_validation: (V, L) labels, 0 or 1, or NaN if unknown.
        y_test: (N, L) labels.
        inputs: what the scores are, "logits" or "probabilities".
        label_names: the names of the labels; None for numbers.
        mask_validation: (V, L), True where the label is known.
        mask_test: (N, L).
        name: the name of the data.
        metrics: further metrics, as in `compare`.
        out: a folder for the results, or None to write nothing.
        force: whether to overwrite the contents of the folder.
        run_file: TOML for run.toml in the folder; the command keeps its options there.
        ignore: codes of checks to leave out.

    Returns:
        The comparison of the models; its losses are their names.

    Raises:
        DataError: labels are not 0 or 1, or shapes disagree.
        ComparisonError: another argument is wrong.
        Occupied: the folder holds something that must not be overwritten; a ComparisonError.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.compare import compare_scores
        >>> generator = np.random.default_rng(0)
        >>> y = generator.random((2, 60, 3)) < 0.4
        >>> one, two = (skill * y + generator.normal(size=y.shape) for skill in (1, 3))
        >>> comparison = compare_scores(
        ...     validation={"one": one[0], "two": two[0]},
        ...     test={"one": one[1], "two": two[1]},
        ...     y_validation=y[0],
        ...     y_test=y[1],
        ...     inputs="logits",
        ... )
        >>> comparison.recommended
        'two'
    """
    if force and out is None:
        raise ComparisonError("there is nothing to overwrite (force): give a folder (out)")
    if inputs not in ("logits", "probabilities"):
        raise ComparisonError(f"inputs must be 'logits' or 'probabilities', got {inputs!r}")
    if not test or set(test) != set(validation):
        raise ComparisonError(
            "validation and test must hold scores of the same models, one or more, got "
            f"{', '.join(validation) or 'none'} and {', '.join(test) or 'none'}"
        )
    ignored, further = known_codes(ignore), choose_metrics(metrics)
    dataset = _dataset(name, label_names, y_validation, mask_validation, y_test, mask_test)
    try_metrics(further, dataset)
    outcomes = {
        model: _outcome(model, dataset, validation[model], scores, inputs)
        for model, scores in test.items()
    }
    most = max(len(outcome.test_scores) for outcome in outcomes.values())
    settings = Settings(model="scores", num_seeds=most)
    comparison = Comparison(
        dataset, settings, baseline=next(iter(test)), ignore=ignored, further_metrics=further
    )
    choices = {model: ScoredModel(model) for model in test}
    comparison.source = {} if run_file is None else tomllib.loads(run_file)
    for model, outcome in outcomes.items():
        comparison.add(choices[model], outcome)
    if out is not None:
        with alone(Path(out)):
            _write(comparison, Path(out), force, run_file)
    return comparison


class ScoredModel(Choice):
    """A model that was trained elsewhere, in the place of a loss."""

    @property
    def zero_decides(self) -> bool:
        """A logit above 0 is a probability above one half."""
        return True

    @property
    def file_name(self) -> str:
        """A file name that differs from that of every other model, on every system."""
        return hashed(self.label, self.label)


def _dataset(
    name: str,
    label_names: Sequence[str] | None,
    y_validation: ArrayLike,
    mask_validation: ArrayLike | None,
    y_test: ArrayLike,
    mask_test: ArrayLike | None,
) -> Dataset:
    """Returns the labels as a data set without features, whose first part is for validation."""
    shapes = [np.shape(y) for y in (y_validation, y_test)]
    if any(len(shape) != 2 for shape in shapes):
        raise DataError(
            f"labels have shapes {shapes[0]} and {shapes[1]}; they must be (rows, labels)"
        )
    if label_names is None:
        label_names = [f"label {j}" for j in range(shapes[0][1])]
    arrays: dict[str, Any] = {"y_train": y_validation, "mask_train": mask_validation}
    arrays |= {"y_test": y_test, "mask_test": mask_test}
    arrays |= {"x_train": np.zeros((shapes[0][0], 0)), "x_test": np.zeros((shapes[1][0], 0))}
    try:
        dataset = Dataset(name=name, label_names=tuple(label_names), feature_names=(), **arrays)
    except DataError as error:
        raise DataError(error.problem.replace("_train", "_validation")) from None
    for part, known in (("validation", dataset.known_train), ("test", dataset.known_test)):
        if not known.any():
            raise DataError(f"{name}: no label of the {part} rows is known")
    return dataset


def _outcome(
    model: str, dataset: Dataset, held: ArrayLike, test: ArrayLike, inputs: ScoreKind
) -> Outcome:
    """Returns the scores of a model as the outcome of a loss, with the decisions tuned on them."""
    assert dataset.y_test is not None
    held_scores = _logits(model, "validation", held, dataset.known_train, inputs)
    test_scores = _logits(model, "test", test, dataset.known_test, inputs)
    if len(held_scores) not in (1, len(test_scores)):
        raise ComparisonError(
            f"{model}: there are validation scores of {len(held_scores)} models and test scores of "
            f"{len(test_scores)}; give both of the same models, in the same order"
        )
    rows = np.tile(np.arange(len(dataset.y_train)), len(held_scores))
    together = Held(rows, held_scores.reshape(-1, held_scores.shape[-1]))
    return Outcome(
        params={},
        test_scores=test_scores,
        held=together,
        decisions=decide(together, dataset, copies=len(held_scores)),
        chosen={},
        tried={"score": np.array([quality(together, dataset)])},
        at_edge=(),
        varies=len(test_scores) > 1,
        residuals=np.full(len(test_scores), math.nan),
        seconds=math.nan,
        cpu_seconds=math.nan,
    )


def _logits(
    model: str, part: str, scores: ArrayLike, known: NDArray[np.bool_], inputs: ScoreKind
) -> Floats:
    """Returns scores as logits (S, N, L), with 0 where the label is not known."""
    array = np.asarray(scores)
    if (
        array.dtype.kind not in "biuf"
        or array.shape[-2:] != known.shape
        or array.ndim not in (2, 3)
    ):
        raise ComparisonError(
            f"{model}: the {part} scores have shape {array.shape} and {array.dtype} values; they "
            f"must be numbers of shape {known.shape}, or of several models"
        )
    array = np.where(known, array.reshape(-1, *known.shape).astype(np.float64), 0)
    if inputs == "logits":
        return array.astype(np.float32)
    if not ((array >= 0) & (array <= 1)).all():
        raise ComparisonError(
            f"{model}: the {part} scores go from {array.min():.3g} to {array.max():.3g}, so they "
            "are no probabilities; give inputs='logits' if they are logits"
        )
    clipped = np.clip(array, LOWEST, HIGHEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float32)


def _write(comparison: Comparison, path: Path, force: bool, run_file: str | None) -> None:
    """Writes the results to a folder, which may hold those of the same scores."""
    digest = hashlib.sha256()
    for model, outcome in comparison.outcomes.items():
        assert isinstance(outcome, Outcome)
        for scores in (outcome.held.scores, outcome.test_scores):
            digest.update(f"{model}{scores.shape}".encode() + scores.tobytes())
    dataset, settings = comparison.dataset, comparison.settings
    identity = {
        "config": {"model": settings.model, "num_seeds": settings.num_seeds},
        "data": {**data_card(dataset), "sha256": fingerprint(dataset)},
        "scores": {"sha256": digest.hexdigest()},
    }
    folder = Folder(path, identity, tuple(comparison.choices.values()), force, run_file)
    for label, choice in comparison.choices.items():
        folder.save(choice, comparison.outcomes[label], dataset, {"model": np.array("scores")})
        folder.write_decisions(choice, comparison.thresholds[label], comparison.outcomes[label])
    folder.write(folder.named(identity) | document(comparison), report.csv_rows(comparison))
    taken = comparison.recommended
    folder.write_decisions(None, comparison.thresholds[taken], comparison.outcomes[taken])
    folder.write_options()
    folder.write_report(comparison)
