"""The state that training changes, as one explicit pytree."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    import optax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training changes: a pytree to pass in, get back, checkpoint and vmap.

    Fields that the model or the loss does not use are None and cost nothing.

    Attributes:
        step: the number of updates made, int32 of shape ().
        params: the parameters of the model, any pytree.
        opt_state: the state of the optimiser.
        model_state: the state that the model updates itself, such as batch statistics, any pytree.
        loss_state: the state that the loss carries from step to step, any pytree.
        key: the random key for dropout and the like; each step folds its number into it.
        ema_params: the moving average of the parameters, in float32 or wider.
    """

    step: Array
    params: Any
    opt_state: Any
    model_state: Any = None
    loss_state: Any = None
    key: Array | None = None
    ema_params: Any = None

    @classmethod
    def create(
        cls,
        params: Any,
        optimizer: optax.GradientTransformation,
        *,
        model_state: Any = None,
        loss_state: Any = None,
        key: Array | None = None,
        ema: bool = False,
    ) -> TrainState:
        """Returns the state before the first step.

        Everything is copied, so that a training step that donates its buffers frees the arrays of
        the state and never those of the caller.

        Args:
            params: the parameters of the model, any pytree of floating-point arrays.
            optimizer: an optax optimiser.
            model_state: the initial batch statistics and the like, for a model that has them.
            loss_state: the initial state, for a loss that carries one.
            key: a random key, for a model that takes one.
            ema: whether to average the parameters; the average starts as the parameters.
        """

        def own(tree: Any) -> Any:
            return jax.tree.map(jnp.array, tree)

        params = own(params)
        # Some optimisers keep the initial parameters, and a buffer cannot be donated twice.
        opt_state = own(optimizer.init(params))
        average = jax.tree.map(_wide_copy, params) if ema else None
        step = jnp.zeros((), jnp.int32)
        return cls(step, params, opt_state, own(model_state), own(loss_state), own(key), average)


def _wide_copy(leaf: Array) -> Array:
    # In bfloat16, an average that moves by 1e-4 of the difference would not change.
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.array(leaf, jnp.promote_types(leaf.dtype, jnp.float32))
    return jnp.array(leaf)
