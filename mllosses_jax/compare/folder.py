"""The output folder: results that survive an interruption and overwrite nothing unasked."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from pathlib import Path
from typing import Any

from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiment import Outcome
from mllosses_jax.decisions import ThresholdReport

RESULTS = "results.json"
TABLE = "results.csv"
SCORES = "scores"
THRESHOLDS = "thresholds"
MEND = "choose another folder (out), or overwrite what is there (force)"


class Occupied(ComparisonError):
    """A folder holds something that must not be overwritten."""


class Folder:
    """A folder that belongs to one configuration on one data set.

    Args:
        path: the folder, made if it is not there.
        identity: what must agree for a run to be resumed: ``config`` and ``data``.
        force: begin anew, whatever is there.

    Raises:
        Occupied: the folder holds something that must not be overwritten.
        ComparisonError: the folder cannot be written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], force: bool) -> None:
        self.path = path
        losses = identity["config"]["losses"]
        try:
            (path / SCORES).mkdir(parents=True, exist_ok=True)
            if force:
                for name in losses:
                    self._scores(name).unlink(missing_ok=True)
            elif (path / RESULTS).exists():
                self._check(identity, losses)
                return
            elif any(self._scores(name).exists() for name in losses) or (path / TABLE).exists():
                raise Occupied(f"{path} holds results but no {RESULTS}; {MEND}")
            self.write({**identity, "results": {}}, [])
        except OSError as error:
            raise ComparisonError(
                f"cannot write to {path} ({error.strerror}); choose another folder (out)"
            ) from None

    def _check(self, identity: dict[str, Any], losses: list[str]) -> None:
        """Raises unless the run that is there is unfinished and of the same identity."""
        file = self.path / RESULTS
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            finished = set(found["results"])
            there = {key: dict(found[key]) for key in identity}
        except (ValueError, KeyError, TypeError):
            raise Occupied(f"{file} is not the result of a comparison; {MEND}") from None
        for key, settings in identity.items():
            for name, value in settings.items():
                if there[key].get(name) != value:
                    raise Occupied(
                        f"{file} is of another run ({key}: {name} is {there[key].get(name)} there "
                        f"and {value} here); {MEND}"
                    )
        if finished >= set(losses):
            raise Occupied(f"{file} exists and is complete; {MEND}")

    def _scores(self, name: str) -> Path:
        return self.path / SCORES / f"{name}.npz"

    def load(self, name: str) -> Outcome | None:
        """Returns the outcome of a loss that was finished before, if there is one.

        Raises:
            ComparisonError: its file is damaged.
        """
        file = self._scores(name)
        try:
            return Outcome.load(file) if file.exists() else None
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile):
            raise ComparisonError(
                f"{file} is damaged; remove it, and the loss is trained again"
            ) from None

    def save(self, name: str, outcome: Outcome) -> None:
        """Keeps the outcome of a loss."""
        outcome.save(self._scores(name))

    def write(self, results: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Writes results.json and results.csv whole, so that neither is ever half-written."""
        text = json.dumps(_finite(results), indent=1, allow_nan=False)
        self._replace(RESULTS, text + "\n")
        if rows:
            partial = self.path / f"{TABLE}.partial"
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            partial.replace(self.path / TABLE)

    def write_report(self, text: str) -> None:
        """Writes the classification report of the best loss."""
        self._replace("report.txt", text + "\n")

    def write_thresholds(self, name: str, report: ThresholdReport) -> None:
        """Writes the thresholds of a loss."""
        (self.path / THRESHOLDS).mkdir(exist_ok=True)
        report.save(self.path / THRESHOLDS / f"{name}.json", force=True)

    def write_best_thresholds(self, report: ThresholdReport) -> None:
        """Writes the thresholds of the best loss."""
        report.save(self.path / f"{THRESHOLDS}.json", force=True)

    def _replace(self, name: str, text: str) -> None:
        partial = self.path / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path / name)


def _finite(value: Any) -> Any:
    """Returns the value with NaN and infinity as None: JSON has neither."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
