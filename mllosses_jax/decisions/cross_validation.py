"""Cross-validation of thresholds: their gain on held-out data and their variation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import checked
from mllosses_jax._core.probabilities import ScoreKind, check_inputs
from mllosses_jax._core.sets import fbeta_denominator, scored
from mllosses_jax.decisions.threshold_file import Gain, ThresholdReport
from mllosses_jax.decisions.thresholds import tune_thresholds

Tuner = Callable[..., Array]

_REPLICATES = 200


class _Counts(NamedTuple):
    """Counts of decisions by tuned thresholds and by the baseline, (L,) or ()."""

    tp: Array
    predicted: Array
    baseline_tp: Array
    baseline_predicted: Array
    num_positives: Array


class _Values(NamedTuple):
    """F-beta with tuned thresholds and with the baseline."""

    f: Array  # (L,), tuned
    baseline_f: Array  # (L,)
    macro: Array  # (2,), tuned and baseline
    micro: Array  # (2,), tuned and baseline


class _Evaluation(NamedTuple):
    """The evaluation of a tuner."""

    per_label: dict[str, Any]  # the fields of a report, arrays (L,)
    macro: Gain  # its fields are arrays ()
    micro: Gain  # its fields are arrays ()


@checked(probabilities="scores")
def threshold_report(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    tune: Tuner | None = None,
    beta: float = 1.0,
    folds: int = 5,
    seed: int = 0,
    label_names: Sequence[str] | None = None,
    where: ArrayLike | None = None,
) -> ThresholdReport:
    """Tunes thresholds and reports their spread and what they gain on held-out data.

    Formula:
        thresholds = tune(all rows). For each fold, tune(the other rows) decides on its rows; held
        out F_β is that of these decisions on all rows, compared with [s ≥ 0.5] for probabilities
        or [s ≥ 0] for logits. The spread is that over the folds; the interval of the gain is that
        over 200 bootstrap samples of the rows

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities", which sets the baseline.
        tune: a function of (scores, labels, where=mask) that returns thresholds (L,) or (), such
            as a tuner of this module with its options set; it is compiled and vmapped over the
            folds. None is `tune_thresholds` with this beta. A function created anew for each call
            is compiled anew.
        beta: β of the reported F-beta.
        folds: number of folds, 2 to N; rows are assigned at random.
        seed: seed of the folds and the bootstrap, 0 or more.
        label_names: names of the L labels, all different; None numbers them.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A `ThresholdReport`. F-beta of a label that is neither predicted nor true is 0, and the
        macro average is over labels with an entry that counts. The bootstrap does not tune anew,
        which makes the interval a little too narrow. The function runs on the host and returns
        numpy arrays: it is not for use under `jit`.

    Raises:
        TypeError: if scores are not floating point, where is not bool, or folds or seed is not
            an integer.
        ValueError: if shapes differ, inputs is unknown, probabilities (if concrete) lie outside
            [0, 1], folds is not in 2 to N, seed is negative, or label_names do not name each label.

    Reference:
        scikit-learn's `TunedThresholdClassifierCV` serves the same need for a single binary label.
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993.

    Example:
        >>> import jax
        >>> from mllosses_jax import decisions
        >>> labels = jax.random.bernoulli(jax.random.key(0), 0.2, (400, 3))
        >>> logits = jax.random.normal(jax.random.key(1), (400, 3)) + 2.0 * labels - 2.0
        >>> report = decisions.threshold_report(logits, labels, inputs="logits")
        >>> report.macro.gain > 0, report.label_names
        (True, ('0', '1', '2'))
    """
    check_inputs(inputs)
    checks.integer("folds", folds, least=2)
    checks.integer("seed", seed, least=0)
    given = scored(scores, labels, where)
    count, size = given.scores.shape
    if folds > count:
        raise ValueError(f"folds must be between 2 and the number of samples, {count}, got {folds}")
    names = checks.label_names(label_names, size)
    baseline = 0.0 if inputs == "logits" else 0.5
    fold = np.random.default_rng(seed).permutation(count) % folds
    evaluate = _evaluation_of(tune or _default_tuner(float(beta), baseline), folds, float(beta))
    found: _Evaluation = jax.device_get(
        evaluate(given.scores, given.actual, given.counted(), fold, baseline, jax.random.key(seed))
    )
    return ThresholdReport(
        label_names=names,
        **found.per_label,
        macro=Gain(*map(float, found.macro)),
        micro=Gain(*map(float, found.micro)),
        settings={
            "inputs": inputs,
            "baseline": baseline,
            "beta": float(beta),
            "folds": folds,
            "seed": seed,
        },
    )


@functools.lru_cache  # the same setting gives the same function, which is compiled once
def _default_tuner(beta: float, default: float) -> Tuner:
    return functools.partial(tune_thresholds, objective="fbeta", beta=beta, default=default)


@functools.lru_cache(maxsize=16)
def _evaluation_of(tune: Tuner, folds: int, beta: float) -> Callable[..., Any]:
    """Returns the compiled evaluation of a tuner."""

    def evaluate(
        scores: Array, actual: Array, where: Array, fold: Array, baseline: Array, key: Array
    ) -> _Evaluation:
        def tuned(rows: Array) -> Array:
            found = tune(scores, actual, where=where & rows[:, None])
            return jnp.broadcast_to(found, scores.shape[1:])

        # The last one leaves no row out.
        found = jax.vmap(tuned)(fold[None] != jnp.arange(folds + 1)[:, None])
        thresholds = found[:-1]
        held_out = where & (scores >= thresholds[fold])
        by_baseline = where & (scores >= baseline)
        kinds = _Counts(held_out & actual, held_out, by_baseline & actual, by_baseline, actual)
        counted = jnp.any(where, axis=0)

        def values_of(counts: _Counts) -> _Values:
            by_label = _tuned_and_baseline_f(counts, beta)
            macro = [jnp.mean(f, where=counted) for f in by_label]
            micro = _tuned_and_baseline_f(_Counts(*map(jnp.sum, counts)), beta)
            return _Values(*by_label, jnp.stack(macro), jnp.stack(micro))

        values = values_of(_Counts(*map(_count, kinds)))
        drawn = _bootstrap_counts(key, scores.shape[0])
        resampled = _Counts(
            *(
                jnp.matmul(drawn, kind.astype(drawn.dtype), precision=lax.Precision.HIGHEST)
                for kind in kinds
            )
        )
        replicates = jax.vmap(values_of)(resampled)
        low, high = jnp.min(thresholds, axis=0), jnp.max(thresholds, axis=0)
        finite = jnp.isfinite(low) & jnp.isfinite(high)
        std = jnp.where(finite, jnp.std(thresholds, axis=0), jnp.inf)
        per_label = {
            "thresholds": found[-1],
            "std": jnp.where(low == high, 0, std),
            "low": low,
            "high": high,
            "f": values.f,
            "baseline_f": values.baseline_f,
            "num_positives": jnp.sum(actual, axis=0, dtype=jnp.int32),
        }
        return _Evaluation(
            per_label,
            _with_interval(values.macro, replicates.macro),
            _with_interval(values.micro, replicates.micro),
        )

    return jax.jit(evaluate)


def _count(kind: Array) -> Array:
    # The count is exact up to 2³¹ − 1 before it is rounded to a float.
    return jnp.sum(kind, axis=0, dtype=jnp.int32).astype(jnp.result_type(float))


def _tuned_and_baseline_f(counts: _Counts, beta: float) -> tuple[Array, Array]:
    def f(tp: Array, predicted: Array) -> Array:
        denominator = fbeta_denominator(beta, counts.num_positives, predicted, tp.dtype)
        return tp / jnp.where(denominator == 0, 1, denominator)

    tuned = f(counts.tp, counts.predicted)
    return tuned, f(counts.baseline_tp, counts.baseline_predicted)


def _bootstrap_counts(key: Array, count: int) -> Array:
    """Returns how often each bootstrap sample contains each row, (replicates, N)."""
    rows = jax.random.randint(key, (_REPLICATES, count), 0, count)
    none = jnp.zeros(count, jnp.result_type(float))
    return jax.vmap(lambda drawn: none.at[drawn].add(1))(rows)


def _with_interval(pair: Array, resampled: Array) -> Gain:
    gains = resampled[:, 0] - resampled[:, 1]
    low, high = jnp.quantile(gains, jnp.array([0.025, 0.975], gains.dtype))
    return Gain(pair[0], pair[1], low, high)  # type: ignore[arg-type]
