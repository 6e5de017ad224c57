"""Logistic models of two or three parameters, fitted by Newton's method with shrinkage.

The problem is convex. It is solved by a projected Newton method whose damping is measured in the
largest curvature that a logistic loss can have, so that enough damping always descends. (In
float32 a quasi-Newton method stalls earlier: it lives on differences of gradients.)
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
_LARGEST = 100.0  # of a standardised feature: its square, summed over any data, is finite
_TYPICAL = 10.0  # scores up to here are taken as they are, as logits
_SAMPLE = 2**16  # entries that tell the size of all
_MOST_SHRINKAGE = 1e12  # stands for infinity: outweighs any data, and its products are finite
_STEPS = 100
_MOST_DAMPING, _LEAST_DAMPING = 1e3, 1e-6


class Model(NamedTuple):
    """The calibrated logit is a sum of features of the logit times parameters."""

    features: Callable[[Array], Array]  # (n,) to (k, n), of which the last is constant 1
    identity: tuple[float, ...]  # the parameters that change nothing
    lowest: tuple[float, ...]  # what each parameter of features of unit size must reach
    free: tuple[bool, ...]  # the others keep the identity's value


class _Units(NamedTuple):
    """Units in which scores of any size and origin are logits: (feature − middle) / size.

    They go by medians, because of scores far outside, such as −1e9 for a label that cannot be.
    """

    middle: Array  # (k,)
    size: Array  # (k,), that of scores, not below that of logits

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
    """What the cross-entropy is at some parameters."""

    losses: Array  # (n,)
    gradient: Array  # (k,), of the weighted sum
    hessian: Array  # (k, k)


class _State(NamedTuple):
    theta: Array  # (k,)
    fit: _Fit
    damping: Array
    step: Array
    done: Array


# GPUs and TPUs round the factors of a product otherwise.
@jax.default_matmul_precision("highest")  # type: ignore[untyped-decorator]
def fit_model(data: Entries, model: Model, shrinkage: ArrayLike, scope: Scope) -> Array:
    """Returns the parameters of each label, (L, k), or with scope "global" of all, (k,)."""
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
    near = jnp.clip(identity, -1, 1)  # where a sigmoid has curvature to go by
    start = jnp.where(jnp.asarray(model.free), near, identity)
    common = _minimise(row, features(row.x), model, identity, information(identity), start)
    common = jnp.where(rarer > 0, common, identity)
    if scope == "global":
        return jnp.where(broken, jnp.nan, units.outer(common))
    prior = information(common)
    own = jax.vmap(lambda label: _minimise(label, features(label.x), model, common, prior, common))(
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
    spread = jnp.max(median(jnp.abs(raw - middle[:, None])))  # of beta's, one may be 0
    size = jnp.where(scored, jnp.maximum(spread / _TYPICAL, 1), 1)
    return _Units(middle, size)


def _minimise(
    row: Entries, features: Array, model: Model, centre: Array, precision: Array, begin: Array
) -> Array:
    """Returns the parameters of one row that minimise its loss plus the prior's."""
    dtype = features.dtype
    lowest, free = jnp.asarray(model.lowest, dtype), jnp.asarray(model.free)
    tolerance = 8 * jnp.finfo(dtype).eps
    largest = jnp.sum(row.w[None] * features**2, axis=1) / 4 + jnp.diagonal(precision)
    unit = jnp.diag(jnp.where(largest > 0, largest, 1))
    identity = jnp.eye(len(model.free), dtype=dtype)

    def advance(state: _State) -> _State:
        theta, fit = state.theta, state.fit
        gradient = fit.gradient + precision @ (theta - centre)
        held = ~free | ((theta <= lowest) & (gradient > 0))
        curvature = fit.hessian + precision + state.damping * unit
        curvature = jnp.where(held[:, None] | held[None], identity, curvature)
        factor = jax.scipy.linalg.cho_factor(curvature)
        move = jax.scipy.linalg.cho_solve(factor, jnp.where(held, 0, gradient))
        new = jnp.maximum(theta - move, lowest)
        found = _evaluate(features, row, new)
        # A sum of differences, because the difference of the sums is lost in their rounding.
        change = row.w @ (found.losses - fit.losses)
        change = change + (new - theta) @ precision @ ((new + theta) / 2 - centre)
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

    # Without a gradient, the first step stays where it is, and sees how good that is.
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
