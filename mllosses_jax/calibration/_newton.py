"""Logistic models of two or three parameters, fitted by Newton's method with shrinkage.

The problem is convex. It is solved by a projected Newton method whose damping is measured in units
of the largest curvature that a logistic loss can have, so that enough damping always descends. (In
float32 a quasi-Newton method stalls earlier, because it relies on differences of gradients.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.numerics import finite_product, log_sigmoid_pair, sigmoid_pair
from mllosses_jax.calibration._entries import Entries

Scope = Literal["label", "global"]

LOWEST_SLOPE = 0.01
_LARGEST = 100.0  # the limit of a standardised feature, whose squares have a finite sum
_TYPICAL = 10.0  # scores up to this size are taken for logits as they are
_SAMPLE = 2**16  # entries from which the size of all scores is estimated
_MOST_SHRINKAGE = 1e12  # stands for infinity: it outweighs any data, and its products are finite
_STEPS = 100
_MOST_DAMPING, _LEAST_DAMPING = 1e3, 1e-6


class Model(NamedTuple):
    """A model whose calibrated logit is a sum of features of the logit times parameters."""

    features: Callable[[Array], Array]  # (n,) to (k, n); the last feature is constant 1
    identity: tuple[float, ...]  # the parameters that change nothing
    lowest: tuple[float, ...]  # the least value of each parameter, for features of unit size
    free: tuple[bool, ...]  # whether each is fitted; the others keep the identity's value


class _Units(NamedTuple):
    """Units in which scores of any size and origin are logits: (feature − middle) / size.

    They are medians, because some scores are extreme, such as −1e9 for an impossible label.
    """

    middle: Array  # (k,)
    size: Array  # (k,), the size of the scores, but at least that of logits

    def features(self, raw: Array) -> Array:
        """Returns standardised features, (k, n)."""
        units = (raw - self.middle[:, None]) / self.size[:, None]
        return jnp.clip(units, -_LARGEST, _LARGEST)

    def inner(self, theta: Array) -> Array:
        """Returns the parameters of standardised features that give the same logits, (k,)."""
        return (theta * self.size).at[-1].add(theta @ self.middle)

    def outer(self, theta: Array) -> Array:
        """Returns the parameters of the features themselves, (k,)."""
        raw = theta / self.size
        return raw.at[-1].add(-raw @ self.middle)


class _Fit(NamedTuple):
    """The cross-entropy at some parameters, and derivatives of its weighted sum."""

    losses: Array  # (n,)
    gradient: Array  # (k,)
    hessian: Array  # (k, k)


class _State(NamedTuple):
    theta: Array  # (k,)
    fit: _Fit
    damping: Array
    step: Array
    done: Array


# GPUs and TPUs would otherwise round the factors of a product.
@jax.default_matmul_precision("highest")  # type: ignore[untyped-decorator]
def fit_model(data: Entries, model: Model, shrinkage: ArrayLike, scope: Scope) -> Array:
    """Returns the parameters of each label, (L, k), or, with scope "global", of all, (k,)."""
    checks.one_of("scope", scope, ("label", "global"))
    dtype = data.x.dtype
    s = jnp.minimum(checks.scalar("shrinkage", shrinkage, dtype), _MOST_SHRINKAGE)
    broken = data.has_nan()
    largest = jnp.finfo(dtype).max / 2
    x = jnp.clip(jnp.where(jnp.isnan(data.x), 0, data.x), -largest, largest)
    rows = data._replace(x=x, y=jnp.where(jnp.isnan(data.y), 0, data.y))
    together = rows.pooled()
    row = Entries(*(values[0] for values in together))
    rarer = together.rarer()[0]
    units = _units_of(row, model)

    def features(x: Array) -> Array:
        return units.features(model.features(x))

    def information(theta: Array) -> Array:
        hessian = _evaluate(features(row.x), row, theta).hessian
        return s / jnp.where(rarer > 0, rarer, 1) * hessian

    identity = units.inner(jnp.asarray(model.identity, dtype))
    near = jnp.clip(identity, -1, 1)  # a sigmoid has enough curvature there
    start = jnp.where(jnp.asarray(model.free), near, identity)
    common = _minimize(row, features(row.x), model, identity, information(identity), start)
    common = jnp.where(rarer > 0, common, identity)
    if scope == "global":
        return jnp.where(broken, jnp.nan, units.outer(common))
    prior = information(common)
    own = jax.vmap(lambda label: _minimize(label, features(label.x), model, common, prior, common))(
        rows
    )
    own = jnp.where(rows.rarer()[:, None] > 0, own, common[None])
    return jnp.where(broken, jnp.nan, jax.vmap(units.outer)(own))


def _units_of(row: Entries, model: Model) -> _Units:
    every = max(1, row.x.size // _SAMPLE)
    raw, counted = model.features(row.x[::every]), row.w[::every] > 0

    def median(values: Array) -> Array:
        ordered = jnp.sort(jnp.where(counted, values, jnp.inf), axis=1)
        middle = ordered[:, jnp.maximum(jnp.sum(counted) - 1, 0) // 2]
        return jnp.where(jnp.isfinite(middle), middle, 0)

    scored = jnp.arange(len(raw)) < len(raw) - 1
    found = median(raw)
    elsewhere = scored & model.free[-1] & (jnp.abs(found) > _TYPICAL)
    middle = jnp.where(elsewhere, found, 0)
    spread = jnp.max(median(jnp.abs(raw - middle[:, None])))  # one of beta's two may be 0
    size = jnp.where(scored, jnp.maximum(spread / _TYPICAL, 1), 1)
    return _Units(middle, size)


def _minimize(
    row: Entries, features: Array, model: Model, center: Array, precision: Array, begin: Array
) -> Array:
    """Returns the parameters, (k,), that minimise the loss of one row plus that of the prior."""
    dtype = features.dtype
    lowest, free = jnp.asarray(model.lowest, dtype), jnp.asarray(model.free)
    tolerance = 8 * jnp.finfo(dtype).eps
    largest = jnp.sum(row.w[None] * features**2, axis=1) / 4 + jnp.diagonal(precision)
    unit = jnp.diag(jnp.where(largest > 0, largest, 1))
    identity = jnp.eye(len(model.free), dtype=dtype)

    def advance(state: _State) -> _State:
        theta, fit = state.theta, state.fit
        gradient = fit.gradient + precision @ (theta - center)
        held = ~free | ((theta <= lowest) & (gradient > 0))
        curvature = fit.hessian + precision + state.damping * unit
        curvature = jnp.where(held[:, None] | held[None], identity, curvature)
        factor = jax.scipy.linalg.cho_factor(curvature)
        move = jax.scipy.linalg.cho_solve(factor, jnp.where(held, 0, gradient))
        new = jnp.maximum(theta - move, lowest)
        found = _evaluate(features, row, new)
        # The differences are summed, because rounding would swamp the difference of the sums.
        change = row.w @ (found.losses - fit.losses)
        change = change + (new - theta) @ precision @ ((new + theta) / 2 - center)
        first = state.step == 0
        better = first | (change < 0)
        small = jnp.all(jnp.abs(new - theta) <= tolerance * (1 + jnp.abs(theta)))
        return _State(
            theta=jnp.where(better, new, theta),
            fit=jax.tree.map(lambda a, b: jnp.where(better, a, b), found, fit),
            damping=jnp.maximum(state.damping * jnp.where(better, 0.1, 10), _LEAST_DAMPING),
            step=state.step + 1,
            done=~first & (small | (~better & (state.damping > _MOST_DAMPING))),
        )

    # With zero derivatives the first step stays in place and evaluates the starting point.
    unknown = jax.tree.map(jnp.zeros_like, _Fit(row.x, begin, precision))
    start = _State(
        begin,
        unknown,
        damping=jnp.asarray(_LEAST_DAMPING, dtype),
        step=jnp.int32(0),
        done=jnp.bool_(False),
    )
    end = lax.while_loop(lambda state: ~state.done & (state.step < _STEPS), advance, start)
    return end.theta


def _evaluate(features: Array, row: Entries, theta: Array) -> _Fit:
    z, y = theta @ features, row.y
    p, q = sigmoid_pair(z)
    log_p, log_q = log_sigmoid_pair(z)
    return _Fit(
        losses=finite_product(y, -log_p) + finite_product(1 - y, -log_q),
        gradient=features @ (row.w * ((1 - y) * p - y * q)),
        hessian=(features * (row.w * p * q)[None]) @ features.T,
    )
