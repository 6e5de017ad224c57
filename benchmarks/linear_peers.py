"""One-vs-rest logistic regression of scikit-learn, the peer of our linear model.

Each label has its own model; C is chosen by cross-validation, once for all labels together and once
for each label. `OMP_NUM_THREADS=1 python -m benchmarks.linear_peers [NAME ...] [--refit]` fits what
is missing in `linear_peers.json`, on the data sets in the folder `../shared/data`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from mllosses_jax import data, decisions, metrics

SETS = (
    "flags",
    "emotions",
    "scene",
    "yeast",
    "slashdot",
    "enron",
    "tox21_smiles1024",
    "stackex_chess",
    "corel5k",
    "delicious",
)
DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = Path(__file__).with_name("linear_peers.json")
GRID = np.logspace(-3, 3, 9)
PLAIN = 4  # position of C = 1 in the grid, for labels that are too rare to choose C
FOLDS = 3
MIN_CASES = 3  # fewest positives and negatives of a label that takes part in the choice of C
MIN_POSITIVES = 5  # fewest positives of a label with its own threshold
NEVER = -1e3  # the score of a label without a known positive
# lbfgs leaves the intercept unpenalised. liblinear penalises it, which spoils the scores of rare
# labels if C is small; of the solvers that do not, lbfgs with warm starts along the grid is the
# fastest. Its tolerance applies to the slope of the mean loss: with the default of 1e-4, the fit of
# a rare label stops before it has begun. Average precision with 1e-6 is within 0.0005 of that with
# 1e-9 at C up to 30, and within 0.01 at 1000.
TOLERANCE = 1e-6
MAX_ITERATIONS = 10_000

Array = np.ndarray[Any, Any]


def main() -> None:
    """Fits the named data sets, or those that have no result yet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.linear_peers", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets; default: all")
    parser.add_argument("--refit", action="store_true", help="fit the named data sets again")
    parser.add_argument("--save-scores", type=Path, metavar="FOLDER", help="write FOLDER/NAME.npz")
    arguments = parser.parse_args()
    if arguments.refit and not arguments.names:
        parser.error("--refit needs the names of the data sets to fit again")
    unknown = sorted(set(arguments.names) - set(SETS))
    if unknown:
        parser.error(f"no data set {unknown[0]!r}; there are {', '.join(SETS)}")
    for name in arguments.names or SETS:
        if name in read() and not arguments.refit:
            continue
        dataset = data.load(DATA / f"{name}.npz").standardized()
        folder = arguments.save_scores
        entry = fit(dataset, None if folder is None else folder / f"{name}.npz")
        _write(read() | {name: entry})
        print(name, json.dumps(entry), flush=True)


def read() -> dict[str, Any]:
    """Returns the entries of the finished data sets by name."""
    if not RESULTS.is_file():
        return {}
    sets: dict[str, Any] = json.loads(RESULTS.read_text())["sets"]
    return sets


def features(x: Array, is_sparse: bool) -> Any:
    """Returns features as a float64 CSR matrix or array."""
    return sparse.csr_matrix(x, dtype=np.float64) if is_sparse else x.astype(np.float64)


def fit(dataset: data.Dataset, save_scores: Path | None = None) -> dict[str, Any]:
    """Fits one-vs-rest logistic regression and measures it on the test part.

    Fits and metrics leave out unknown labels.

    Args:
        dataset: a data set with a test part, standardised unless it is sparse.
        save_scores: an `.npz` file for the scores of the test part and the out-of-fold scores.

    Returns:
        The metrics of "one_c", with one C for all labels, and of "c_per_label". `cpu_seconds` is
        the time of all fits of each: those of the cross-validation and the final ones.
    """
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    x, x_test = (features(part, dataset.sparse) for part in (dataset.x_train, dataset.x_test))
    y, known = dataset.y_train, _known(dataset.y_train, dataset.mask_train)
    start = time.process_time()
    out_of_fold = _out_of_fold(x, y, known)
    path_seconds = time.process_time() - start

    common, choices = _choose(out_of_fold, y, known)
    entry: dict[str, Any] = {}
    saved: dict[str, Any] = {}
    for name, chosen in choices.items():
        start = time.process_time()
        scores = _refit(x, y, known, x_test, chosen)
        seconds = path_seconds + time.process_time() - start
        tuning = out_of_fold[chosen, :, np.arange(len(chosen))].T
        thresholds = [_threshold(tuning, y, known, scope) for scope in ("global", "label")]
        entry[name] = _measure(scores, dataset.y_test, dataset.mask_test, *thresholds)
        entry[name]["cpu_seconds"] = round(seconds, 6)
        saved |= {name: scores, f"{name}_out_of_fold": tuning}
    entry["one_c"]["c"] = round(float(GRID[common]), 6)
    if save_scores is not None:
        save_scores.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(save_scores, **saved)
    return entry


def _known(y: Array, mask: Array | None) -> Array:
    return np.ones_like(y) if mask is None else mask


def _out_of_fold(x: Any, y: Array, known: Array) -> Array:
    """Returns the score of each training row by models that did not see it, float32 (C, N, L)."""
    fold_of_row = np.random.default_rng(0).permutation(len(y)) % FOLDS
    scores = np.empty((len(GRID), *y.shape), np.float32)
    for fold in range(FOLDS):
        inside, outside = fold_of_row != fold, fold_of_row == fold
        x_inside, x_outside = x[inside], x[outside]
        for label in range(y.shape[1]):
            scores[:, outside, label] = _scores_of_label(
                x_inside, y[inside, label], known[inside, label], x_outside, GRID
            )
    return scores


def _scores_of_label(x: Any, y: Array, known: Array, x_new: Any, grid: Array) -> Array:
    """Returns the scores of new rows by the models of one label, float32 (C, M)."""
    if not known.all():
        x, y = x[known], y[known]
    if not y.any():
        return np.full((len(grid), x_new.shape[0]), NEVER, np.float32)
    if y.all():
        return np.full((len(grid), x_new.shape[0]), -NEVER, np.float32)
    model = LogisticRegression(
        solver="lbfgs", tol=TOLERANCE, max_iter=MAX_ITERATIONS, warm_start=True
    )
    scores = np.empty((len(grid), x_new.shape[0]), np.float32)
    for row, c in zip(scores, grid, strict=True):
        row[:] = model.set_params(C=c).fit(x, y).decision_function(x_new)
    return scores


def _refit(x: Any, y: Array, known: Array, x_test: Any, chosen: Array) -> Array:
    """Returns scores by models of all training rows, each with its label's C, float32 (M, L)."""
    columns = [
        _scores_of_label(x, y[:, label], known[:, label], x_test, GRID[[place]])[0]
        for label, place in enumerate(chosen)
    ]
    return np.stack(columns, axis=1)


def _choose(out_of_fold: Array, y: Array, known: Array) -> tuple[int, dict[str, Array]]:
    """Returns the position of the common C in the grid, and those of the labels' C, (L,), by kind.

    The common C has the highest mAP, and a label's own C its highest average precision.
    """
    precision = np.stack(
        [metrics.average_precision(s, y, average=None, where=known) for s in out_of_fold]
    )
    positives, cases = (y & known).sum(axis=0), known.sum(axis=0)
    enough = np.minimum(positives, cases - positives) >= MIN_CASES
    common = int(np.argmax(precision[:, enough].mean(axis=1)))
    return common, {
        "one_c": np.where(enough, common, PLAIN),
        "c_per_label": np.where(enough, np.argmax(precision, axis=0), PLAIN),
    }


def _threshold(scores: Array, y: Array, known: Array, scope: Any) -> Array:
    return np.asarray(
        decisions.tune_thresholds(
            scores, y, scope=scope, min_positives=MIN_POSITIVES, default=0, where=known
        )
    )


def _measure(
    scores: Array, y: Array, mask: Array | None, common: Array, by_label: Array
) -> dict[str, float]:
    where = None if mask is None else jnp.asarray(mask)
    s, truth = jnp.asarray(scores), jnp.asarray(y)
    in_common = decisions.apply_thresholds(s, common)
    in_own = decisions.apply_thresholds(s, by_label)
    values = {
        "map": metrics.average_precision(s, truth, where=where),
        "micro_f1": metrics.f1(in_common, truth, average="micro", where=where),
        "macro_f1": metrics.f1(in_own, truth, where=where),
        **{f"p@{k}": metrics.precision_at_k(s, truth, k, where=where) for k in (1, 3, 5)},
        "ranking_loss": metrics.label_ranking_loss(s, truth, where=where),
        "roc_auc": metrics.roc_auc(s, truth, where=where),
    }
    return {name: round(float(value), 6) for name, value in values.items()}


def _write(sets: dict[str, Any]) -> None:
    versions = {module.__name__: module.__version__ for module in (sklearn, np, scipy)}
    versions["scikit-learn"] = versions.pop("sklearn")
    content = {
        "versions": dict(sorted(versions.items())),
        "grid": [round(float(c), 6) for c in GRID],
        "sets": {name: sets[name] for name in SETS if name in sets},
    }
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(RESULTS)


if __name__ == "__main__":
    main()
