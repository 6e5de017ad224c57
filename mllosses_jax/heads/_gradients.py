"""Losses of samples and their weighted sum, with derivatives that go through the labels once.

`weighted_sum` knows the factor of each sample before the logits, so it computes the gradient along
with the value. `recomputed_losses` has one value per sample; the factors of their gradients arrive
in the backward pass, which computes the logits again.

A program is traced once for derivatives in any of its arguments, and JAX takes it that what the
forward pass saves has the same tree each time. So which derivatives are wanted is said by the
shapes of the arrays that are saved: an empty one stands for what nobody wants.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax.heads._problem import Ids, Plan
from mllosses_jax.heads._sweep import Arrays, losses_and_gradients, sample_losses

value_of = functools.partial(jax.tree.map, lambda leaf: leaf.value)
_NO_GRADIENT = None  # of integers
_NOTHING = (0,)  # no array of a head has this shape


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def weighted_sum(plan: Plan, arrays: Arrays, factors: Array, ids: Ids) -> Array:
    """Returns Σ_b factors_b · (sum of the losses of sample b), ()."""
    return jnp.sum(factors * sample_losses(plan, arrays, ids))


def _weighted_sum_forward(plan: Plan, arrays: Any, factors: Any, ids: Any) -> tuple[Array, Any]:
    wanted = wanted_of(arrays)
    arrays, factors, ids = value_of((arrays, factors, ids))
    losses, gradients = losses_and_gradients(plan, arrays, ids, factors, wanted)
    return jnp.sum(factors * losses), (_all_there(gradients), losses)


def _weighted_sum_backward(plan: Plan, saved: Any, cotangent: Array) -> tuple[Any, ...]:
    gradients, losses = saved

    def scaled(gradient: Array) -> Array | None:
        product = cotangent * gradient.astype(cotangent.dtype)
        return product.astype(gradient.dtype) if _is_there(gradient) else None

    return jax.tree.map(scaled, gradients), cotangent * losses, _NO_GRADIENT


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def recomputed_losses(plan: Plan, arrays: Arrays, ids: Ids) -> Array:
    """Returns the sum of the losses of each sample, (B,)."""
    return sample_losses(plan, arrays, ids)


def _recomputed_forward(plan: Plan, arrays: Any, ids: Any) -> tuple[Array, Any]:
    wanted = wanted_of(arrays)
    arrays, ids = value_of((arrays, ids))
    return sample_losses(plan, arrays, ids), (arrays, ids, as_shapes(wanted))


def _recomputed_backward(plan: Plan, saved: Any, cotangent: Array) -> tuple[Any, ...]:
    arrays, ids, flags = saved
    wanted = from_shapes(flags)
    _, gradients = losses_and_gradients(plan, arrays, ids, cotangent, wanted)
    return gradients, _NO_GRADIENT


def wanted_of(arrays: Any) -> Any:
    """Returns which arrays a derivative is taken in."""
    return jax.tree.map(
        lambda leaf: leaf.perturbed and bool(jnp.issubdtype(leaf.value.dtype, jnp.floating)), arrays
    )


def as_shapes(wanted: Any) -> Any:
    """Returns which derivatives are wanted as shapes of arrays, to be saved."""
    return jax.tree.map(lambda want: jnp.zeros(1 if want else _NOTHING), wanted)


def from_shapes(flags: Any) -> Any:
    """Returns which derivatives are wanted from what `as_shapes` returned."""
    return jax.tree.map(_is_there, flags)


def _all_there(tree: Any) -> Any:
    """Returns arrays with empty ones for those that are None."""
    return jax.tree.map(
        lambda x: jnp.zeros(_NOTHING) if x is None else x, tree, is_leaf=lambda x: x is None
    )


def _is_there(array: Array) -> bool:
    return array.shape != _NOTHING


weighted_sum.defvjp(_weighted_sum_forward, _weighted_sum_backward, symbolic_zeros=True)
recomputed_losses.defvjp(_recomputed_forward, _recomputed_backward, symbolic_zeros=True)
