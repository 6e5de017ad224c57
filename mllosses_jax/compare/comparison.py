"""The losses of a comparison that are finished, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mllosses_jax._core.files import write_text
from mllosses_jax.compare import judgment, report, resampling
from mllosses_jax.compare.choice import Choice
from mllosses_jax.compare.experiments import EXPERIMENTS, Experiment
from mllosses_jax.compare.intervals import Interval
from mllosses_jax.compare.judgment import Judgment
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.page import whole as page
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.thresholds import Thresholds
from mllosses_jax.data import Dataset


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

    def _repr_html_(self) -> str:
        """The table of losses, which a notebook shows."""
        return page.compact(self)

    def report(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Writes the page of the comparison: one HTML file, which needs no network.

        Without matplotlib it has all tables and no figures.

        Args:
            path: the file to write.
            force: whether to overwrite an existing file.

        Raises:
            FileExistsError: the file exists, unless `force`.
            OSError: the file cannot be written.
        """
        if Path(path).exists() and not force:
            raise FileExistsError(f"{path} exists; choose another file, or force=True")
        write_text(Path(path), page.html(self))

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

    def mark(self, label: str, metric: str) -> Literal["+", "-", ""]:
        """Returns + for significantly better than the baseline, - for worse, and "" otherwise."""
        difference = self.differences.get(label, {}).get(metric)
        if difference is None or not difference.excludes_zero:
            return ""
        return (
            "+"
            if (difference.mean > 0) == self.experiment.metrics[metric].higher_is_better
            else "-"
        )

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
