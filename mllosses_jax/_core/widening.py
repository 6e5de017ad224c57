"""The conversion of bfloat16 to float32, with a transpose that a platform can choose.

Logits in bfloat16 are widened, so their gradient is computed in float32 and rounded at the end. JAX
transposes its own conversion to a conversion, which XLA's CPU backend does slowly. So the two here
are primitives, each of which is the transpose of the other: JAX has no function for a transpose of
one's own that `vmap` supports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from mllosses_jax._core.platforms import rounded_to_bfloat16


def widened(x: Array, dtype: jnp.dtype) -> Array:
    """Returns x in a dtype that holds all its values."""
    if x.dtype == jnp.bfloat16 and dtype == jnp.float32:
        result: Array = _widen.bind(x)
        return result
    return x.astype(dtype)


def _elementwise(name: str, function: Callable[[Array], Array], dtype: Any) -> Primitive:
    """Returns a linear primitive that applies a function to each entry."""
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(function))
    primitive.def_abstract_eval(lambda x: x.update(dtype=jnp.dtype(dtype), weak_type=False))
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    batching.defvectorized(primitive)
    return primitive


_widen = _elementwise("widen_bfloat16", lambda x: x.astype(jnp.float32), jnp.float32)
_narrow = _elementwise("round_to_bfloat16", rounded_to_bfloat16, jnp.bfloat16)
ad.deflinear2(_widen, lambda cotangent, _: [_narrow.bind(cotangent)])
ad.deflinear2(_narrow, lambda cotangent, _: [_widen.bind(cotangent)])
