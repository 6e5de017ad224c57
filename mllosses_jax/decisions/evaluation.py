"""What tuned thresholds are worth on data they were not tuned on, and how far they vary."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.probabilities import Inputs, check_inputs, check_range
from mllosses_jax._core.sets import checks_labels, fbeta_denominator, scored
from mllosses_jax.decisions.threshold_file import Gain, ThresholdReport
from mllosses_jax.decisions.thresholds import tune_thresholds

Array = jax.Array
Tuner = Callable[..., Array]
Gains = tuple[Array, Array, Array, Array]  # tuned, baseline, low, high
Values = tuple[Array, Array, Array, Array]  # F per label, tuned and not; macro; micro

_REPLICATES = 200


@checks_labels
def threshold_report(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: Inputs,
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
        out F_β is that of these decisions of all rows, against [s ≥ 0.5] for probabilities or
        [s ≥ 0] for logits. Spread: over the folds; interval of the gain: over 200 bootstrap
        samples of the rows

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities": it sets the baseline.
        tune: a function of (scores, labels, where=mask) that returns thresholds (L,) or (), such
            as a tuner of this module with its options set; it is compiled and vmapped over the
            folds. None is `tune_thresholds` with this beta. A function given anew in each call is
            compiled anew.
        beta: β of the reported F-beta.
        folds: number of folds, 2 to N; rows are dealt out at random.
        seed: of the folds and the bootstrap, 0 or more.
        label_names: names of the L labels, all different; None numbers them.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A `ThresholdReport`. F-beta of a label that is neither predicted nor true is 0, and the
        macro average is over labels with an entry that counts. The bootstrap does not tune anew,
        which makes the interval a little narrow. A host function, whose arrays are numpy's: not
        for use under `jit`.

    Raises:
        TypeError: if scores are not floating point, where is not bool, or folds or seed is no
            integer.
        ValueError: if shapes differ, inputs is unknown, probabilities (if concrete) lie outside
            [0, 1], folds is not in 2 to N, seed is negative, or label_names do not name each label.

    Reference:
        The need is that of scikit-learn's `TunedThresholdClassifierCV`, which tunes one binary
        label. B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993.

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
    if inputs == "probabilities":
        check_range(
            'threshold_report: scores must lie in [0, 1] with inputs="probabilities"', scores, where
        )
    given = scored(scores, labels, where)
    count, size = given.scores.shape
    if folds > count:
        raise ValueError(f"folds must be between 2 and the number of samples, {count}, got {folds}")
    names = checks.label_names(label_names, size)
    baseline = 0.0 if inputs == "logits" else 0.5
    fold = np.random.default_rng(seed).permutation(count) % folds
    program = _evaluated(tune or _default_tuner(float(beta), baseline), folds, float(beta))
    per_label, macro, micro = jax.device_get(
        program(given.scores, given.actual, given.counted(), fold, baseline, jax.random.key(seed))
    )
    return ThresholdReport(
        label_names=names,
        **per_label,
        macro=Gain(*(float(value) for value in macro)),
        micro=Gain(*(float(value) for value in micro)),
        settings={
            "inputs": inputs,
            "baseline": baseline,
            "beta": float(beta),
            "folds": folds,
            "seed": seed,
        },
    )


@functools.lru_cache  # a function of its own for each setting, so that none is compiled twice
def _default_tuner(beta: float, default: float) -> Tuner:
    return functools.partial(tune_thresholds, objective="fbeta", beta=beta, default=default)


@functools.lru_cache(maxsize=16)
def _evaluated(tune: Tuner, folds: int, beta: float) -> Callable[..., Any]:
    """Returns the compiled evaluation of a tuner."""

    def evaluate(
        scores: Array, actual: Array, where: Array, fold: Array, baseline: Array, key: Array
    ) -> tuple[dict[str, Array], Gains, Gains]:
        def tuned(rows: Array) -> Array:
            found = tune(scores, actual, where=where & rows[:, None])
            return jnp.broadcast_to(found, scores.shape[1:])

        # The last of them leaves no row out.
        found = jax.vmap(tuned)(fold[None] != jnp.arange(folds + 1)[:, None])
        thresholds = found[:-1]
        held_out = where & (scores >= thresholds[fold])
        by_baseline = where & (scores >= baseline)
        kinds = (held_out & actual, held_out, by_baseline & actual, by_baseline, actual)
        counted = jnp.any(where, axis=0)

        def f_values(counts: list[Array]) -> Values:
            hits, predicted, base_hits, base_predicted, positives = counts
            f = _f(hits, predicted, positives, beta)
            base = _f(base_hits, base_predicted, positives, beta)
            macro = [jnp.mean(each, where=counted) for each in (f, base)]
            totals = [jnp.sum(count) for count in counts]
            micro = [
                _f(totals[0], totals[1], totals[4], beta),
                _f(totals[2], totals[3], totals[4], beta),
            ]
            return f, base, jnp.stack(macro), jnp.stack(micro)

        f, base, macro, micro = f_values([_count(kind) for kind in kinds])
        drawn = _bootstrap_counts(key, scores.shape[0])
        resampled = [
            jnp.matmul(drawn, kind.astype(drawn.dtype), precision=lax.Precision.HIGHEST)
            for kind in kinds
        ]
        _, _, macros, micros = jax.vmap(f_values)(resampled)
        low, high = jnp.min(thresholds, axis=0), jnp.max(thresholds, axis=0)
        finite = jnp.isfinite(low) & jnp.isfinite(high)
        std = jnp.where(finite, jnp.std(thresholds, axis=0), jnp.inf)
        per_label = {
            "thresholds": found[-1],
            "std": jnp.where(low == high, 0, std),
            "low": low,
            "high": high,
            "f": f,
            "baseline_f": base,
            "positives": jnp.sum(actual, axis=0, dtype=jnp.int32),
        }
        return per_label, _with_interval(macro, macros), _with_interval(micro, micros)

    return jax.jit(evaluate)


def _count(kind: Array) -> Array:
    # Exact up to 2³¹ − 1 before it is rounded to a float.
    return jnp.sum(kind, axis=0, dtype=jnp.int32).astype(jnp.result_type(float))


def _f(hits: Array, predicted: Array, positives: Array, beta: float) -> Array:
    denominator = fbeta_denominator(beta, positives, predicted, hits.dtype)
    return hits / jnp.where(denominator == 0, 1, denominator)


def _bootstrap_counts(key: Array, count: int) -> Array:
    """Returns how often each row is in each bootstrap sample, (replicates, N)."""
    rows = jax.random.randint(key, (_REPLICATES, count), 0, count)
    none = jnp.zeros(count, jnp.result_type(float))
    return jax.vmap(lambda drawn: none.at[drawn].add(1))(rows)


def _with_interval(pair: Array, resampled: Array) -> Gains:
    gains = resampled[:, 0] - resampled[:, 1]
    low, high = jnp.quantile(gains, jnp.array([0.025, 0.975], gains.dtype))
    return pair[0], pair[1], low, high
