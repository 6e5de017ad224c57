"""L-BFGS that needs only slopes: it searches for the point where the slope vanishes.

Some losses have a slope that is not the gradient of their value: those with a focusing weight that
is held constant, with pseudo-labels, or that leave out large terms. A line search on the value
would stop early there, so this one uses only the slope along the direction.

If no column of the parameters affects the slope of another, the problem splits into independent
problems, one per column. Each then has its own curvature and step lengths, while all share the
products with the features: on slashdot, a fit takes 17 to 69 evaluations instead of 49 to 173.

J. Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", 1980.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MEMORY = 12  # number of pairs of a step and a change of the slope
FIRST_STEP = 0.1  # length of the first step of each block
ENOUGH, OVERSHOT = 0.9, 0.5  # how much of the slope may remain, and how much may be overshot
MAX_TRIALS = 12  # trials of a step length before the step is taken anyway; at a kink none is good
WINDOW = 50  # evaluations; the search ends if the lowest norm is about that of the last window
STALLED = (0.9, 1.1)  # The norm may rise, because a loss that is not convex can start on a plateau.


class Solution(NamedTuple):
    """The point where the search ended.

    Attributes:
        params: the parameters, (D, K).
        norm: the norm of the slope at this point.
        evaluations: how often the slope was computed.
    """

    params: Floats
    norm: float
    evaluations: int


class _State(NamedTuple):
    """A point, a search line from it, and pairs from earlier steps; blocks are columns."""

    params: Array
    slope: Array
    direction: Array
    along: Array  # the slope at the point along the direction, (K,)
    length: Array  # the step length that is tried, (K,)
    farthest: Array  # the longest step length that is allowed, (K,)
    short: Array  # the longest step length that is known to be too short, (K,)
    long: Array  # the shortest step length that is known to be too long, (K,)
    trials: Array  # (K,)
    steps: Array  # (MEMORY, D, K)
    changes: Array  # (MEMORY, D, K)
    inverses: Array  # 1 / (step . change), or 0 where there is no pair, (MEMORY, K)
    scale: Array  # the factor of the metric, from the newest step, (K,)
    newest: Array  # the place of the newest pair


class _Advanced(NamedTuple):
    """A state, the parameters to try next, and the norm of the slope at the state's point."""

    state: _State
    trial: Array
    norm: Array


def solve(
    slope: Callable[[Floats], Floats],
    start: Floats,
    *,
    curvature: Floats,
    spread: Floats,
    goal: float,
    independent: bool,
    max_evaluations: int = 600,
) -> Solution:
    """Searches for a point at which the norm of the slope is at most `goal`.

    Args:
        slope: the function `params (D, K) -> slope (D, K)`.
        start: the parameters to start from, (D, K).
        curvature: a positive guess at the diagonal of the Hessian up to a factor, (D, K). The bias
            of a rare label bends the loss a thousandth as much as that of a frequent label, and a
            rare word equally less; without the guess, a fit takes up to five times as many steps.
        spread: the weights, (D, K) or (D, 1), of the norm in which no step is longer than 1 in any
            column. A loss that is not convex is flat far from its minimum, where a long step may
            end.
        goal: the norm to reach.
        independent: whether no column affects the slope of another.
        max_evaluations: the largest number of evaluations of the slope.

    Returns:
        The point where the search ended, at the goal or where it made no more progress.
    """
    first = slope(start)
    # Columns that are well below their share of the goal wait for the others.
    rest = jnp.float32(0.3 * goal / np.sqrt(start.shape[1] if independent else 1))
    scale = np.float32(np.mean(curvature))
    metric, weights = jnp.asarray(scale / curvature), jnp.asarray(spread)
    state, trial = _begin(
        jnp.asarray(start), jnp.asarray(first), metric, weights, independent=independent
    )
    norm, evaluations = float(np.linalg.norm(first)), 1
    lowest, before = norm, np.inf  # in this window of evaluations and in the one before
    while norm > goal and np.isfinite(norm) and evaluations < max_evaluations:
        at_trial = slope(np.asarray(trial))
        advanced = _advance(state, trial, at_trial, metric, weights, rest, independent=independent)
        state, trial = advanced.state, advanced.trial
        norm, evaluations = float(advanced.norm), evaluations + 1
        lowest = min(lowest, norm)
        if evaluations % WINDOW == 0:
            if STALLED[0] * before < lowest < STALLED[1] * before:
                break
            lowest, before = norm, lowest
    return Solution(np.array(state.params), norm, evaluations)


def _dot(a: Array, b: Array, independent: bool) -> Array:
    """Returns the dot product of each block (K,), or of all columns as one block, K times."""
    by_column = jnp.sum(a * b, axis=0)
    return by_column if independent else jnp.full_like(by_column, jnp.sum(by_column))


@functools.partial(jax.jit, static_argnames="independent")
def _begin(
    params: Array, slope: Array, metric: Array, spread: Array, *, independent: bool
) -> tuple[_State, Array]:
    zero = jnp.zeros_like(params[0])
    direction = -metric * slope
    norm = jnp.sqrt(_dot(direction, direction, independent))
    direction = direction * (FIRST_STEP / jnp.maximum(norm, 1e-30))[None, :]
    farthest = _farthest(direction, spread, independent)
    direction = direction * jnp.minimum(farthest, 1)[None, :]
    history = jnp.zeros((MEMORY, *params.shape), params.dtype)
    state = _State(
        params=params,
        slope=slope,
        direction=direction,
        along=_dot(slope, direction, independent),
        length=zero + 1,
        farthest=jnp.maximum(farthest, 1),
        short=zero,
        long=zero + jnp.inf,
        trials=jnp.zeros(zero.shape, jnp.int32),
        steps=history,
        changes=history + 0,
        inverses=jnp.zeros((MEMORY, *zero.shape), params.dtype),
        scale=zero + 1,
        newest=jnp.int32(0),
    )
    return state, params + direction


@functools.partial(jax.jit, static_argnames="independent", donate_argnums=(0, 1))
def _advance(
    state: _State,
    trial: Array,
    slope: Array,
    metric: Array,
    spread: Array,
    rest: Array,
    *,
    independent: bool,
) -> _Advanced:
    """Takes the trial in the blocks where it is good, and proposes the next one."""
    dot = functools.partial(_dot, independent=independent)
    at_rest = jnp.sqrt(dot(state.slope, state.slope)) <= rest
    along = dot(slope, state.direction)
    good = (along >= ENOUGH * state.along) & (along <= -OVERSHOT * state.along)
    worn = (state.trials >= MAX_TRIALS) & jnp.isfinite(along)
    at_reach = (along < 0) & (state.length >= state.farthest)
    taken = good | worn | at_rest | at_reach
    too_short = ~taken & (along < ENOUGH * state.along)
    too_long = ~taken & ~too_short  # or not finite

    step = jnp.where(taken[None, :], trial - state.params, 0)
    change = jnp.where(taken[None, :], slope - state.slope, 0)
    curvature, size = dot(step, change), dot(change, metric * change)
    bends = taken & (curvature > 1e-9 * size)
    newest = (state.newest + 1) % MEMORY
    state = state._replace(
        params=state.params + step,
        slope=jnp.where(taken[None, :], slope, state.slope),
        steps=state.steps.at[newest].set(step),
        changes=state.changes.at[newest].set(change),
        inverses=state.inverses.at[newest].set(
            jnp.where(bends, 1 / jnp.where(bends, curvature, 1), 0)
        ),
        scale=jnp.where(bends, curvature / jnp.where(bends, size, 1), state.scale),
        newest=newest,
    )
    norms = jnp.sqrt(dot(state.slope, state.slope))
    direction = _two_loops(state, metric, dot)
    steepest = -state.scale[None, :] * metric * state.slope
    falls = dot(state.slope, direction) < 0
    direction = jnp.where(falls[None, :], direction, steepest)
    direction = jnp.where((norms <= rest)[None, :], 0, direction)
    farthest = _farthest(direction, spread, independent)
    direction = direction * jnp.minimum(farthest, 1)[None, :]
    along = dot(state.slope, direction)

    short = jnp.where(taken, 0, jnp.where(too_short, state.length, state.short))
    long = jnp.where(taken, jnp.inf, jnp.where(too_long, state.length, state.long))
    longer = jnp.minimum(3 * state.length, state.farthest)
    length = jnp.where(jnp.isinf(long), longer, (short + long) / 2)
    state = state._replace(
        direction=jnp.where(taken[None, :], direction, state.direction),
        along=jnp.where(taken, along, state.along),
        length=jnp.where(taken, 1, length),
        farthest=jnp.where(taken, jnp.maximum(farthest, 1), state.farthest),
        short=short,
        long=long,
        trials=jnp.where(taken, 0, state.trials + 1),
    )
    trial = state.params + state.length[None, :] * state.direction
    norm = jnp.sqrt(jnp.sum(norms**2) / (1 if independent else norms.size))
    return _Advanced(state, trial, norm)


def _farthest(direction: Array, spread: Array, independent: bool) -> Array:
    """Returns the longest step length that is allowed along a direction, (K,)."""
    size = jnp.sqrt(jnp.sum(spread * direction**2, axis=0))
    farthest = 1 / jnp.maximum(size, 1e-30)
    return farthest if independent else jnp.full_like(farthest, jnp.min(farthest))


def _two_loops(state: _State, metric: Array, dot: Callable[[Array, Array], Array]) -> Array:
    """Returns minus the slope times the inverse Hessian that the pairs represent."""
    order = (state.newest - jnp.arange(MEMORY, dtype=jnp.int32)) % MEMORY

    def backwards(q: Array, pair: Array) -> tuple[Array, Array]:
        share = state.inverses[pair] * dot(state.steps[pair], q)
        return q - share[None, :] * state.changes[pair], share

    def forwards(q: Array, pair_and_share: tuple[Array, Array]) -> tuple[Array, None]:
        pair, share = pair_and_share
        rest = share - state.inverses[pair] * dot(state.changes[pair], q)
        return q + rest[None, :] * state.steps[pair], None

    q, shares = jax.lax.scan(backwards, -state.slope, order)
    q = state.scale[None, :] * metric * q
    q, _ = jax.lax.scan(forwards, q, (order, shares), reverse=True)
    return q
