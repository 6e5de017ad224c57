"""The comparison: from a data set to the judged models of each loss."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

import mllosses_jax
from mllosses_jax.compare import intervals, judgment, report, resampling
from mllosses_jax.compare.bound_loss import why_not_through_head
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choice import BASELINE, Choice, choose
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiments import EXPERIMENTS, Experiment
from mllosses_jax.compare.folder import Folder, alone
from mllosses_jax.compare.intervals import Interval
from mllosses_jax.compare.judgment import Judgment
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.progress import OnProgress, Passes
from mllosses_jax.compare.settings import MANY_LABELS, MODELS, Settings
from mllosses_jax.compare.thresholds import Thresholds
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data.scaling import sparse_scale, standardization

TEST_FRACTION, TEST_SEED = 0.2, 0
MIN_TRAINING_ROWS = 10


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
        left_out: losses that cannot be trained over so many labels, each with the reason.
    """

    dataset: Dataset
    settings: Settings
    baseline: str
    choices: dict[str, Choice] = field(default_factory=dict)
    outcomes: dict[str, Outcome | RankedOutcome] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    judgments: dict[str, Judgment] = field(default_factory=dict)
    results: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        losses = ", ".join(self.results)
        return f"Comparison({self.dataset!r}, {self.settings.model} model: {losses})"

    def __str__(self) -> str:
        """The report that the command prints."""
        return report.text(self)

    def __post_init__(self) -> None:
        assert self.dataset.y_test is not None
        self.resamples = resampling.draw(judgment.NUM_RESAMPLES, len(self.dataset.y_test))

    @property
    def experiment(self) -> Experiment:
        """The experiment, which says how outcomes are judged."""
        return EXPERIMENTS[self.settings.model]

    def add(self, choice: Choice, outcome: Outcome | RankedOutcome) -> None:
        """Judges one more loss."""
        label = choice.label
        self.choices[label], self.outcomes[label] = choice, outcome
        judged = self.judgments[label] = self.experiment.judge(
            outcome, self.dataset, self.resamples
        )
        self.results[label] = {
            metric: _figure(judged.figure(metric), judged.values[metric])
            for metric in judged.values
        }
        for clock in ("seconds", "cpu_seconds"):
            value = float(getattr(outcome, clock))
            self.results[label][clock] = _figure(
                Interval(value, value, value, True), np.array([value])
            )
        self.thresholds[label] = self.experiment.thresholds(
            outcome, self.dataset, self.resamples, loss=label
        )
        if label != self.baseline:
            base = self.judgments[self.baseline]
            self.differences[label] = {
                metric: judged.difference(base, metric)
                for metric in judged.values
                if all(self.is_comparable(each, metric) for each in (label, self.baseline))
            }

    def is_comparable(self, label: str, metric: str) -> bool:
        """Returns whether a metric says something about a loss, which may have no origin."""
        needs_origin = self.experiment.metrics[metric].needs_origin
        return self.choices[label].entry.zero_decides or not needs_origin

    @property
    def best(self) -> str:
        """The loss with the best validation score, which does not depend on the test rows."""
        return max(self.outcomes, key=lambda label: self.outcomes[label].quality)

    @property
    def recommended(self) -> str:
        """The best loss if its lead on test rows is significant, else the baseline.

        The lead is in mAP, or in nDCG@5 if there are very many labels.
        """
        best = self.best
        if best == self.baseline:
            return best
        lead = self.differences[best][self.experiment.leading]
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
            folder.write(folder.named(identity) | _document(comparison), rows)
    if folder is not None:
        label = comparison.recommended
        folder.write_decisions(None, comparison.thresholds[label], comparison.outcomes[label])
        folder.write_report(report.text(comparison, max_labels=None))
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
        "left_out": comparison.left_out,
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
                "models": len(outcome.residuals),
                "depends_on_seed": outcome.varies,
                "residuals": outcome.residuals.tolist(),
            }
            for name, outcome in outcomes
        },
    }
