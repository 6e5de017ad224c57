"""The comparison: from a data set to the judged models of each loss."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

import mllosses_jax
from mllosses_jax.compare import intervals, judgment, linear, mlp, report, resampling
from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choice import BASELINE, Choice, choose
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Folder, alone
from mllosses_jax.compare.intervals import Interval
from mllosses_jax.compare.judgment import Judgment, judge
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import MODELS, Settings
from mllosses_jax.compare.thresholds import Thresholds, thresholds
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data.scaling import sparse_scale, standardization

TEST_FRACTION, TEST_SEED = 0.2, 0
MIN_TRAINING_ROWS = 10
MIN_SECONDS_TOLD = 20
EXPERIMENTS = {"linear": linear, "mlp": mlp}


class OnProgress(Protocol):
    """A callback at the start of each loss and after each pass of training."""

    def __call__(self, done_passes: int, total_passes: int, text: str) -> None:
        """Receives how far the comparison is and what it is doing, such as "training: NAME"."""


@dataclass(repr=False)
class Comparison:
    """The losses finished so far, each under its label: its name with the parameters it was given.

    Attributes:
        dataset: the standardised data set, with a test part.
        settings: the settings of the experiment.
        baseline: the loss that the others are compared to, which is the first.
        choices: the losses.
        outcomes: the results of training.
        given: what losses were given besides logits and labels, for those that were given anything.
        judgments: the metrics of each model and each resample.
        results: `{loss: {metric: {"mean", "low", "high", "values"}}}`.
        thresholds: the thresholds of each loss, by label and common, with what they gained.
        differences: `{loss: {metric: Interval}}` to the baseline, which is not in it; without
            metrics that say nothing about one of the two.
    """

    dataset: Dataset
    settings: Settings
    baseline: str
    choices: dict[str, Choice] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    judgments: dict[str, Judgment] = field(default_factory=dict)
    results: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)

    def __repr__(self) -> str:
        losses = ", ".join(self.results)
        return f"Comparison({self.dataset!r}, {self.settings.model} model: {losses})"

    def __str__(self) -> str:
        """The report that the command prints."""
        return report.text(self)

    def __post_init__(self) -> None:
        assert self.dataset.y_test is not None
        self.resamples = resampling.draw(judgment.NUM_RESAMPLES, len(self.dataset.y_test))

    def add(self, choice: Choice, outcome: Outcome) -> None:
        """Judges one more loss."""
        label = choice.label
        self.choices[label], self.outcomes[label] = choice, outcome
        judged = self.judgments[label] = judge(outcome, self.dataset, self.resamples)
        self.results[label] = {
            metric: _figure(judged.figure(metric), judged.values[metric])
            for metric in judged.values
        }
        for clock in ("seconds", "cpu_seconds"):
            value = float(getattr(outcome, clock))
            self.results[label][clock] = _figure(
                Interval(value, value, value, True), np.array([value])
            )
        self.thresholds[label] = thresholds(outcome, self.dataset, self.resamples, loss=label)
        if label != self.baseline:
            base = self.judgments[self.baseline]
            self.differences[label] = {
                metric: judged.difference(base, metric)
                for metric in judged.values
                if all(self.is_comparable(each, metric) for each in (label, self.baseline))
            }

    def is_comparable(self, label: str, metric: str) -> bool:
        """Returns whether a metric says something about a loss, which may have no origin."""
        return self.choices[label].entry.zero_decides or not judgment.METRICS[metric].needs_origin

    @property
    def best(self) -> str:
        """The loss with the best validation score, which does not depend on the test rows."""
        return max(self.outcomes, key=lambda label: self.outcomes[label].quality)

    @property
    def recommended(self) -> str:
        """The best loss if its lead in mAP on test rows is significant, else the baseline."""
        best = self.best
        if best == self.baseline:
            return best
        lead = self.differences[best]["map"]
        return best if lead.excludes_zero and lead.mean > 0 else self.baseline


def _figure(found: Interval, values: np.ndarray) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "values": values.tolist()}


def _refuse_unknown(dataset: Dataset) -> None:
    """Raises a DataError if a part has no known label to learn from or to judge by."""
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

    Returns:
        The data set. If it had no test part, it is `data.with_test(0.2, seed=0)`.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: `labels` are given for a `Dataset`, or there are too few rows.
    """
    if not isinstance(data, str | PathLike | Dataset):
        raise ComparisonError(
            f"data must be a Dataset, a path or a name, got {type(data).__name__}"
        )
    if not isinstance(data, Dataset):
        data = load(data, labels=labels)
    elif labels is not None:
        raise ComparisonError(f"{data.name} names its labels itself; leave them out (labels)")
    if data.x_test is None:
        data = data.with_test(TEST_FRACTION, seed=TEST_SEED)
    _refuse_unknown(data)
    if len(data.x_train) < MIN_TRAINING_ROWS:
        raise ComparisonError(
            f"{data.name} has {len(data.x_train)} training rows; at least {MIN_TRAINING_ROWS} are "
            "needed"
        )
    return data


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
    bound_losses = {choice: bind(choice, dataset) for choice in choices}  # fails before training
    settings = Settings(model=model, num_seeds=int(num_seeds))
    if out is None:
        return _compared(dataset, settings, bound_losses, None, {}, on_progress)
    identity = {
        "config": asdict(settings),
        "data": {**data_card(dataset), "sha256": fingerprint(dataset)},
    }
    with alone(Path(out)):
        folder = Folder(Path(out), identity, choices, force)
        return _compared(dataset, settings, bound_losses, folder, identity, on_progress)


def _compared(
    dataset: Dataset,
    settings: Settings,
    bound_losses: dict[Choice, BoundLoss],
    folder: Folder | None,
    identity: dict[str, Any],
    on_progress: OnProgress | None,
) -> Comparison:
    """Trains and judges the losses, including those in the folder, which holds this same run."""
    choices = tuple(bound_losses) if folder is None else folder.choices
    model = settings.model
    about = _scaling(dataset) | {"model": np.array(model)}
    dataset = dataset.standardized()

    # The usual baseline comes first; if it was not asked for, the first loss takes its place.
    choices = tuple(sorted(choices, key=lambda choice: choice.label != BASELINE))
    comparison = Comparison(dataset, settings, baseline=choices[0].label)
    progress = _Passes(len(choices), EXPERIMENTS[model].PASSES, on_progress)
    for choice in choices:
        bound = bound_losses.get(choice) or bind(choice, dataset)
        if bound.given:
            comparison.given[choice.label] = bound.given
        outcome = None if folder is None else folder.load(choice, dataset)
        progress.begin(choice.label, trained=outcome is None)
        if outcome is None:
            outcome = EXPERIMENTS[model].run(dataset, bound, settings, progress.advance)
            if folder is not None:
                folder.save(choice, outcome, dataset, about)
        comparison.add(choice, outcome)
        if folder is not None:
            folder.write_decisions(choice, comparison.thresholds[choice.label], outcome)
            rows = report.csv_rows(comparison.results, comparison.differences)
            folder.write(folder.named(identity) | _document(comparison), rows)
    if folder is not None:
        label = comparison.recommended
        folder.write_decisions(None, comparison.thresholds[label], comparison.outcomes[label])
        folder.write_report(report.text(comparison, max_labels=None))
    return comparison


class _Passes:
    """Counts passes of training, and reports them and the time that is left."""

    def __init__(self, num_losses: int, passes: int, tell: OnProgress | None) -> None:
        self.num_losses, self.passes, self.tell = num_losses, passes, tell
        self.done, self.losses, self.text = 0, 0, ""
        self.clock: list[float] = []  # when each pass of training ended

    def begin(self, label: str, *, trained: bool) -> None:
        """Reports which loss is next."""
        self.done = self.losses * self.passes
        self.losses += 1
        self.text = f"{'training' if trained else 'finished before'}: {label}"
        if trained and self.clock:
            self.text += self._left()
        self._say()

    def advance(self) -> None:
        """Counts a pass; the second, which compiles nothing, shows how long all will take."""
        self.done = min(self.done + 1, self.losses * self.passes)  # a search may take more passes
        self.clock.append(time.perf_counter())
        if len(self.clock) == 2:
            self.text += self._left()
        self._say()

    def _left(self) -> str:
        seconds = (self.clock[-1] - self.clock[0]) / max(len(self.clock) - 1, 1)
        left = seconds * (self.num_losses * self.passes - self.done)
        return f" (about {_duration(left)} left)" if left >= MIN_SECONDS_TOLD else ""

    def _say(self) -> None:
        if self.tell is not None:
            self.tell(self.done, self.num_losses * self.passes, self.text)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _scaling(dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the shift and scale that a model's features need: (x - shift) * scale."""
    width = dataset.x_train.shape[1]
    shift, scale = (
        (np.zeros(width), np.full(width, sparse_scale(dataset.x_train)))
        if dataset.sparse
        else standardization(dataset.x_train)
    )
    return {"feature_shift": shift, "feature_scale": scale}


def _document(comparison: Comparison) -> dict[str, Any]:
    """Returns what results.json holds besides the identity."""
    outcomes = comparison.outcomes.items()
    packages = ("jax", "jaxlib", "optax", "numpy")
    return {
        "versions": {
            "mllosses_jax": mllosses_jax.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
            "device": jax.devices()[0].device_kind,
        },
        "interval": {"level": intervals.LEVEL, "resamples": judgment.NUM_RESAMPLES},
        "baseline": comparison.baseline,
        "best_on_validation": comparison.best,
        "recommended": comparison.recommended,
        "given": comparison.given,
        "results": comparison.results,
        "differences": {
            name: {metric: asdict(difference) for metric, difference in by_metric.items()}
            for name, by_metric in comparison.differences.items()
        },
        "training": {
            name: {
                "chosen": outcome.chosen,
                "tried": {key: value.tolist() for key, value in outcome.tried.items()},
                "at_edge": list(outcome.at_edge),
                "models": len(outcome.test_scores),
                "depends_on_seed": outcome.varies,
                "residuals": outcome.residuals.tolist(),
            }
            for name, outcome in outcomes
        },
    }
