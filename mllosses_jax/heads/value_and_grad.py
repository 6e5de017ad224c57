"""The loss of a linear head and its gradients in one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import REDUCTIONS_TO_A_NUMBER
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.loss import linear_head_loss

__all__ = ["HeadGradients", "linear_head_value_and_grad"]


class HeadGradients(NamedTuple):
    """The gradients of the loss of a linear head.

    Attributes:
        features: (B, D), for the encoder.
        kernel: of the shape of the kernel.
        bias: (L,), or None without a bias.
    """

    features: Array
    kernel: Array
    bias: Array | None


def linear_head_value_and_grad(
    features: ArrayLike,
    kernel: ArrayLike,
    positives: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    **options: Any,
) -> tuple[Array, HeadGradients]:
    """Returns the loss of a linear head and its gradients in features, kernel and bias.

    Args:
        features: float array (B, D), the output of the encoder.
        kernel: float array (L, D), or (D, L) with `label_axis=1`.
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        bias: float array (L,), or None.
        **options: the other arguments of `linear_head_loss`, with a reduction to one number.

    Returns:
        The loss in nats, (), and its gradients, from one pass over the labels.

    Raises:
        TypeError: as `linear_head_loss`.
        ValueError: as `linear_head_loss`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> loss, gradients = heads.linear_head_value_and_grad(
        ...     jnp.ones((1, 2)), jnp.zeros((3, 2)), jnp.array([[1]]))
        >>> gradients.kernel.shape, gradients.bias
        ((3, 2), None)
    """
    checks.one_of("reduction", options.get("reduction", "mean"), REDUCTIONS_TO_A_NUMBER)
    if isinstance(kernel, Float8Kernel):
        raise TypeError(
            "kernel must be an array that has derivatives, got a Float8Kernel, which "
            "linear_head_sgd_step trains"
        )
    given = [checks.float_array("features", features), checks.float_array("kernel", kernel)]
    if bias is not None:
        given.append(checks.float_array("bias", bias))

    def loss(features: Array, kernel: Array, bias: Array | None = None) -> Array:
        value = linear_head_loss(features, kernel, positives, bias=bias, **options)
        assert isinstance(value, Array)
        return value

    value, gradients = jax.value_and_grad(loss, tuple(range(len(given))))(*given)
    return value, HeadGradients(*gradients, *([None] * (3 - len(given))))
