"""Rows below those of the losses: what is reached without features, and by usual models.

Their decisions are tuned on scores of rows that the models were not trained on, as those of the
losses are. The models of scikit-learn are fitted where it is installed.

- "prior only": every row has the log odds of each label's frequency. Its tuned thresholds predict
  the same labels for every row, namely the best ones for F1.
- "logistic regression": one for each label, fitted to the rows in which the label is known.
- "random forest": one for all labels. In its targets, an unknown label has its frequency in the
  training part, which speaks for no split.
"""

from __future__ import annotations

import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare import parts, validation
from mllosses_jax.compare.bound_loss import counts
from mllosses_jax.compare.large import judgment as large_judgment
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.large.training import KEPT
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.validation import Held
from mllosses_jax.data import Dataset

PRIOR, LOGISTIC, FOREST = "prior only", "logistic regression", "random forest"
INVERSE_STRENGTHS = (0.01, 0.1, 1.0)  # scikit-learn's C
TREES, LEAF = 100, 5  # the number of trees, and the fewest rows in a leaf
GROUP = 10  # trees that are held at once, as each node has a probability of each label
ENTRIES_OF_A_TREE = 250_000  # rows times labels, at most, which bounds the time for many labels
MOST_ENTRIES, OVERHEAD = 5e8, 5e4  # the former take about half a minute of one core

Floats = NDArray[np.float32]
Scores = Callable[[parts.Rows, Any], Floats]  # from training rows and the features of other rows


class Available(NamedTuple):
    """The references of an experiment.

    Attributes:
        fits: what fits each of them to a standardised data set, by name.
        left_out: why others are left out, by name.
    """

    fits: Mapping[str, Callable[[Dataset], Outcome | RankedOutcome]]
    left_out: Mapping[str, str]


def available(settings: Settings, dataset: Dataset) -> Available:
    """Returns the references of an experiment, without those that would take too long."""
    if settings.model == "linear_head":
        return Available({PRIOR: prior_of_many}, {})
    if importlib.util.find_spec("sklearn") is None:
        return Available({PRIOR: prior}, {})
    if _entries_to_read(dataset) > MOST_ENTRIES:
        reason = f"{_num_logistic_fits(dataset)} fits would take too long"
        return Available({PRIOR: prior, FOREST: random_forest}, {LOGISTIC: reason})
    return Available({PRIOR: prior, LOGISTIC: logistic_regression, FOREST: random_forest}, {})


def _num_logistic_fits(dataset: Dataset) -> int:
    """Returns how many logistic regressions are fitted: for each label, fold and strength."""
    per_label = len(INVERSE_STRENGTHS) * parts.num_of_folds(dataset) + 1
    return per_label * len(dataset.label_names)


def _entries_to_read(dataset: Dataset) -> float:
    """Returns about how many entries of features the logistic regressions read in a pass of each.

    What a fit does besides costs about as much as `OVERHEAD` entries of a sparse matrix, and an
    entry of a dense one a tenth of these.
    """
    stored = np.count_nonzero(dataset.x_train) if dataset.sparse else dataset.x_train.size / 10
    return _num_logistic_fits(dataset) * (OVERHEAD + float(stored))


def prior(dataset: Dataset) -> Outcome:
    """Returns the outcome of the log odds of label frequencies as the scores of every row."""
    begin = _now()
    assert dataset.y_test is not None
    odds = _log_odds(dataset)
    every = np.arange(len(parts.pool(dataset).y))
    held = Held(every, np.tile(odds, (len(every), 1)))
    test = np.tile(odds, (len(dataset.y_test), 1))
    return _outcome(dataset, begin, held, test, params={"bias": odds})


def prior_of_many(dataset: Dataset) -> RankedOutcome:
    """Returns the outcome of `prior` over very many labels."""
    begin = _now()
    odds = _log_odds(dataset)
    pool = parts.pool(dataset)
    rows = np.flatnonzero(pool.known.any(axis=1))
    labels, known = pool.y[rows], pool.known[rows]
    held = _ranked(odds, known)
    return RankedOutcome(
        **_training(begin, large_judgment.quality(held, labels, known), params={"bias": odds}),
        test=(_ranked(odds, dataset.known_test),),
        held=held,
        held_rows=rows,
        global_threshold=large_judgment.common_threshold(held, labels, known),
    )


def logistic_regression(dataset: Dataset) -> Outcome:
    """Returns the outcome of logistic regressions, of the one strength that folds show best."""
    from threadpoolctl import threadpool_limits

    begin = _now()
    x, x_pool, x_test = _features(dataset)

    def of_strength(inverse: float) -> Scores:
        def scores(rows: parts.Rows, others: Any) -> Floats:
            kernel, bias = _coefficients(dataset, x, rows, inverse)
            return np.asarray(others @ kernel + bias, np.float32)

        return scores

    # The threads of NumPy wait for each other by spinning, which takes eighty times the work.
    with threadpool_limits(limits=1, user_api="blas"), _without_warnings():
        held = {c: _out_of_fold(dataset, x_pool, of_strength(c)) for c in INVERSE_STRENGTHS}
        found = {c: validation.quality(each, dataset) for c, each in held.items()}
        best = max(found, key=lambda c: found[c])
        kernel, bias = _coefficients(dataset, x, np.arange(len(dataset.y_train)), best)
        test = np.asarray(x_test @ kernel + bias, np.float32)
    return _outcome(
        dataset,
        begin,
        held[best],
        test,
        params={"kernel": kernel, "bias": bias},
        chosen={"C": best},
    )


def random_forest(dataset: Dataset) -> Outcome:
    """Returns the outcome of a random forest with the log odds of its probabilities as scores."""
    begin = _now()
    x, x_pool, x_test = _features(dataset)

    def scores(rows: parts.Rows, others: Any) -> Floats:
        odds = _log_odds(dataset, rows)
        known, share = dataset.known_train[rows], 1 / (1 + np.exp(-odds.astype(np.float64)))
        mean = _forest_means(x[rows], np.where(known, dataset.y_train[rows], share), others)
        # As if each leaf held one more row, of the frequency, which keeps log odds finite.
        probability = (TREES * LEAF * mean + share) / (TREES * LEAF + 1)
        return np.asarray(np.log(probability) - np.log1p(-probability), np.float32)

    held = _out_of_fold(dataset, x_pool, scores)
    test = scores(np.arange(len(dataset.y_train)), x_test)
    return _outcome(dataset, begin, held, test, params={})


def _coefficients(
    dataset: Dataset, x: Any, rows: parts.Rows, inverse_strength: float
) -> tuple[Floats, Floats]:
    """Returns the kernel (D, L) and the bias (L,) of logistic regressions fitted to some rows.

    A label of which only positives or only negatives are known has the log odds of its frequency.
    """
    from sklearn.linear_model import LogisticRegression

    labels, known = dataset.y_train[rows], dataset.known_train[rows]
    bias = _log_odds(dataset, rows)
    kernel = np.zeros((x.shape[1], len(bias)), np.float32)
    all_known, of_rows = bool(known.all()), x[rows]
    for label in range(len(bias)):
        counted = known[:, label]
        truth = labels[counted, label]
        if truth.any() and not truth.all():
            model = LogisticRegression(C=inverse_strength)
            model.fit(of_rows if all_known else of_rows[counted], truth)
            kernel[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return kernel, bias


def _forest_means(x: Any, targets: NDArray[np.float64], others: Any) -> NDArray[np.float64]:
    """Returns the means of targets (N, L) that a random forest predicts for other rows.

    For targets of 0 and 1, the variance that a split of a regression reduces is half the Gini
    impurity, so these are the probabilities of a forest for classification.
    """
    from sklearn.ensemble import RandomForestRegressor

    total = np.zeros((others.shape[0], targets.shape[1]))
    for group in range(TREES // GROUP):
        forest = RandomForestRegressor(
            GROUP,
            min_samples_leaf=LEAF,
            max_features="sqrt",
            max_samples=min(len(targets), ENTRIES_OF_A_TREE // targets.shape[1]),
            random_state=group,
        )
        forest.fit(x, targets[:, 0] if targets.shape[1] == 1 else targets)
        total += forest.predict(others).reshape(total.shape)
    return total / (TREES // GROUP)


def _out_of_fold(dataset: Dataset, x_pool: Any, scores: Scores) -> Held:
    """Returns scores of the rows for validation by models that were not fitted to them."""
    folds = parts.folds(dataset)
    found = [scores(fold.train, x_pool[fold.validation]) for fold in folds]
    return Held(np.concatenate([fold.validation for fold in folds]), np.concatenate(found))


def _features(dataset: Dataset) -> Sequence[Any]:
    """Returns features of training rows, of the rows for validation, and of test rows.

    They are as scikit-learn takes them.
    """
    assert dataset.x_test is not None
    given = dataset.x_train, parts.pool(dataset).x, dataset.x_test
    if not dataset.sparse:  # scikit-learn takes one axis of features
        return [x.reshape(len(x), -1) for x in given]
    from scipy.sparse import csr_matrix

    return [csr_matrix(x) for x in given]


def _log_odds(dataset: Dataset, rows: parts.Rows | None = None) -> Floats:
    """Returns the log odds of the frequency of each label, (L,), which are finite."""
    positives, total = counts(dataset, rows)
    return np.asarray(np.log(positives / (total - positives)), np.float32)


def _ranked(odds: Floats, known: NDArray[np.bool_]) -> Ranked:
    """Returns the known labels (N, k) with the highest scores of each row."""
    order = np.argsort(-odds, kind="stable").astype(np.int32)
    size = min(KEPT, len(order))
    ids = np.full((len(known), size), -1, np.int32)
    for row, there in zip(ids, known, strict=True):
        first = order[:size] if there.all() else order[there[order]][:size]
        row[: len(first)] = first
    return Ranked(ids, np.where(ids >= 0, odds[ids], -np.inf).astype(np.float32))


def _outcome(
    dataset: Dataset,
    begin: tuple[float, float],
    held: Held,
    test: Floats,
    *,
    params: dict[str, Floats],
    chosen: dict[str, float] | None = None,
) -> Outcome:
    decisions = validation.decide(held, dataset)
    training = _training(begin, validation.quality(held, dataset), params=params, chosen=chosen)
    return Outcome(**training, test_scores=test[None], held=held, decisions=decisions)


def _training(
    begin: tuple[float, float],
    quality: float,
    *,
    params: dict[str, Floats],
    chosen: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Returns the fields of a `Training` of one model."""
    seconds, cpu_seconds = (now - before for now, before in zip(_now(), begin, strict=True))
    return {
        "params": {name: array[None] for name, array in params.items()},
        "chosen": chosen or {},
        "tried": {"score": np.array([quality])},
        "at_edge": (),
        "varies": False,
        "residuals": np.full(1, math.nan),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _without_warnings() -> warnings.catch_warnings[None]:
    """Leaves out that a fit has not converged, which does not matter to a reference."""
    return warnings.catch_warnings(action="ignore")
