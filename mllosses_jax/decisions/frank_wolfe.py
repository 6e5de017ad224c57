"""A randomised rule of k labels per sample that maximises a macro-averaged measure."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.sets import scored, two_axes
from mllosses_jax._core.values import check_probabilities
from mllosses_jax.decisions._budget import (
    Measure,
    best_k,
    check_measure,
    value_per_label,
)
from mllosses_jax.decisions._probabilities import probabilities_or_zero

_STEPS = 101  # points of the line search


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("slopes", "offsets", "shares"),
    meta_fields=("k",),
)
@dataclasses.dataclass(frozen=True)
class RandomizedTopK:
    """A random mixture of rules that each take the k labels with the highest slope·p + offset.

    Attributes:
        slopes: (R, L), the factor on the probability of each label in each of the R rules.
        offsets: (R, L), the term that each rule adds for each label.
        shares: (R,), the probabilities with which a sample follows each rule; their sum is 1.
        k: size of every set.
    """

    slopes: Array
    offsets: Array
    shares: Array
    k: int

    def sets(
        self, probabilities: ArrayLike, key: ArrayLike, *, where: ArrayLike | None = None
    ) -> Array:
        """Returns the sets of the samples, bool (N, L), each by a rule drawn for its sample.

        Args:
            probabilities: float array (N, L).
            key: a key of `jax.random`: the same key gives the same sets.
            where: bool, (N, L) with axes equal or 1: labels that may be in the sets.

        Raises:
            ValueError: if probabilities are not (N, L), or (if concrete) lie outside [0, 1].
        """
        check_probabilities("sets: probabilities must lie in [0, 1]", probabilities, where)
        p, eligible = probabilities_or_zero(probabilities, where)
        two_axes("probabilities", p)
        if p.shape[-1] != self.slopes.shape[-1]:
            raise ValueError(
                f"probabilities must have the {self.slopes.shape[-1]} labels of the rule, "
                f"got {p.shape}"
            )
        rule = jax.random.choice(key, self.shares.shape[0], p.shape[:1], p=self.shares)
        return best_k(self.slopes[rule] * p + self.offsets[rule], eligible, self.k)


class _Counts(NamedTuple):
    """Mean counts of each label, (L,)."""

    tp: Array
    predicted: Array


class _State(NamedTuple):
    """The rules so far, as in `RandomizedTopK`, and the counts that they give together."""

    slopes: Array  # (R, L)
    offsets: Array  # (R, L)
    shares: Array  # (R,)
    counts: _Counts
    num_rules: Array  # int32
    improved: Array  # bool, whether the last rule improved the value


@compiled(probabilities="probabilities")
def fit_frank_wolfe(
    probabilities: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    measure: Measure = "macro_f1",
    iterations: int = 50,
    where: ArrayLike | None = None,
) -> RandomizedTopK:
    """The randomised top-k rule that maximises a macro measure on validation data.

    Formula:
        With c = (true positives, predictions) the mean counts per label and ψ(c) the mean of the
        measure over labels, rule r takes the k labels of the highest
        ∂ψ/∂TP·p + ∂ψ/∂predictions, the best for ψ made linear at c; then
        c ← (1 − α)·c + α·c(r), α ∈ [0, 1] by a line search

    Args:
        probabilities: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: size of every set, 1 to L.
        measure: "macro_f1", "macro_precision", "macro_recall", "macro_jaccard" or
            "macro_balanced_accuracy", which is 0 for a label where it is undefined.
        iterations: the maximum number of rules added to the first one, which is plain top-k.
        where: bool, (N, L) with axes equal or 1: which entries count, and which labels may be in
            the sets.

    Returns:
        A `RandomizedTopK` of `iterations` + 1 rules; those never reached have share 0. Its expected
        counts on the data are never worth less than those of top-k. The fit is deterministic.

    Raises:
        TypeError: if probabilities are not floating point, or k or iterations is not an integer.
        ValueError: if shapes differ, probabilities lie outside [0, 1] (if concrete), k is not in
            1 to L, or the measure is unknown.

    Reference:
        E. Schultheis, W. Kotłowski, M. Wydmuch, R. Babbar, S. Borman and K. Dembczyński,
        "Consistent Algorithms for Multi-label Classification with Macro-at-k Metrics", ICLR 2024,
        arXiv:2401.16594. The measures are not concave, so the limit is only a stationary point.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> p = jnp.array([[0.9, 0.1], [0.6, 0.5]])
        >>> rule = decisions.fit_frank_wolfe(p, jnp.array([[1, 0], [0, 1]]), 1)
        >>> rule.sets(p, jax.random.key(0))
        Array([[ True, False],
               [False,  True]], dtype=bool)
    """
    check_measure(measure)
    checks.integer("iterations", iterations, least=0)
    inputs = scored(probabilities, labels, where, name="probabilities")
    p, eligible = probabilities_or_zero(inputs.scores, inputs.where)
    checks.set_size(k, p.shape[-1])
    dtype = compute_dtype(p)
    positive = inputs.actual.astype(dtype)
    actual = jnp.sum(positive, axis=0)
    entries = inputs.transposed().num_entries().astype(dtype)
    alphas = jnp.linspace(0, 1, _STEPS, dtype=dtype)

    def value(counts: _Counts) -> Array:
        return jnp.mean(value_per_label(measure, *counts, actual, entries))

    def counts_of(slope: Array, offset: Array) -> _Counts:
        chosen = best_k(slope[None] * p + offset[None], eligible, k).astype(dtype)
        return _Counts(jnp.sum(chosen * positive, axis=0), jnp.sum(chosen, axis=0))

    def towards(counts: _Counts, new: _Counts, alpha: Array) -> _Counts:
        # A difference is added to the old counts, so that alpha 0 keeps them to the bit.
        return _Counts(*(x + alpha * (y - x) for x, y in zip(counts, new, strict=True)))

    def add_rule(state: _State) -> _State:
        counts, number = state.counts, state.num_rules
        slope, offset = jax.grad(value)(counts)
        new = counts_of(slope, offset)
        values = jax.vmap(lambda alpha: value(towards(counts, new, alpha)))(alphas)
        alpha = alphas[jnp.argmax(values)]
        return _State(
            state.slopes.at[number].set(slope),
            state.offsets.at[number].set(offset),
            (state.shares * (1 - alpha)).at[number].set(alpha),
            towards(counts, new, alpha),
            number + 1,
            alpha > 0,
        )

    def going_on(state: _State) -> Array:
        return state.improved & (state.num_rules <= iterations)

    size = (iterations + 1, p.shape[-1])
    slopes = jnp.zeros(size, dtype).at[0].set(1)
    offsets, shares = jnp.zeros(size, dtype), jnp.zeros(size[0], dtype).at[0].set(1)
    start = counts_of(slopes[0], offsets[0])
    state = _State(slopes, offsets, shares, start, jnp.int32(1), jnp.bool_(True))
    state = lax.while_loop(going_on, add_rule, state)
    return RandomizedTopK(state.slopes, state.offsets, state.shares, k)
