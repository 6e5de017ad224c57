"""The losses of a comparison that are finished, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mllosses_jax._core.files import write_text
from mllosses_jax._core.intervals import Interval
from mllosses_jax.compare import judgment, own_metric, report, resampling
from mllosses_jax.compare.checks import find_all
from mllosses_jax.compare.checks.finding import Finding
from mllosses_jax.compare.choice import AnyChoice, learns_threshold
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiments import EXPERIMENTS, Experiment
from mllosses_jax.compare.judgment import Judgment, Metric
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.own_metric import OwnMetric
from mllosses_jax.compare.own_model import OwnNetwork
from mllosses_jax.compare.page import whole as page
from mllosses_jax.compare.predictor import Predictor, make_predictor
from mllosses_jax.compare.preprocessing import Preprocessing
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
        simultaneous: the same differences, with intervals that hold together: for each metric, all
            of those of the losses compared do so in 95 % of cases. Marks are read off them.
        references: the figures of what no loss trained, by name, in the form of `results`: the
            prior alone and models of scikit-learn, which are neither marked nor recommended.
        reference_judgments: their metrics on each resample.
        references_left_out: references that would take too long, each with the reason.
        left_out: losses that cannot be trained over so many labels, each with the reason.
        ignore: codes of checks to leave out.
        preprocessing: what was done to the features of the data set.
        further_metrics: metrics that were asked for besides those of the experiment.
        networks: the user's model for each loss, if the model is the user's.
        source: the files and how they were read (`data`, `labels`, `drop`, `groups`,
            `validation`), as far as is known.
        lasting_findings: what checks found that look at nothing but the data and the baseline.
    """

    dataset: Dataset
    settings: Settings
    baseline: str
    choices: dict[str, AnyChoice] = field(default_factory=dict)
    outcomes: dict[str, Outcome | RankedOutcome] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    judgments: dict[str, Judgment] = field(default_factory=dict)
    results: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)
    simultaneous: dict[str, dict[str, Interval]] = field(default_factory=dict)
    references: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    reference_judgments: dict[str, Judgment] = field(default_factory=dict)
    references_left_out: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    further_metrics: tuple[OwnMetric, ...] = ()
    networks: dict[str, OwnNetwork] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    lasting_findings: dict[str, Finding | None] = field(default_factory=dict)

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

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics, by name."""
        further = {each.label: each.column for each in self.further_metrics}
        return {**self.experiment.metrics, **further}

    def add(self, choice: AnyChoice, outcome: Outcome | RankedOutcome) -> None:
        """Judges one more loss."""
        self.__dict__.pop("checks", None)
        label = choice.label
        if label == self.baseline:
            self.lasting_findings.clear()
        self.choices[label], self.outcomes[label] = choice, outcome
        judged = self.judgments[label] = self._judged(outcome)
        self.results[label] = _figures(judged, outcome)
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
            self.simultaneous = self._hold_together()

    def add_reference(self, name: str, outcome: Outcome | RankedOutcome) -> None:
        """Judges one of the references."""
        self.__dict__.pop("checks", None)
        judged = self.reference_judgments[name] = self._judged(outcome)
        self.references[name] = _figures(judged, outcome)

    def _judged(self, outcome: Outcome | RankedOutcome) -> Judgment:
        """Returns all metrics of an outcome."""
        judged = self.experiment.judge(outcome, self.dataset, self.resamples)
        if not self.further_metrics:
            return judged
        assert isinstance(outcome, Outcome)
        return own_metric.judged(
            judged, self.further_metrics, outcome, self.dataset, self.resamples
        )

    def _hold_together(self) -> dict[str, dict[str, Interval]]:
        """Returns the differences with simultaneous intervals, which each further loss widens."""
        base = self.judgments[self.baseline]
        found: dict[str, dict[str, Interval]] = {label: {} for label in self.differences}
        for metric in base.values:
            compared = {
                label: self.judgments[label]
                for label, by_metric in self.differences.items()
                if metric in by_metric
            }
            for label, each in judgment.simultaneous(compared, base, metric).items():
                found[label][metric] = each
        return found

    def is_comparable(self, label: str, metric: str) -> bool:
        """Returns whether a metric says something about a loss, which may have no origin."""
        needs_origin = self.metrics[metric].needs_origin
        return self.choices[label].zero_decides or not needs_origin

    def mark(self, label: str, metric: str) -> Literal["+", "-", ""]:
        """Returns + for significantly better than the baseline, - for worse, and "" otherwise."""
        difference = self.simultaneous.get(label, {}).get(metric)
        if difference is None:
            return ""
        return difference.mark(higher_is_better=self.metrics[metric].higher_is_better)

    @cached_property
    def checks(self) -> tuple[Finding, ...]:
        """What a reader should know before trusting the comparison: issues first, then tips."""
        return find_all(self, self.ignore)

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
        # Validation chose the one loss whose lead is judged here, so its plain interval is honest.
        # It lies within the simultaneous one, so a loss that a mark calls better is never refused
        # here, nor is one taken that a mark calls worse.
        lead = self.differences[best][self.experiment.leading]
        return best if lead.excludes_zero and lead.mean > 0 else self.baseline

    def predictor(self, loss: str | None = None) -> Predictor:
        """Returns what maps raw features to scores, probabilities and label sets.

        Args:
            loss: a loss of the comparison, by its label; None for the recommended one. If it has
                several models, the first is taken.

        Returns:
            The predictor.

        Raises:
            ComparisonError: the loss is not in the comparison.
        """
        if self.settings.model == "scores":
            raise ComparisonError(
                "the models were trained elsewhere and only their scores are known, so there is no "
                "predictor; apply thresholds.json and calibrator.json to new scores"
            )
        label = self.recommended if loss is None else loss
        if label not in self.outcomes:
            raise ComparisonError(
                f"no loss {label!r} was compared (loss); there are: {', '.join(self.outcomes)}"
            )
        assert self.preprocessing is not None
        return make_predictor(
            self.outcomes[label],
            label_names=self.dataset.label_names,
            loss=label,
            model=self.settings.model,
            preprocessing=self.preprocessing,
            network=self.networks.get(label),
            learns_threshold=learns_threshold(self.choices[label]),
        )


def _figures(judged: Judgment, outcome: Outcome | RankedOutcome) -> dict[str, dict[str, Any]]:
    """Returns the metrics and the times of an outcome."""
    found = {
        metric: _figure(judged.figure(metric), values) for metric, values in judged.values.items()
    }
    for clock in ("seconds", "cpu_seconds"):
        value = float(getattr(outcome, clock))
        found[clock] = _figure(Interval(value, value, value, True), np.array([value]))
    return found


def _figure(found: Interval, values: np.ndarray) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "values": values.tolist()}
