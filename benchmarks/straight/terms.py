"""What several straight versions share."""

import jax
import jax.numpy as jnp
from jax import Array


def softplus(x: Array) -> Array:
    """Returns log(1 + exp(x)); `jax.nn.softplus` pays for infinite arguments."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def is_hard(y: Array) -> bool:
    """Returns whether labels are known to be 0 or 1."""
    return not jnp.issubdtype(y.dtype, jnp.floating)


def wrong_side(x: Array, y: Array) -> Array:
    """Returns the logit of being wrong, for hard labels."""
    return jnp.where(y, -x, x)


def known(y: Array, where: Array | None, axis: int = -1) -> Array:
    """Returns how many entries count along an axis."""
    return jnp.asarray(y.shape[axis]) if where is None else jnp.sum(where, axis)


def both(mask: Array, where: Array | None) -> Array:
    """Returns a mask without the entries that do not count."""
    return mask if where is None else mask & where


def ratio(numerator: Array, denominator: Array) -> Array:
    """Returns a quotient of sums, 0 where the denominator is 0."""
    return jnp.where(denominator > 0, numerator / jnp.maximum(denominator, 1), 0)


def logsumexp(x: Array, mask: Array | None, axis: int = -1) -> Array:
    """Returns log-sum-exp over a mask; the parameter `where` of that of JAX takes twice as long."""
    return jax.nn.logsumexp(x if mask is None else jnp.where(mask, x, -jnp.inf), axis)


def constant(x: Array) -> Array:
    """Returns its argument without a derivative."""
    return jax.lax.stop_gradient(x)
