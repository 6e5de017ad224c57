"""Pure training and evaluation steps over an explicit state."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    import optax

Array = jax.Array
Batch = Mapping[str, Array]

_REQUIRED = ("inputs", "labels")
_PASSED_ON = ("weights", "where")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training changes: a pytree to pass in, get back, checkpoint and vmap.

    Attributes:
        step: number of updates made, int32 of shape ().
        params: the parameters of the model, any pytree.
        opt_state: the state of the optimiser.
    """

    step: Array
    params: Any
    opt_state: Any

    @classmethod
    def create(cls, params: Any, optimizer: "optax.GradientTransformation") -> "TrainState":
        """Returns the state before the first step.

        The parameters are copied: a training step that donates its buffers frees the state's
        arrays and never the caller's.

        Args:
            params: the parameters of the model, any pytree of floating-point arrays.
            optimizer: an optax optimiser.
        """
        params = jax.tree.map(jnp.array, params)
        # Some optimisers keep the first parameters: a buffer cannot be donated twice.
        opt_state = jax.tree.map(jnp.array, optimizer.init(params))
        return cls(jnp.zeros((), jnp.int32), params, opt_state)


def make_train_step(
    apply: Callable[[Any, Array], Array],
    loss: Callable[..., Array],
    optimizer: "optax.GradientTransformation",
    *,
    donate: bool = True,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Returns a compiled step: one gradient of the loss, one update of the parameters.

    The step computes ``loss(apply(params, inputs), labels, weights=..., where=...)`` and
    differentiates it with respect to the parameters. It is pure, so it may stand under ``vmap``,
    ``scan`` and ``jit``.

    Args:
        apply: ``(params, inputs) -> logits``; the ``apply`` of a Flax module is one.
        loss: a loss of this package, ``functools.partial`` of one, or any function that is called
            like one and returns a scalar.
        optimizer: an optax optimiser.
        donate: let the new state reuse the memory of the old one, which then no longer exists.

    Returns:
        ``step(state, batch) -> (state, {"loss": ...})``. A batch is a dict with ``inputs``,
        ``labels`` and, where the loss is to get them, ``weights`` and ``where``; rows that pad a
        last batch to the common size are masked by ``where``, so that no shape changes and
        nothing is compiled again.

    Raises:
        ValueError: a batch lacks ``inputs`` or ``labels`` or holds something else, or the loss is
            not a scalar.

    >>> import jax, jax.numpy as jnp, optax
    >>> from mllosses_jax.training import TrainState, make_train_step
    >>> optimizer = optax.sgd(0.5)
    >>> def apply(params, inputs):
    ...     return inputs @ params
    >>> def loss(logits, labels):
    ...     return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))
    >>> step = make_train_step(apply, loss, optimizer)
    >>> state = TrainState.create(jnp.zeros((2, 2)), optimizer)
    >>> batch = {"inputs": jnp.eye(2), "labels": jnp.eye(2)}
    >>> for _ in range(3):
    ...     state, metrics = step(state, batch)
    >>> int(state.step), round(float(metrics["loss"]), 3)
    (3, 0.634)
    """
    import optax

    update = optax.with_extra_args_support(optimizer).update

    def objective(params: Any, batch: Batch) -> Array:
        passed_on = {name: batch[name] for name in _PASSED_ON if name in batch}
        value = loss(apply(params, batch["inputs"]), batch["labels"], **passed_on)
        if jnp.shape(value) != ():
            raise ValueError(
                f"loss must return a scalar, got shape {jnp.shape(value)}; "
                f'a loss with a reduction needs another than "none"'
            )
        return value

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        _check(batch)
        value, gradient = jax.value_and_grad(objective)(state.params, batch)
        # Line searches and the like ask for the value, and for the objective to try steps on.
        updates, opt_state = update(
            gradient,
            state.opt_state,
            state.params,
            value=value,
            grad=gradient,
            value_fn=lambda params: objective(params, batch),
        )
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, opt_state), {"loss": value}

    return jax.jit(step, donate_argnums=(0,) if donate else ())


def make_eval_step(
    apply: Callable[[Any, Array], Array],
    metrics: Mapping[str, Callable[..., Any]],
) -> Callable[[Any, Batch], dict[str, Any]]:
    """Returns a compiled step that gives the logits of a batch and metrics of them.

    Metrics that are to be combined over batches should be additive: a loss with
    ``reduction="sum_and_count"`` gives the pair of which the sums are divided at the end, whereas
    a mean of the means of batches is wrong as soon as their counts differ.

    Args:
        apply: ``(params, inputs) -> logits``.
        metrics: functions called like a loss, ``(logits, labels, weights=..., where=...)``, by
            the name their result is to have.

    Returns:
        ``step(params, batch) -> {"logits": ..., name: ...}`` for batches as in `make_train_step`.

    Raises:
        ValueError: a metric is called "logits", or a batch lacks ``inputs`` or ``labels`` or
            holds something else.

    >>> import jax.numpy as jnp
    >>> from mllosses_jax.training import make_eval_step
    >>> def hits(logits, labels):
    ...     return jnp.sum((logits > 0) == (labels > 0))
    >>> step = make_eval_step(lambda params, inputs: inputs @ params, {"hits": hits})
    >>> result = step(jnp.eye(2), {"inputs": jnp.eye(2), "labels": jnp.eye(2)})
    >>> int(result["hits"]), result["logits"].shape
    (4, (2, 2))
    """
    if "logits" in metrics:
        raise ValueError('no metric may be called "logits": the logits themselves are')

    def step(params: Any, batch: Batch) -> dict[str, Any]:
        _check(batch)
        passed_on = {name: batch[name] for name in _PASSED_ON if name in batch}
        logits = apply(params, batch["inputs"])
        values = {n: metric(logits, batch["labels"], **passed_on) for n, metric in metrics.items()}
        return {"logits": logits, **values}

    return jax.jit(step)


def _check(batch: Batch) -> None:
    missing = [name for name in _REQUIRED if name not in batch]
    unknown = [name for name in batch if name not in _REQUIRED + _PASSED_ON]
    if missing or unknown:
        raise ValueError(
            "batch must hold inputs, labels and, where wanted, weights and where: "
            f"missing {missing}, unknown {unknown}"
        )
