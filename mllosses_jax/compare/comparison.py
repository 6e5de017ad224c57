"""`mllosses compare`: from a data file to the table."""

from __future__ import annotations

import importlib.metadata
import platform
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jax

import mllosses_jax
from mllosses_jax.compare import bootstrap, report
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choice import choose
from mllosses_jax.compare.errors import UsageError
from mllosses_jax.compare.experiment import Outcome, Settings, prepare, run
from mllosses_jax.compare.folder import Folder, default_folder
from mllosses_jax.compare.judgement import (
    Difference,
    Judgement,
    best,
    differences,
    judge,
    num_resamples,
    summary,
)
from mllosses_jax.compare.objective import bind
from mllosses_jax.compare.tuned import threshold_report
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.decisions import ThresholdReport

if TYPE_CHECKING:
    from rich.console import Console

TEST_FRACTION = 0.2
MAX_TEXT_WIDTH = 100


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


def _refuse_unknown(dataset: Dataset) -> None:
    """Raises DataError if a part has nothing to learn from or to be judged by."""
    for part, mask in (("training", dataset.mask_train), ("test", dataset.mask_test)):
        if mask is not None and not mask.any():
            raise DataError(
                f"{dataset.name}: no label of the {part} part is known; a mask is 1 where a label "
                f"is known"
            )


def compare(
    data: str,
    *,
    labels: int | Sequence[str] | None = None,
    losses: str | None = None,
    model: str = "linear",
    num_seeds: int = 5,
    out: Path | None = None,
    force: bool = False,
) -> None:
    """Compares losses on a data set; the table goes to stdout, progress to stderr.

    Args:
        data: what `mllosses_jax.data.load` takes.
        labels: the label columns of a text file.
        losses: names separated by commas, "all", or None for the default.
        model: "linear" or "mlp".
        num_seeds: number of models per loss.
        out: a folder for the results; None takes a new one in `mllosses-out`.
        force: overwrite what is in the folder.

    Raises:
        DataError: the data cannot be read.
        UsageError: something else is the user's to mend.
    """
    try:
        from rich.console import Console
    except ImportError:
        raise UsageError(
            "compare needs rich for its table; install it: pip install 'mllosses-jax[cli]'"
        ) from None
    if force and out is None:
        raise UsageError("--force needs --out: without it a new folder is taken")
    names = choose(losses)
    dataset = load(data, labels=labels)
    if dataset.x_test is None:
        dataset = dataset.with_test(TEST_FRACTION, seed=0)
    _refuse_unknown(dataset)
    settings = Settings(model=model, num_seeds=num_seeds)
    identity = _identity(dataset, names, settings)
    if out is None:
        folder = default_folder(f"{dataset.name}-{model}", identity)
    else:
        folder = Folder(out, identity, force)
    dataset = dataset.standardised()
    experiment = prepare(dataset, settings)

    # `choose` puts the usual baseline first; where it was not asked for, the first stands in.
    comparison = Comparison(dataset, settings, baseline=names[0])
    with _progress(len(names) * settings.passes) as (advance, say):
        for name in names:
            objective, finished = bind(name, dataset), folder.load(name)
            if objective.given:
                comparison.given[name] = objective.given
            say(f"{'training' if finished is None else 'finished before'}: {name}")
            if finished is None:
                outcome = run(experiment, objective, advance)
                folder.save(name, outcome)
            else:
                outcome = finished
                advance(settings.passes)
            comparison.add(name, outcome)
            folder.write_thresholds(name, comparison.thresholds[name])
            rows = report.csv_rows(comparison.results, comparison.differences)
            folder.write(identity | _document(comparison), rows)
    _show(comparison, Console(highlight=False), folder)


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


def _show(comparison: Comparison, console: Console, folder: Folder) -> None:
    """Prints the table, what it means, and the report of the best loss."""
    results, apart = comparison.results, comparison.differences
    console.print(report.heading(comparison.dataset) + "\n", markup=False, soft_wrap=True)
    console.print(report.table(results, apart))
    notes = report.footnotes(
        results,
        apart,
        baseline=comparison.baseline,
        settings=comparison.settings,
        num_resamples=len(comparison.resamples.rows),
        given=comparison.given,
    )
    winner = best(comparison.judgements)
    notes.append(report.verdict(winner, results[winner]["map"]["mean"], comparison.baseline, apart))
    for note in notes:
        _paragraph(console, note)
    outcome, dataset = comparison.outcomes[winner], comparison.dataset
    console.print("\n" + report.best_report(outcome, dataset), markup=False, soft_wrap=True)
    folder.write_report(report.best_report(outcome, dataset, max_labels=None))
    folder.write_best_thresholds(comparison.thresholds[winner])
    files = "results.json, results.csv, report.txt, thresholds.json, and thresholds/LOSS.json"
    _paragraph(console, f"Written to {folder.path}: {files}.")


def _paragraph(console: Console, text: str) -> None:
    width = min(console.width, MAX_TEXT_WIDTH)
    console.print("\n" + textwrap.fill(text, width), markup=False, soft_wrap=True)


class _Advance(Protocol):
    def __call__(self, passes: int = 1) -> None: ...


@contextmanager
def _progress(total: int) -> Iterator[tuple[_Advance, Callable[[str], None]]]:
    """Yields (advance, say): a bar on a terminal, one line per loss elsewhere; both on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield (lambda passes=1: None), (lambda text: console.print(text, markup=False))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def advance(passes: int = 1) -> None:
            bar.advance(task, passes)

        yield advance, (lambda text: bar.update(task, description=text))
