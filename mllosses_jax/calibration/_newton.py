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
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.numerics import finite_product, log_sigmoid_pair, sigmoid_pair
from mllosses_jax.calibration._entries import Entries

Array = jax.Array
Scope = Literal["label", "global"]

LOWEST_SLOPE = 0.01
_LARGEST_LOGIT = 100.0  # its square, summed over any data, is finite in float32
_MOST_SHRINKAGE = 1e12  # stands for infinity: outweighs any data, and its products are finite
_STEPS = 100
_MOST_DAMPING, _LEAST_DAMPING = 1e3, 1e-6


class Model(NamedTuple):
    """The calibrated logit is a sum of features of the logit times parameters."""

    features: Callable[[Array], Array]  # (n,) to (k, n)
    identity: tuple[float, ...]  # the parameters that change nothing
    lowest: tuple[float, ...]  # what each parameter must reach
    free: tuple[bool, ...]  # the others keep the identity's value


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
    x = jnp.clip(jnp.where(jnp.isnan(data.x), 0, data.x), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    rows = data._replace(x=x, y=jnp.where(jnp.isnan(data.y), 0, data.y))
    together = rows.pooled()
    row = Entries(*(values[0] for values in together))
    rarer = together.rarer()[0]

    def information(theta: Array) -> Array:
        hessian = _evaluate(model.features(row.x), row, theta).hessian
        return s / jnp.where(rarer > 0, rarer, 1) * hessian

    identity = jnp.asarray(model.identity, dtype)
    common = _minimise(row, model, identity, information(identity))
    common = jnp.where(rarer > 0, common, identity)
    if scope == "global":
        return jnp.where(broken, jnp.nan, common)
    prior = information(common)
    own = jax.vmap(lambda label: _minimise(label, model, common, prior))(rows)
    own = jnp.where(rows.rarer()[:, None] > 0, own, common[None])
    return jnp.where(broken, jnp.nan, own)


def _minimise(row: Entries, model: Model, centre: Array, precision: Array) -> Array:
    """Returns the parameters of one row that minimise its loss plus the prior's."""
    features = model.features(row.x)
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

    # Without a gradient, the first step stays where it is, and sees how good the centre is.
    unknown = jax.tree.map(jnp.zeros_like, _Fit(row.x, centre, precision))
    start = _State(
        centre,
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
