"""The output folder: results that survive an interruption and overwrite nothing without `force`.

results.json, results.csv                  the metrics
predictor.npz                              the predictor of the loss that the verdict recommends
losses/LOSS/model.npz                      fitted models, and how features were standardised
losses/LOSS/validation.npz, test.npz       scores with their labels
losses/LOSS/global_threshold.json          one threshold for all labels, for micro-F1
losses/LOSS/thresholds.json                one threshold per label, for macro-F1
losses/LOSS/calibrator.json                a Platt calibrator
references/NAME/                           model.npz, validation.npz and test.npz of a reference
thresholds.json and so on                  the files of the loss that the verdict recommends
run.toml                                   the options of the command, for `--resume`
report.html                                the report with its figures, for a browser
per_label.csv                              the figures of each label under each loss
predictions.npz                            what the recommended loss says of the test rows
report.md                                  the report as text; it exists if the run is complete

A comparison over very many labels has no thresholds by label and no calibrator.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mllosses_jax import calibration
from mllosses_jax._core import files
from mllosses_jax.compare import markdown, per_label
from mllosses_jax.compare.choice import AnyChoice
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import LOSSES, MODEL, PREDICTOR, VALIDATION, Outcome
from mllosses_jax.compare.page import whole as page
from mllosses_jax.compare.thresholds import Thresholds
from mllosses_jax.data import Dataset

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison
if sys.platform != "win32":
    import fcntl

RESULTS = "results.json"
TABLE = "results.csv"
REPORT = "report.md"
PAGE = "report.html"
PER_LABEL = "per_label.csv"
PREDICTIONS = "predictions.npz"
OPTIONS = "run.toml"
REFERENCES = "references"
THRESHOLDS = "thresholds.json"
CALIBRATOR = "calibrator.json"
GLOBAL_THRESHOLD = "global_threshold.json"
DECISIONS = (THRESHOLDS, GLOBAL_THRESHOLD, CALIBRATOR)
OF_ALL_LOSSES = (REPORT, PAGE, PER_LABEL, PREDICTIONS, *DECISIONS, PREDICTOR)
OF_A_LOSS = (MODEL, VALIDATION, "test*.npz", *DECISIONS, files.LEFTOVERS)


class Occupied(ComparisonError):
    """An error for a folder that holds something that must not be overwritten."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Reserves a folder, created if necessary, for one run, and frees it however the run ends.

    Raises:
        Occupied: another run is using the folder.
        ComparisonError: the folder cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
    except BlockingIOError:
        raise Occupied(
            f"another run is writing to {path}; wait until it ends, or choose another folder (out)"
        ) from None
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(path: Path) -> int | None:
    """Locks a folder until the file descriptor is closed; on Windows, nothing is locked."""
    if sys.platform == "win32":
        return None
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise
    except OSError:  # a file system without locks
        pass
    return folder


def _cannot_write(path: Path, error: OSError) -> ComparisonError:
    return ComparisonError(
        f"cannot write to {path} ({error.strerror}); choose another folder (out)"
    )


class Folder:
    """A folder for one experiment on one data set, to which losses can be added.

    Args:
        path: the folder, which is created if necessary.
        identity: what must agree for a run to be resumed or added to: `config` and `data`.
        choices: the requested losses.
        force: whether to start again, whatever the folder holds.
        options: the text of run.toml, or None for none.
        joins: whether another process has prepared the folder for the same run.

    Attributes:
        choices: the requested losses, after those that the folder holds already.

    Raises:
        Occupied: the folder holds something that must not be overwritten.
        ComparisonError: the folder cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, Any],
        choices: Sequence[AnyChoice],
        force: bool,
        options: str | None = None,
        *,
        joins: bool = False,
    ) -> None:
        self.path, self._options = path, options
        self.choices = tuple(choices)
        if joins:
            self._join(identity)
            return
        try:
            (path / LOSSES).mkdir(parents=True, exist_ok=True)
            if force:
                self._clear()
            elif (path / RESULTS).exists():
                self._join(identity)
                self._remove_remainders()
                return
            else:
                self._refuse_what_is_there()
            self.write_options()  # first, so that a run that is killed can always be resumed
            self.write({**self.named(identity), "results": {}}, [])
        except OSError as error:
            raise _cannot_write(path, error) from None

    def _refuse_what_is_there(self) -> None:
        """Raises if a folder without results holds something with the name of a run's file."""
        names = [self.path / name for name in (*OF_ALL_LOSSES, TABLE)]
        found = [path for path in (*names, *self._of_models()) if path.exists()]
        options = self.path / OPTIONS
        if options.exists() and options.read_bytes() != (self._options or "").encode():
            found.append(options)
        if found:
            raise Occupied(
                f"{found[0]} exists, but {RESULTS} does not; choose another folder (out), or "
                "overwrite its contents (force)"
            )

    def _of_models(self) -> list[Path]:
        """Returns the existing files of losses and references; no others are ever removed."""
        folders = self._folders()
        return [path for folder in folders for name in OF_A_LOSS for path in folder.glob(name)]

    def _clear(self) -> None:
        """Removes a run, results first, so that no remainder can be mistaken for a run."""
        for name in (RESULTS, *OF_ALL_LOSSES, TABLE, OPTIONS):
            (self.path / name).unlink(missing_ok=True)
        for path in self._of_models():
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()

    def _join(self, identity: dict[str, Any]) -> None:
        """Takes over the losses of the run in the folder, or raises if it is a different run."""
        file = self.path / RESULTS
        mend = "choose another folder (out), or overwrite its contents (force)"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            there = {key: dict(found[key]) for key in (*identity, "results")}
            labels = [str(label) for label in found["config"]["losses"]]
        except Exception:  # Broken content can raise anything.
            raise Occupied(f"{file} is not the result of a comparison; {mend}") from None
        for key, settings in identity.items():
            for name, value in settings.items():
                if there[key].get(name) != value:
                    differing = _differing(name, there[key].get(name), value)
                    raise Occupied(f"{file} is from another run ({key}: {differing}); {mend}")
        before = [self._of_label(label, mend) for label in labels]
        self.choices = tuple(dict.fromkeys([*before, *self.choices]))

    def _remove_remainders(self) -> None:
        """Removes what does not cover losses that are added, and files that were not finished."""
        for name in OF_ALL_LOSSES:
            (self.path / name).unlink(missing_ok=True)
        for place in (self.path, *self._folders()):
            for leftover in place.glob(files.LEFTOVERS):
                leftover.unlink()

    def _of_label(self, label: str, mend: str) -> AnyChoice:
        """Returns the loss of a label: one that is requested now, or else one that can be read."""
        asked = [choice for choice in self.choices if choice.label == label]
        try:
            return asked[0] if asked else parse(label)
        except ComparisonError as error:
            raise Occupied(
                f"{self.path / RESULTS} holds the loss {label}, which cannot be found again "
                f"({error}); give its function again (losses), {mend}"
            ) from None

    def named(self, identity: dict[str, Any]) -> dict[str, Any]:
        """Returns the identity with the losses, to which more can be added."""
        losses = [choice.label for choice in self.choices]
        return {**identity, "config": {"losses": losses, **identity["config"]}}

    def _folders(self) -> list[Path]:
        return [path for kind in (LOSSES, REFERENCES) for path in (self.path / kind).glob("*")]

    def _of(self, what: AnyChoice | str) -> Path:
        if isinstance(what, str):
            return self.path / REFERENCES / what.replace(" ", "_")
        return self.path / LOSSES / what.file_name

    def load(
        self,
        what: AnyChoice | str,
        dataset: Dataset,
        kind: type[Outcome | RankedOutcome] = Outcome,
    ) -> Outcome | RankedOutcome | None:
        """Returns the outcome of what was already trained on this data, or None.

        Args:
            what: a loss, or the name of a reference.
            dataset: the data set.
            kind: the kind of outcome.

        Raises:
            ComparisonError: a file of the outcome is damaged.
        """
        try:
            return kind.load(self._of(what), dataset)
        except Exception:  # Broken content can raise anything.
            raise ComparisonError(
                f"{self._of(what)} is damaged; remove it, and its model will be trained again"
            ) from None

    def save(
        self,
        what: AnyChoice | str,
        outcome: Outcome | RankedOutcome,
        dataset: Dataset,
        about: Mapping[str, Any],
    ) -> None:
        """Writes the outcome of a loss, or of the reference of this name."""
        named = {"reference": what} if isinstance(what, str) else {"loss": what.label}
        outcome.save(self._of(what), dataset, named | dict(about))

    def write_decisions(
        self, choice: AnyChoice | None, thresholds: Thresholds, outcome: Outcome | RankedOutcome
    ) -> None:
        """Writes the thresholds and the calibrator of a loss, or the recommended ones for None."""
        folder = self.path if choice is None else self._of(choice)
        common = thresholds.common
        common.save(folder / GLOBAL_THRESHOLD, force=True)
        if thresholds.by_label is not None:
            thresholds.by_label.save(folder / THRESHOLDS, force=True)
        if isinstance(outcome, Outcome):
            calibrator = outcome.decisions.calibrator
            calibration.save(calibrator, folder / CALIBRATOR, common.label_names, force=True)

    def write(self, results: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Writes results.json and results.csv whole, so that neither is ever half-written."""
        files.write_json(self.path / RESULTS, results)
        if rows:
            files.write_csv(self.path / TABLE, rows)

    def write_options(self) -> None:
        """Writes the options with which the command goes on with the run."""
        if self._options is not None:
            files.write_text(self.path / OPTIONS, self._options)

    def write_report(self, comparison: Comparison) -> None:
        """Writes the report in all its forms; the Markdown is the last file of a run."""
        files.write_csv(self.path / PER_LABEL, per_label.csv_rows(comparison))
        files.write_npz(self.path / PREDICTIONS, per_label.predictions(comparison))
        files.write_text(self.path / PAGE, page.html(comparison))
        files.write_text(self.path / REPORT, markdown.text(comparison))


def _differing(name: str, there: Any, here: Any) -> str:
    """Returns how two settings differ; for lists of one length, where their entries first do."""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        place = next(
            k for k, pair in enumerate(zip(there, here, strict=True)) if pair[0] != pair[1]
        )
        name, there, here = f"{name}[{place}]", there[place], here[place]
    return f"{name} is {there} there and {here} here"
