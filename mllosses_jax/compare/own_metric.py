"""Further metrics of a comparison: those of the package by name, and the user's own functions.

A metric is judged on the test part itself and on the first resamples of its rows, of which the rows
are drawn again instead of weighted, so that any function of scores and labels will do.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax import metrics as package
from mllosses_jax._core.intervals import FIGURE
from mllosses_jax._core.row_samples import values_on
from mllosses_jax._core.text import did_you_mean
from mllosses_jax.compare import own_code, parameters
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.judgment import METRICS, Judgment, Metric, decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.resampling import Floats
from mllosses_jax.data import Dataset
from mllosses_jax.metrics.bootstrapping import bounds_of

RESAMPLES = 200
ROWS_TRIED = 20
LINE = 9  # characters of a heading, which has two lines

# What of the package takes scores or label sets and returns one number, and what is unusual.
LOWER_IS_BETTER = {
    "binary_log_loss",
    "brier_score",
    "coverage_error",
    "equal_error_rate",
    "expected_calibration_error",
    "hamming_loss",
    "label_ranking_loss",
    "one_error",
}
NO_NUMBER = {
    *("bootstrap", "by_frequency", "d_prime", "s_min"),  # they need more than scores and labels
    *("sensitivity_at_specificity", "specificity_at_sensitivity"),
    *("brier_decomposition", "calibration_curve", "calibration_in_the_large"),
    *("classification_report", "multilabel_confusion_matrix", "overall_and_per_class"),
    *("precision_at_recall", "precision_recall_curve", "recall_at_precision", "roc_curve"),
}
NAMES = [
    name
    for name in package.__all__
    if inspect.isfunction(getattr(package, name))
    and next(iter(inspect.signature(getattr(package, name)).parameters)) != "labels"
    and name not in NO_NUMBER
]

Function: TypeAlias = Callable[..., Any]
Metrics: TypeAlias = (
    str
    | Function
    | Mapping[str, Function | tuple[Function, bool]]
    | Sequence[str | Function]
    | None
)


@dataclasses.dataclass(frozen=True)
class OwnMetric:
    """A further metric.

    Attributes:
        label: its name in tables and files.
        function: a function of (scores or predictions, labels) and perhaps `where`.
        higher_is_better: whether higher values are better.
        of_sets: whether its first argument is label sets, at thresholds tuned per label.
        bounded: whether its values lie in [0, 1].
        number: its number among metrics whose heading would be the same.
    """

    label: str
    function: Function
    higher_is_better: bool = True
    of_sets: bool = False
    bounded: bool = False
    number: int = 1

    @property
    def column(self) -> Metric:
        """The metric as a column of the tables."""
        words = self.label.rpartition(":")[2].replace("_", " ")
        lines = textwrap.wrap(words, LINE, max_lines=2, placeholder="")
        if self.number > 1:
            end = f" {self.number}"
            lines[-1] = lines[-1][: LINE - len(end)] + end
        return Metric("\n".join(lines), self.higher_is_better)

    def __call__(self, first: Any, labels: Any, where: Any) -> Any:
        """Returns the metric of some rows; `where` is left out if the function has none."""
        takes_where = "where" in own_code.parameters_of(self.function)
        value = self.function(first, labels, **({"where": where} if takes_where else {}))
        _check_number(self, value)
        return value


def choose_metrics(metrics: Metrics) -> tuple[OwnMetric, ...]:
    """Returns the requested metrics.

    Args:
        metrics: names, in a sequence or separated by commas, of functions of `mllosses_jax.metrics`
            with parameters if need be (`"precision_at_k(k=3)"`) or of the user's own
            (`"package.module:function"`); functions, in a sequence or as `{name: function}` or
            `{name: (function, higher_is_better)}`; or None for no further ones.

    Raises:
        ComparisonError: a metric cannot be read or has no name.
    """
    given: Any = metrics
    if metrics is None:
        return ()
    if isinstance(metrics, Mapping):
        given = [_named(name, value) for name, value in metrics.items()]
    elif isinstance(metrics, str) or callable(metrics):
        given = [metrics]
    if not isinstance(given, Iterable) or not all(
        isinstance(each, str) or callable(each) for each in given
    ):
        raise ComparisonError(f"metrics must be names or functions (metrics), got {metrics!r}")
    found: dict[str, OwnMetric] = {}
    for item in given:
        texts = parameters.split(item) if isinstance(item, str) else []
        for metric in map(_read, filter(str.strip, texts)) if texts else [_of(item)]:
            before = found.setdefault(metric.label, metric)
            if own_code.innermost(before.function) is not own_code.innermost(metric.function):
                raise ComparisonError(
                    f"two functions are called {metric.label} (metrics); {own_code.HOW_TO_NAME}"
                )
    return _apart(found.values())


def _apart(found: Iterable[OwnMetric]) -> tuple[OwnMetric, ...]:
    """Returns metrics with different headings; raises if one has that of a table's own metric."""
    taken = {
        _plain(name): metric.heading
        for key, metric in METRICS.items()
        # Metrics with and without tuning share a column under the first line of their headings.
        for name in (key, metric.heading, metric.heading.partition("\n")[0])
    }
    headings: list[str] = []
    apart = []
    for metric in found:
        names = {_plain(metric.label.rpartition(":")[2]), _plain(metric.column.heading)}
        clash = sorted(names & set(taken))
        if clash:
            shown = taken[clash[0]].replace("\n", " ")
            raise ComparisonError(
                f"{metric.label} would be mistaken for {shown}, which the tables have already "
                f"(metrics); leave it out, or {own_code.HOW_TO_NAME}"
            )
        headings.append(_plain(metric.column.heading))
        apart.append(dataclasses.replace(metric, number=headings.count(headings[-1])))
    return tuple(apart)


def _plain(name: str) -> str:
    """Returns a name or a heading without what does not tell it from another."""
    return name.replace("_", " ").replace("\n", " ").casefold()


def _read(text: str) -> OwnMetric:
    """Returns the metric that a text names, with its parameters."""
    name = text.partition("(")[0].strip()
    given = {
        str(keyword.arg): parameters.literal(f"{name}: {keyword.arg}", keyword.value)
        for keyword in parameters.keywords(text.strip())
    }
    function = own_code.load(name) if ":" in name else getattr(package, name, None)
    if ":" not in name and name not in NAMES:
        raise ComparisonError(
            f"no metric of scores or label sets is called {name!r} (metrics)"
            f"{did_you_mean(name, NAMES, most=3)}"
        )
    return _with(name, function, given)  # type: ignore[arg-type]


def _of(item: Any) -> OwnMetric:
    """Returns a function as a metric."""
    if isinstance(item, OwnMetric):
        return item
    function = own_code.innermost(item)
    name = getattr(function, "__name__", "")
    if not (name in NAMES and getattr(package, name) is function):
        name = own_code.name_of(function)
    try:
        given = {p: parameters.checked(v) for p, v in getattr(item, "keywords", {}).items()}
    except (TypeError, ValueError, OverflowError):
        raise ComparisonError(
            f"{name} is given more than named numbers and texts (metrics), so that it has no name "
            f"of its own; {own_code.HOW_TO_NAME}"
        ) from None
    return _with(name, function, given)


def _with(name: str, function: Function, given: dict[str, parameters.Value]) -> OwnMetric:
    """Returns a function with parameters as a metric."""
    shown = ", ".join(f"{p}={parameters.written(value)}" for p, value in given.items())
    label = f"{name}({shown})" if shown else name
    values = {p: parameters.array(v) if isinstance(v, tuple) else v for p, v in given.items()}
    of_package = name in NAMES
    known = own_code.parameters_of(function)
    if of_package and "inputs" in known:
        values.setdefault("inputs", "logits")
    own_code.check_call(label, function, ("scores", "labels"), values)
    taken = functools.partial(function, **values)
    return OwnMetric(
        label,
        taken,
        bool(getattr(function, "higher_is_better", name not in LOWER_IS_BETTER)),
        of_sets=of_package and "predictions" in known,
        bounded=bounds_of(taken) == FIGURE,
    )


def _named(name: Any, value: Any) -> OwnMetric:
    """Returns a function as a metric under the user's name for it."""
    function, *higher = value if isinstance(value, tuple) else (value,)
    sound = isinstance(name, str) and name.isprintable() and name.strip() == name != ""
    if not sound or not callable(function) or len(higher) > 1:
        raise ComparisonError(
            "metrics in a dict must be {name: function} or {name: (function, higher_is_better)} "
            f"(metrics), got {{{name!r}: {value!r}}}"
        )
    own_code.check_call(name, function, ("scores", "labels"), {})
    default = getattr(own_code.innermost(function), "higher_is_better", True)
    return OwnMetric(name, function, bool(higher[0] if higher else default))


def try_metrics(metrics: Sequence[OwnMetric], dataset: Dataset) -> None:
    """Raises a ComparisonError if a metric fails on the first test rows, with the user's line."""
    for metric in metrics:
        takes_where = "where" in own_code.parameters_of(metric.function)
        if dataset.mask_test is not None and not takes_where:
            raise ComparisonError(
                f"{metric.label} ({own_code.defined(metric.function)}) takes no `where`, but the "
                f"test part of {dataset.name} has unknown labels; let it take `where`, which is "
                "True where a label is known"
            )
        assert dataset.y_test is not None
        labels, where = dataset.y_test[:ROWS_TRIED], dataset.known_test[:ROWS_TRIED]
        scores = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
        _values(metric, scores > 0 if metric.of_sets else scores, labels, where, rows=None)


def judged(
    judgment: Judgment,
    metrics: Sequence[OwnMetric],
    outcome: Outcome,
    dataset: Dataset,
    weights: Floats,
) -> Judgment:
    """Returns the metrics of a loss with further ones.

    Args:
        judgment: the metrics without them.
        metrics: the further metrics.
        outcome: the outcome of the loss.
        dataset: the data set, whose test part has the true labels.
        weights: the weights of the resamples, from `resampling.draw`.
    """
    assert dataset.y_test is not None
    labels, where = dataset.y_test, dataset.known_test
    every = np.arange(len(labels))
    drawn = [np.repeat(every, weights[:, r].astype(int)) for r in range(RESAMPLES)]
    rows = np.stack([every, *drawn])
    values, replicates = dict(judgment.values), dict(judgment.replicates)
    for metric in metrics:
        scores = outcome.test_scores
        found = np.full((len(scores), len(rows)), math.nan)
        if np.isfinite(scores).all():
            first = decide(outcome)["macro_f1_tuned"] if metric.of_sets else scores
            found = np.stack([_values(metric, each, labels, where, rows) for each in first])
        values[metric.label], replicates[metric.label] = found[:, 0], found[:, 1:].mean(0)
    unbounded = frozenset(metric.label for metric in metrics if not metric.bounded)
    return dataclasses.replace(judgment, values=values, replicates=replicates, unbounded=unbounded)


def _values(
    metric: OwnMetric,
    first: NDArray[Any],
    labels: NDArray[np.bool_],
    where: NDArray[np.bool_],
    rows: NDArray[np.intp] | None,
) -> NDArray[np.float64]:
    """Returns a metric on each set of rows (R,), compiled if it can be, or else in numpy."""
    rows = np.arange(len(labels))[None, :] if rows is None else rows
    try:
        found = values_on(metric, (first, labels, where), rows)
    except ComparisonError:
        raise
    except Exception as error:
        raise own_code.failed(metric.label, error) from None
    return np.asarray(found, np.float64)


def _check_number(metric: OwnMetric, value: Any) -> None:
    is_number = isinstance(value, Array | np.ndarray | np.generic | float | int)
    if not is_number or np.shape(value) != ():
        what = f"shape {np.shape(value)}" if is_number else f"a {type(value).__name__}"
        raise ComparisonError(
            f"{metric.label} ({own_code.defined(metric.function)}) returned {what}; it must return "
            "a number"
        )
