"""`mllosses predict`: applies the model that a comparison found to new rows."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mllosses_jax._core.files import replacing
from mllosses_jax.cli.console import say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.output_files import check_file
from mllosses_jax.cli.shared_arguments import add_command, add_force

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mllosses_jax.compare import Predictor

BLOCK = 1 << 20  # scores that are computed and written together


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "predict", "apply the model that a comparison found to new rows")
    parser.add_argument(
        "results",
        type=Path,
        metavar="RESULTS",
        help="the folder that `mllosses compare` wrote, or a file that Predictor.save wrote",
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a file of new rows in any format that `mllosses compare` takes, with or without "
        "labels. Columns are found by their names; an .npz holds the features as X (or X_test, or "
        "X_train)",
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help="the loss whose model is applied; default: the one that the comparison recommends",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.csv",
        default=Path("labels.csv"),
        help="file for the predicted labels, 0 or 1; default: labels.csv",
    )
    parser.add_argument(
        "--probabilities", type=Path, metavar="FILE.csv", help="file for calibrated probabilities"
    )
    parser.add_argument("--scores", type=Path, metavar="FILE.csv", help="file for the logits")
    add_force(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    files = {
        name: path
        for name, path in {
            "--out": options.out,
            "--probabilities": options.probabilities,
            "--scores": options.scores,
        }.items()
        if path is not None
    }
    for name, path in files.items():
        if path.suffix.lower() != ".csv":
            raise UsageError(f"{name} is written as .csv, got {path}")
        check_file(path, force=options.force, option=name)
    if len({path.resolve() for path in files.values()}) < len(files):
        raise UsageError(f"{' and '.join(files)} must be different files")

    from mllosses_jax.compare import Predictor
    from mllosses_jax.data.new_rows import load_features

    predictor = Predictor.load(options.results, loss=options.loss)
    features = load_features(
        options.data,
        feature_names=predictor.preprocessing.names,
        encoder=predictor.preprocessing.encoder,
    )
    num_positives = _write(predictor, features, files)
    thresholds = "one threshold for all labels"
    if predictor.label_thresholds is not None:
        thresholds = "a threshold for each label"
    say(
        f"{len(features)} rows, {len(predictor.label_names)} labels, "
        f"{num_positives / max(len(features), 1):.2f} of them predicted for a row, by the "
        f"{predictor.model_name} model trained with {predictor.loss} and {thresholds}."
    )
    say(f"Written to {', '.join(map(str, files.values()))}.")


def _write(predictor: Predictor, features: NDArray[Any], files: dict[str, Path]) -> int:
    """Writes the files, all or none of them; returns the number of predicted labels."""
    predictor.preprocessing.checked(features)  # a mistake is named by its row in the file
    count, rows = 0, max(BLOCK // len(predictor.label_names), 1)
    with contextlib.ExitStack() as stack:
        opened = {name: stack.enter_context(replacing(path)) for name, path in files.items()}
        for file in opened.values():
            _append(file, [predictor.label_names])
        for start in range(0, len(features), rows):
            scores = predictor.scores(features[start : start + rows])
            sets = predictor.sets_of(scores)
            count += int(sets.sum())
            _append(opened["--out"], sets.astype(int).tolist())
            if "--scores" in opened:
                _append(opened["--scores"], scores.astype(str).tolist())
            if "--probabilities" in opened:
                probabilities = predictor.probabilities_of(scores)
                _append(opened["--probabilities"], probabilities.astype(str).tolist())
    return count


def _append(file: BinaryIO, rows: Iterable[Any]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    file.write(text.getvalue().encode())
