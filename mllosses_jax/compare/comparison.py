"""The comparison: from a data set to the judged models of each loss."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import jax

import mllosses_jax
from mllosses_jax.compare import bootstrap, report
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choice import choose
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiment import Outcome, Settings, prepare, run
from mllosses_jax.compare.folder import Folder
from mllosses_jax.compare.judgement import (
    Difference,
    Judgement,
    best,
    differences,
    judge,
    num_resamples,
    summary,
)
from mllosses_jax.compare.models import MODELS
from mllosses_jax.compare.objective import bind
from mllosses_jax.compare.tuned import threshold_report
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.decisions import ThresholdReport

TEST_FRACTION = 0.2


class OnProgress(Protocol):
    """What is called at the start of each loss and after each pass of training."""

    def __call__(self, done_passes: int, total_passes: int, text: str) -> None:
        """Takes how far the comparison is, and what is being done, such as "training: NAME"."""


@dataclass
class Comparison:
    """The losses finished so far, each by its name.

    Attributes:
        dataset: standardised, with a test part.
        settings: those of the experiment.
        baseline: the loss that the others are compared to; it is the first.
        outcomes: what training gave.
        given: what losses got beside logits and labels, where they got anything.
        judgements: the metrics of each seed and each resample.
        results: ``{loss: {metric: {"mean", "low", "high", "values"}}}``.
        thresholds: those of each loss, with what they were worth.
        differences: ``{loss: {metric: Difference}}`` to the baseline, which is not in it.
    """

    dataset: Dataset
    settings: Settings
    baseline: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    judgements: dict[str, Judgement] = field(default_factory=dict)
    results: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    thresholds: dict[str, ThresholdReport] = field(default_factory=dict)
    differences: dict[str, dict[str, Difference]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.dataset.y_test is not None
        rows, num_seeds = len(self.dataset.y_test), self.settings.num_seeds
        resamples = num_resamples(num_seeds * self.dataset.y_test.size)
        self.resamples = bootstrap.draw(resamples, rows, num_seeds)

    def add(self, name: str, outcome: Outcome) -> None:
        """Judges one more loss."""
        self.outcomes[name] = outcome
        self.judgements[name] = judge(outcome, self.dataset, self.resamples)
        self.results[name] = summary(self.judgements[name], outcome)
        self.thresholds[name] = threshold_report(outcome, self.dataset, self.resamples, loss=name)
        if name != self.baseline:
            baseline = self.judgements[self.baseline]
            self.differences[name] = differences(self.judgements[name], baseline)

    @property
    def best(self) -> str:
        """The loss of the highest mean average precision."""
        return best(self.judgements)


def _refuse_unknown(dataset: Dataset) -> None:
    """Raises DataError if a part has nothing to learn from or to be judged by."""
    for part, mask in (("training", dataset.mask_train), ("test", dataset.mask_test)):
        if mask is not None and not mask.any():
            raise DataError(
                f"{dataset.name}: no label of the {part} part is known; a mask is 1 where a label "
                f"is known"
            )


def load_data(
    data: str | PathLike[str] | Dataset, *, labels: int | Sequence[str] | None = None
) -> Dataset:
    """Returns a data set with a test part: its own, or a fifth of the rows.

    Args:
        data: a data set, or what `mllosses_jax.data.load` takes.
        labels: the label columns of a text file.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: the labels of a data set are given twice.
    """
    if not isinstance(data, Dataset):
        data = load(data, labels=labels)
    elif labels is not None:
        raise ComparisonError(f"{data.name} names its labels itself; leave them out (labels)")
    if data.x_test is None:
        data = data.with_test(TEST_FRACTION, seed=0)
    _refuse_unknown(data)
    return data


def compare(
    data: str | PathLike[str] | Dataset,
    *,
    labels: int | Sequence[str] | None = None,
    losses: str | Sequence[str] | None = None,
    model: str = "linear",
    num_seeds: int = 5,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compares losses on a data set, by the test scores of the models that they train.

    Args:
        data: a data set, or what `mllosses_jax.data.load` takes. Features are standardised.
        labels: the label columns of a text file.
        losses: names, as a sequence or separated by commas; "all"; or None for the default.
        model: "linear" or "mlp".
        num_seeds: number of models per loss.
        out: a folder for the results, or None to write nothing. It is written after each loss;
            what is finished there of the same comparison is not trained again.
        force: overwrite what is in the folder.
        on_progress: called as ``(done_passes, total_passes, text)``.

    Returns:
        The losses, judged.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: something else is the caller's to mend.
        Occupied: a ComparisonError: the folder holds something that must not be overwritten.
    """
    if force and out is None:
        raise ComparisonError("nothing is there to be overwritten (force): give a folder (out)")
    if model not in MODELS:
        raise ComparisonError(f"no model is called {model!r} (model); known: {', '.join(MODELS)}")
    if num_seeds < 1:
        raise ComparisonError(f"at least one seed is needed (num_seeds), got {num_seeds}")
    names = choose(losses)
    dataset = load_data(data, labels=labels)
    settings = Settings(model=model, num_seeds=num_seeds)
    identity = _identity(dataset, names, settings)
    folder = None if out is None else Folder(Path(out), identity, force)
    dataset = dataset.standardised()
    experiment = prepare(dataset, settings)

    # `choose` puts the usual baseline first; where it was not asked for, the first stands in.
    comparison = Comparison(dataset, settings, baseline=names[0])
    progress = _Passes(len(names) * settings.passes, on_progress)
    for name in names:
        objective = bind(name, dataset)
        finished = None if folder is None else folder.load(name)
        if objective.given:
            comparison.given[name] = objective.given
        progress.say(f"{'training' if finished is None else 'finished before'}: {name}")
        if finished is None:
            outcome = run(experiment, objective, progress.advance)
            if folder is not None:
                folder.save(name, outcome)
        else:
            outcome = finished
            progress.advance(settings.passes)
        comparison.add(name, outcome)
        if folder is not None:
            folder.write_thresholds(name, comparison.thresholds[name])
            rows = report.csv_rows(comparison.results, comparison.differences)
            folder.write(identity | _document(comparison), rows)
    if folder is not None:
        winner = comparison.best
        text = report.best_report(comparison.outcomes[winner], dataset, max_labels=None)
        folder.write_report(text)
        folder.write_best_thresholds(comparison.thresholds[winner])
    return comparison


class _Passes:
    """Counts passes of training, and tells of them."""

    def __init__(self, total: int, tell: OnProgress | None) -> None:
        self.done, self.total, self.text, self.tell = 0, total, "", tell

    def say(self, text: str) -> None:
        self.text = text
        self.advance(0)

    def advance(self, passes: int = 1) -> None:
        self.done += passes
        if self.tell is not None:
            self.tell(self.done, self.total, self.text)


def _identity(dataset: Dataset, names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What must agree for a run to be resumed."""
    config = asdict(settings) | {"weight_decays": list(settings.weight_decays)}
    return {
        "config": {"losses": list(names), **config},
        "data": {**data_card(dataset), "sha256": fingerprint(dataset)},
    }


def _document(comparison: Comparison) -> dict[str, Any]:
    """What results.json holds beside the identity."""
    outcomes = comparison.outcomes.items()
    packages = ("jax", "jaxlib", "optax", "numpy")
    return {
        "versions": {
            "mllosses_jax": mllosses_jax.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
            "device": jax.devices()[0].device_kind,
        },
        "interval": {"level": bootstrap.LEVEL, "resamples": len(comparison.resamples.rows)},
        "baseline": comparison.baseline,
        "given": comparison.given,
        "results": comparison.results,
        "differences": {
            name: {metric: asdict(difference) for metric, difference in by_metric.items()}
            for name, by_metric in comparison.differences.items()
        },
        "weight_decay": {name: float(outcome.weight_decay) for name, outcome in outcomes},
        "validation_score": {name: o.validation_score.tolist() for name, o in outcomes},
    }
