"""Many training runs in one compiled program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax.training._objective import Batch
from mllosses_jax.training.state import TrainState


@functools.partial(jax.jit, static_argnums=(0, 1, 2), static_argnames="num_steps")
def sweep(
    init: Callable[[Any], TrainState],
    step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]],
    batch: Callable[[Any, Any, Array], Batch],
    runs: Any,
    data: Any,
    *,
    num_steps: int,
) -> tuple[TrainState, dict[str, Array]]:
    """Trains many runs (seeds, weight decays, ...) at once, in one compiled program.

    The program is a `scan` over steps whose body is a `vmap` over runs. On 2 CPU cores, with five
    runs of a linear model or an MLP, it was as fast as `vmap` outside `scan` and as `lax.map` over
    runs, or up to a third faster (0.15 s, 0.17 s and 0.20 s for 300 steps of 294 features); one run
    after another took 0.24 s. Calls with the same functions and shapes share one program.

    Args:
        init: the state before the first step, `(run) -> TrainState`.
        step: a step from `make_train_step`.
        batch: the batch of a step, `(data, run, index) -> batch`; `index` is an int32 scalar.
        runs: a pytree whose leaves have the runs as first axis: keys, hyper-parameters, rows.
        data: a pytree that all runs share; pass arrays here instead of closing over them, which
            would compile them into the program.
        num_steps: the number of steps of each run.

    Returns:
        The last states, with the runs as first axis of every leaf, and the metrics, of shape
        (runs, num_steps).

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from mllosses_jax.training import TrainState, make_train_step, sweep
        >>> optimizer = optax.sgd(0.5)
        >>> def loss(logits, labels):
        ...     return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))
        >>> step = make_train_step(lambda params, inputs: inputs @ params, loss, optimizer)
        >>> def init(key):
        ...     return TrainState.create(jax.random.normal(key, (2, 2)), optimizer)
        >>> def batch(data, key, index):
        ...     rows = jax.random.randint(jax.random.fold_in(key, index), (4,), 0, 2)
        ...     return {"inputs": data["x"][rows], "labels": data["y"][rows]}
        >>> data = {"x": jnp.eye(2), "y": jnp.eye(2)}
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> states, metrics = sweep(init, step, batch, keys, data, num_steps=100)
        >>> states.params.shape, metrics["loss"].shape
        ((5, 2, 2), (5, 100))
    """

    def body(states: TrainState, index: Array) -> tuple[TrainState, dict[str, Array]]:
        batches = jax.vmap(batch, in_axes=(None, 0, None))(data, runs, index)
        return jax.vmap(step)(states, batches)

    states, metrics = jax.lax.scan(
        body, jax.vmap(init)(runs), jnp.arange(num_steps, dtype=jnp.int32)
    )
    return states, jax.tree.map(lambda value: jnp.moveaxis(value, 0, 1), metrics)
