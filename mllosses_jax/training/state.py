"""What training changes, as one explicit pytree."""

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

    What a model or a loss does not have is None, and costs nothing.

    Attributes:
        step: number of updates made, int32 of shape ().
        params: the parameters of the model, any pytree.
        opt_state: the state of the optimiser.
        model_state: what the model updates itself, such as batch statistics, any pytree.
        loss_state: what the loss carries from step to step, any pytree.
        key: the random key of dropout and the like; each step folds its number into it.
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

        Everything is copied: a training step that donates its buffers frees the state's arrays
        and never the caller's.

        Args:
            params: the parameters of the model, any pytree of floating-point arrays.
            optimizer: an optax optimiser.
            model_state: the first batch statistics and the like, of a model that has them.
            loss_state: the first state of a loss that carries one.
            key: a random key, for a model that is to get one.
            ema: whether to average the parameters; the average starts as the parameters.
        """

        def own(tree: Any) -> Any:
            return jax.tree.map(jnp.array, tree)

        params = own(params)
        # Some optimisers keep the first parameters: a buffer cannot be donated twice.
        opt_state = own(optimizer.init(params))
        average = jax.tree.map(_wide_copy, params) if ema else None
        step = jnp.zeros((), jnp.int32)
        return cls(step, params, opt_state, own(model_state), own(loss_state), own(key), average)


def _wide_copy(leaf: Array) -> Array:
    # An average that moves by 1e-4 of the difference stands still in bfloat16.
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.array(leaf, jnp.promote_types(leaf.dtype, jnp.float32))
    return jnp.array(leaf)
