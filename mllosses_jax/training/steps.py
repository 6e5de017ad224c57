"""Pure training and evaluation steps over an explicit state."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from mllosses_jax._core import checks
from mllosses_jax.training._objective import Batch, Carried, Objective
from mllosses_jax.training.averages import average_parameters
from mllosses_jax.training.state import TrainState

if TYPE_CHECKING:
    import optax


def make_train_step(
    apply: Callable[..., Any],
    loss: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    *,
    micro_batches: int = 1,
    loss_schedules: Mapping[str, Callable[[Array], ArrayLike]] | None = None,
    compute_dtype: DTypeLike | None = None,
    ema_decay: ArrayLike | None = None,
    donate: bool = True,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Returns a compiled step that takes one gradient of the loss and updates the parameters once.

    The step computes `loss(apply(params, inputs), labels, ...)` and differentiates it with
    respect to the parameters. It is pure, so it can be used under `vmap`, `scan`, `jit` and
    `shard_map`. The optimiser is responsible for clipping gradients and for the schedule of the
    learning rate: `optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))`.

    A batch is a dict. It holds `inputs` (any pytree), `labels` and the arguments of the loss that
    change from batch to batch, by name: `where`, `weights`, and any that are specific to the loss.
    Rows that pad a last batch to the common size are masked by `where`, so that no shape changes
    and nothing is compiled again.

    The state determines what the model and the loss are given. If it has a `model_state`, the model
    is called with `model_state=` and returns `(logits, model_state)`. If it has a `key`, the model
    is called with `key=`, which differs in each step. If it has a `loss_state`, the loss is called
    with `state=` and returns `(loss, state)`.

    On several devices, the step is right as it is if the arrays of the batch are sharded by a
    `NamedSharding`. Inside `shard_map`, the loss takes the `axis_name`. This needs
    `check_vma=True`, the default, which adds up the gradients of the devices. All devices get the
    same key there: fold `jax.lax.axis_index` into it to give each its own dropout.

    A Flax NNX model becomes a function by `nnx.split(model, nnx.Param, ...)` and, in `apply`,
    `nnx.merge(graphdef, params, model_state, copy=True)`.

    Args:
        apply: the model, `(params, inputs) -> logits`, such as the `apply` of a Flax module.
        loss: a loss of this package, `functools.partial` of one, or any function that is called
            like one. It returns a scalar, or the pair (sum, count) of
            `reduction="sum_and_count"`, which is divided once; a pair never means (loss, aux).
            The count must not depend on the parameters: no gradient flows through it.
        optimizer: an optax optimiser. It is given `value`, `grad` and `value_fn`; optimisers that
            refuse them, such as `optax.contrib.sam`, need their own step.
        micro_batches: the number of parts into which the rows of a batch are split, to compute them
            one after the other in less memory. The loss must return (sum, count): sums and counts
            are added up and divided once, which gives the gradient of the whole batch, with masks
            and any normalisation. (The mean of the means of parts does not.) This is for element
            and sample losses; a loss over a batch, like batch norm, sees only its part. Entries
            without a row per sample, such as a `where` of shape (1, L), go to every part. On
            several devices, the rows of a part should be a multiple of the number of devices.
        loss_schedules: functions of the step that return parameters of the loss, by name, such as
            optax schedules. Their values are traced, so that nothing is compiled again.
        compute_dtype: the dtype to which parameters and inputs are cast for the model, such as
            `jnp.bfloat16`. The parameters of the state, the loss and the optimiser keep their own.
            It cannot be float16, whose gradients need a scaled loss.
        ema_decay: the decay of the moving average of the parameters, for a state that was created
            with `ema=True`; see `average_parameters`. Batch statistics are averages already, so use
            those of the state with it.
        donate: whether the new state reuses the memory of the old one, which then no longer exists.
            Set it to False to differentiate through a step.

    Returns:
        The step, `step(state, batch) -> (state, {"loss": ...})`.

    Raises:
        TypeError: `apply` or the loss does not return what the state or the options require.
        ValueError: a batch lacks `inputs` or `labels` or has an entry that is scheduled, its rows
            cannot be split into `micro_batches`, the loss is not a scalar or not a pair where one
            is needed, only one of `ema_decay` and the state's average is given, or an option is
            out of its range.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> import mllosses_jax as mll
        >>> from mllosses_jax.training import TrainState, make_train_step
        >>> optimizer = optax.sgd(0.5)
        >>> def apply(params, inputs):
        ...     return inputs @ params
        >>> def loss(logits, labels, **arguments):
        ...     return mll.asymmetric_loss(logits, labels, **arguments, reduction="sum_and_count")
        >>> step = make_train_step(
        ...     apply,
        ...     loss,
        ...     optimizer,
        ...     micro_batches=2,
        ...     loss_schedules={"gamma_neg": optax.linear_schedule(1.0, 4.0, 100)},
        ...     ema_decay=0.999,
        ... )
        >>> state = TrainState.create(jnp.zeros((2, 2)), optimizer, ema=True)
        >>> known = jnp.array([[True, True], [True, False]])
        >>> batch = {"inputs": jnp.eye(2), "labels": jnp.eye(2), "where": known}
        >>> for _ in range(3):
        ...     state, metrics = step(state, batch)
        >>> int(state.step), float(metrics["loss"]) < 0.3
        (3, True)
    """
    import optax

    checks.integer("micro_batches", micro_batches, least=1)
    if isinstance(ema_decay, int | float) and not 0 <= ema_decay <= 1:
        raise ValueError(f"ema_decay must lie in [0, 1], got {ema_decay}")
    if compute_dtype is not None and jnp.dtype(compute_dtype) == jnp.float16:
        raise ValueError("compute_dtype must be bfloat16 or wider: float16 needs a scaled loss")
    update = optax.with_extra_args_support(optimizer).update
    schedules = dict(loss_schedules or {})

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        _check_batch(batch)
        if twice := sorted(schedules.keys() & batch.keys()):
            raise ValueError(
                f"loss_schedules and the batch must not give the same arguments: both give {twice}"
            )
        if (state.ema_params is None) != (ema_decay is None):
            raise ValueError(
                "an average of the parameters needs both ema_decay here and ema=True in "
                f"TrainState.create, got ema_decay={ema_decay}, and the state has "
                f"{'no' if state.ema_params is None else 'an'} average"
            )
        scheduled = {name: jnp.asarray(value(state.step)) for name, value in schedules.items()}
        now = functools.partial(loss, **scheduled) if scheduled else loss
        objective = Objective(apply, now, micro_batches, compute_dtype)
        key = None if state.key is None else jax.random.fold_in(state.key, state.step)
        before = Carried(state.model_state, state.loss_state)
        found = objective.value_and_gradient(state.params, before, key, batch)
        # Line searches and the like need the value, and the objective to try steps on.
        updates, opt_state = update(
            found.gradient,
            state.opt_state,
            state.params,
            value=found.loss,
            grad=found.gradient,
            value_fn=lambda params: objective.value(params, before, key, batch),
        )
        params = optax.apply_updates(state.params, updates)
        new = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            model_state=found.carried.model_state,
            loss_state=found.carried.loss_state,
        )
        if ema_decay is not None:
            average = average_parameters(state.ema_params, params, new.step, ema_decay)
            new = dataclasses.replace(new, ema_params=average)
        return new, {"loss": found.loss}

    return jax.jit(step, donate_argnums=(0,) if donate else ())


def make_eval_step(
    apply: Callable[[Any, Array], Array],
    metrics: Mapping[str, Callable[..., Any]],
) -> Callable[[Any, Batch], dict[str, Any]]:
    """Returns a compiled step that computes the logits of a batch and their metrics.

    Metrics to be combined over batches should be additive. A loss with `reduction="sum_and_count"`
    returns a pair, whose sums over batches are divided at the end, and accumulators of
    `mllosses_jax.metrics.streaming` can be merged, whereas a mean of the means of batches is wrong
    as soon as their counts differ.

    Args:
        apply: the model in evaluation mode, `(params, inputs) -> logits`: without dropout, and with
            the batch statistics of training, which are then part of `params`.
        metrics: functions called like a loss, `(logits, labels, weights=..., where=...)`, by the
            name of their result.

    Returns:
        The step, `step(params, batch) -> {"logits": ..., name: ...}`, for batches as in
        `make_train_step`.

    Raises:
        ValueError: a metric is called "logits", or a batch lacks `inputs` or `labels`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.metrics import streaming
        >>> from mllosses_jax.training import make_eval_step
        >>> def counts(logits, labels, **arguments):
        ...     return streaming.ConfusionCounts.init(2).update(logits > 0, labels, **arguments)
        >>> step = make_eval_step(lambda params, inputs: inputs @ params, {"counts": counts})
        >>> batch = {"inputs": jnp.eye(2), "labels": jnp.eye(2)}
        >>> first, second = step(jnp.eye(2), batch), step(-jnp.eye(2), batch)
        >>> total = first["counts"].merge(second["counts"])
        >>> print(total.recall(), first["logits"].shape)
        0.5 (2, 2)
    """
    if "logits" in metrics:
        raise ValueError('no metric may be called "logits", which is the name of the logits')

    def step(params: Any, batch: Batch) -> dict[str, Any]:
        _check_batch(batch)
        arguments = {n: value for n, value in batch.items() if n not in ("inputs", "labels")}
        logits = apply(params, batch["inputs"])
        values = {n: metric(logits, batch["labels"], **arguments) for n, metric in metrics.items()}
        return {"logits": logits, **values}

    return jax.jit(step)


def _check_batch(batch: Batch) -> None:
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"batch must be a dict of inputs, labels and the arguments of the loss, got a "
            f"{type(batch).__name__}"
        )
    missing = [name for name in ("inputs", "labels") if name not in batch]
    if missing:
        raise ValueError(
            f"batch must hold inputs, labels and the arguments of the loss, by name; "
            f"it lacks {missing}, got {sorted(batch)}"
        )
