"""Sets of k labels that together maximise a macro-averaged measure, one sample at a time."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import two_axes
from mllosses_jax.decisions._budget import (
    Measure,
    best_k,
    check_measure,
    value_per_label,
)
from mllosses_jax.decisions._probabilities import probabilities_or_zero


class _Chosen(NamedTuple):
    """The chosen sets and their expected counts."""

    sets: Array  # bool (N, L)
    tp: Array  # (L,)
    predicted: Array  # (L,)


class _State(NamedTuple):
    """The state after some passes."""

    sets: Array  # bool (N, L)
    value: Array  # (), the expected measure
    passes: Array  # int32 ()
    gained: Array  # bool (), whether the last pass gained enough


@compiled(probabilities="probabilities", tolerance=(0, 1))
def block_coordinate_sets(
    probabilities: ArrayLike,
    k: int,
    *,
    measure: Measure = "macro_f1",
    max_passes: int = 20,
    tolerance: ArrayLike = 1e-6,
    where: ArrayLike | None = None,
) -> Array:
    """Sets of k labels each that maximise a macro measure of expected counts over all samples.

    Formula:
        max over ŷ with |ŷᵢ| = k of the mean over labels of ψ(Σᵢ ŷᵢpᵢ, Σᵢ ŷᵢ, Σᵢ pᵢ), ψ the measure
        of true positives, predictions and positives. Starting from the top-k sets, each sample in
        turn takes the k labels whose inclusion gains most while all other samples stay as they are

    Args:
        probabilities: float array (N, L), calibrated probabilities of the samples to decide on,
            whose sets depend on each other.
        k: size of every set, 1 to L.
        measure: "macro_f1", "macro_precision", "macro_recall", "macro_jaccard" or
            "macro_balanced_accuracy", which is 0 for a label where it is undefined.
        max_passes: the maximum number of passes over all samples.
        tolerance: the passes end when one gains no more than this.
        where: bool, (N, L) with axes equal or 1: labels that may be in the sets and that count.

    Returns:
        bool (N, L) with k true in each row, or fewer where fewer labels may be in the set. The sets
        are deterministic and never have a lower expected value than the top-k sets. Unless
        max_passes or the tolerance ended the search, they are a local optimum: changing the set of
        a single sample does not improve them. Invalid probabilities are in no set.

    Raises:
        TypeError: if probabilities are not floating point, or k or max_passes is not an integer.
        ValueError: if probabilities do not have two axes or (if concrete) lie outside [0, 1], k is
            not in 1 to L, or the measure is unknown.

    Reference:
        Block coordinate ascent with the 0-approximation of E. Schultheis, M. Wydmuch,
        W. Kotłowski, R. Babbar and K. Dembczyński, "Generalized Test Utilities for Long-tail
        Performance in Extreme Multi-label Classification", NeurIPS 2023, arXiv:2311.05081, which
        replaces the expected measure by the measure of expected counts.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> p = jnp.array([[0.9, 0.1], [0.6, 0.5]])  # top-1 would never predict label 1
        >>> decisions.block_coordinate_sets(p, 1)
        Array([[ True, False],
               [False,  True]], dtype=bool)
    """
    check_measure(measure)
    checks.integer("max_passes", max_passes, least=0)
    p, eligible = probabilities_or_zero(probabilities, where)
    two_axes("probabilities", p)
    checks.set_size(k, p.shape[-1])
    actual = jnp.sum(p, axis=0)
    entries = jnp.sum(eligible, axis=0, dtype=jnp.int32).astype(p.dtype)

    def values(tp: Array, predicted: Array) -> Array:
        return value_per_label(measure, tp, predicted, actual, entries)

    def counted(chosen: Array) -> _Chosen:
        predicted = jnp.sum(chosen, axis=0, dtype=jnp.int32).astype(p.dtype)
        return _Chosen(chosen, jnp.sum(jnp.where(chosen, p, 0), axis=0), predicted)

    def value_of(chosen: _Chosen) -> Array:
        return jnp.mean(values(chosen.tp, chosen.predicted))

    def choose(row: Array, state: _Chosen) -> _Chosen:
        chosen, tp, predicted = state
        probability, before = p[row], chosen[row].astype(p.dtype)
        tp, predicted = tp - before * probability, predicted - before
        gains = values(tp + probability, predicted + 1) - values(tp, predicted)
        best = best_k(gains, eligible[row], k)
        now = best.astype(p.dtype)
        return _Chosen(chosen.at[row].set(best), tp + now * probability, predicted + now)

    def one_pass(state: _State) -> _State:
        # Each pass counts anew, so that rounding errors do not accumulate.
        new = counted(lax.fori_loop(0, p.shape[0], choose, counted(state.sets)).sets)
        better = value_of(new) > state.value
        value = jnp.where(better, value_of(new), state.value)
        chosen = jnp.where(better, new.sets, state.sets)
        return _State(chosen, value, state.passes + 1, value - state.value > tolerance)

    def going_on(state: _State) -> Array:
        return state.gained & (state.passes < max_passes)

    start = best_k(p, eligible, k)
    state = _State(start, value_of(counted(start)), jnp.int32(0), jnp.bool_(True))
    return lax.while_loop(going_on, one_pass, state).sets
