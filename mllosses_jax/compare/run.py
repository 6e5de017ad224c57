"""The experiment from end to end: each loss is trained, judged and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mllosses_jax.compare import report
from mllosses_jax.compare.bound_loss import why_not_through_head
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choice import BASELINE, Choice, choose
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiments import EXPERIMENTS
from mllosses_jax.compare.folder import Folder, alone
from mllosses_jax.compare.loading import load_data
from mllosses_jax.compare.progress import OnProgress, Passes
from mllosses_jax.compare.settings import MANY_LABELS, MODELS, Settings
from mllosses_jax.data import Dataset
from mllosses_jax.data.scaling import sparse_scale, standardization


def compare(
    data: str | PathLike[str] | Dataset,
    *,
    labels: int | Sequence[str] | None = None,
    losses: str | Sequence[str | Choice] | None = None,
    model: str = "linear",
    num_seeds: int = 5,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compares losses on a data set, by the test scores of the models that they train.

    Args:
        data: a data set, or what `mllosses_jax.data.load` takes. Dense features are standardised.
        labels: the label columns of a text file.
        losses: losses, as a sequence or separated by commas, each a name or a name with parameters
            (`"asymmetric_loss(gamma_neg=2)"`); "all"; or None for the default.
        model: "linear" or "mlp".
        num_seeds: the number of seeds, and of models per loss if training depends on the seed.
        out: a folder for the results, or None to write nothing. It is written after each loss.
            Losses of the same experiment that are finished there are compared without being
            trained again.
        force: whether to overwrite the contents of the folder.
        on_progress: called as `(done_passes, total_passes, text)`.

    Returns:
        The comparison of the losses.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: another argument is wrong.
        Occupied: the folder holds something that must not be overwritten; a ComparisonError.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.compare import compare
        >>> from mllosses_jax.data import Dataset
        >>> x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
        >>> parts = {"x_train": x[:60], "x_test": x[60:]}
        >>> labels = {"y_train": x[:60, :2] > 0, "y_test": x[60:, :2] > 0}
        >>> dataset = Dataset(name="signs", label_names=("first", "second"), **parts, **labels)
        >>> comparison = compare(dataset, losses="sigmoid_binary_cross_entropy, zlpr_loss")
        >>> comparison.results["zlpr_loss"]["map"]["mean"] > 0.9
        True
    """
    if force and out is None:
        raise ComparisonError("there is nothing to overwrite (force): give a folder (out)")
    if model not in MODELS:
        raise ComparisonError(f"unknown model {model!r} (model); known: {', '.join(MODELS)}")
    if not isinstance(num_seeds, int | np.integer) or num_seeds is True or num_seeds < 1:
        raise ComparisonError(
            f"seeds must be a whole number of at least 1 (num_seeds), got {num_seeds!r}"
        )
    if not isinstance(out, str | PathLike | None):
        raise ComparisonError(f"the folder must be a path (out), got {out!r}")
    choices = choose(losses)
    dataset = load_data(data, labels=labels)
    many = model == "linear" and len(dataset.label_names) > MANY_LABELS
    settings = Settings(model="linear_head" if many else model, num_seeds=int(num_seeds))
    choices, left_out = _fitting(choices) if many else (choices, {})
    experiment = EXPERIMENTS[settings.model]
    # What a loss does not accept is refused here, before any training.
    bound_losses = {choice: experiment.bind(choice, dataset) for choice in choices}
    if out is None:
        return _compared(dataset, settings, bound_losses, left_out, None, {}, on_progress)
    identity = {
        "config": asdict(settings),
        "data": {**data_card(dataset), "sha256": fingerprint(dataset)},
    }
    with alone(Path(out)):
        folder = Folder(Path(out), identity, choices, force)
        return _compared(dataset, settings, bound_losses, left_out, folder, identity, on_progress)


def _fitting(choices: Sequence[Choice]) -> tuple[tuple[Choice, ...], dict[str, str]]:
    """Returns the losses that a head can compute, and why it cannot compute the others."""
    reasons = {choice: why_not_through_head(choice.entry) for choice in choices}
    left_out = {choice.label: reason for choice, reason in reasons.items() if reason is not None}
    fitting = tuple(choice for choice, reason in reasons.items() if reason is None)
    if not fitting:
        each = "; ".join(f"{label} {reason}" for label, reason in left_out.items())
        raise ComparisonError(
            f"none of the losses can be trained over more than {MANY_LABELS} labels (losses): "
            f"{each}"
        )
    return fitting, left_out


def _compared(
    dataset: Dataset,
    settings: Settings,
    bound_losses: dict[Choice, Any],
    left_out: dict[str, str],
    folder: Folder | None,
    identity: dict[str, Any],
    on_progress: OnProgress | None,
) -> Comparison:
    """Trains and judges the losses, including those in the folder, which holds this same run."""
    choices = tuple(bound_losses) if folder is None else folder.choices
    experiment = EXPERIMENTS[settings.model]
    about = _scaling(dataset) | {"model": np.array(settings.model)}
    dataset = dataset.standardized()

    # The usual baseline comes first; if it was not asked for, the first loss takes its place.
    choices = tuple(sorted(choices, key=lambda choice: choice.label != BASELINE))
    comparison = Comparison(dataset, settings, baseline=choices[0].label, left_out=left_out)
    progress = Passes(len(choices), experiment.passes, on_progress)
    for choice in choices:
        bound = bound_losses.get(choice) or experiment.bind(choice, dataset)
        if bound.given:
            comparison.given[choice.label] = bound.given
        outcome = None if folder is None else folder.load(choice, dataset, experiment.outcome)
        progress.begin(choice.label, trained=outcome is None)
        if outcome is None:
            outcome = experiment.run(dataset, bound, settings, progress.advance)
            if folder is not None:
                folder.save(choice, outcome, dataset, about)
        comparison.add(choice, outcome)
        if folder is not None:
            folder.write_decisions(choice, comparison.thresholds[choice.label], outcome)
            rows = report.csv_rows(comparison.results, comparison.differences)
            folder.write(folder.named(identity) | document(comparison), rows)
    if folder is not None:
        label = comparison.recommended
        folder.write_decisions(None, comparison.thresholds[label], comparison.outcomes[label])
        folder.write_report(comparison)
    return comparison


def _scaling(dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the shift and scale that a model's features need: (x - shift) * scale."""
    width = dataset.x_train.shape[1]
    shift, scale = (
        (np.zeros(width), np.full(width, sparse_scale(dataset.x_train)))
        if dataset.sparse
        else standardization(dataset.x_train)
    )
    return {"feature_shift": shift, "feature_scale": scale}
