"""Times value and gradient of losses against optax, a straight port, PyTorch and two floors.

The memory floor is one compiled pass that reads two arrays, writes one and sums it; the
arithmetic floor is a pass with one exp and one log1p.
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import mllosses_jax as mll
from benchmarks.timing import interleaved

Loss = Callable[..., Any]


def port_of_focal(logits: Array, labels: Array) -> Array:
    """Returns the focal loss as torchvision computes it, in jax.numpy."""
    y = labels.astype(logits.dtype)
    p = jax.nn.sigmoid(logits)
    entropy = optax.sigmoid_binary_cross_entropy(logits, y)
    p_t = p * y + (1 - p) * (1 - y)
    return jnp.mean(entropy * (1 - p_t) ** 2)


def port_of_asymmetric(logits: Array, labels: Array) -> Array:
    """Returns the asymmetric loss as its authors compute it, with their stop-gradient."""
    y = labels.astype(logits.dtype)
    p = jax.nn.sigmoid(logits)
    rest = jnp.minimum(1 - p + 0.05, 1)
    entropy = y * jnp.log(jnp.maximum(p, 1e-8)) + (1 - y) * jnp.log(jnp.maximum(rest, 1e-8))
    p_t = p * y + rest * (1 - y)
    weight = (1 - p_t) ** (1 * y + 4 * (1 - y))
    return -jnp.mean(entropy * jax.lax.stop_gradient(weight))


def _mean(loss: Callable[..., Any]) -> Loss:
    return lambda x, y: jnp.mean(loss(x, y.astype(x.dtype)))


LOSSES: dict[str, dict[str, Loss]] = {
    "binary cross-entropy": {
        "ours": mll.sigmoid_binary_cross_entropy,
        "optax": _mean(optax.sigmoid_binary_cross_entropy),
    },
    "focal, gamma 2": {
        "ours": lambda x, y: mll.sigmoid_focal_loss(x, y, gamma=2.0),
        "optax": _mean(lambda x, y: optax.sigmoid_focal_loss(x, y, gamma=2.0)),
        "port": port_of_focal,
    },
    "focal, gamma 2.5": {
        "ours": lambda x, y: mll.sigmoid_focal_loss(x, y, gamma=2.5),
        "optax": _mean(lambda x, y: optax.sigmoid_focal_loss(x, y, gamma=2.5)),
    },
    "asymmetric": {
        "ours": mll.asymmetric_loss,
        "port": port_of_asymmetric,
    },
    "asymmetric, gradient through the weight": {
        "ours": lambda x, y: mll.asymmetric_loss(x, y, detach_focus=False),
    },
    "softmax cross-entropy (PAL-N)": {
        "ours": mll.softmax_cross_entropy,
        "optax": lambda x, y: jnp.mean(
            optax.softmax_cross_entropy(
                x, y.astype(x.dtype) / jnp.maximum(jnp.sum(y, -1, keepdims=True), 1)
            )
        ),
    },
    "LSEP": {"ours": mll.lsep_loss},
    "ZLPR": {"ours": mll.zlpr_loss},
    "two-way": {"ours": mll.two_way_loss},
    "soft F1": {"ours": mll.soft_f1_loss},
}


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per loss, labels dtype and implementation.

    Args:
        quick: whether to take (64, 32) arrays and few rounds instead of (2048, 1000).
    """
    shape, rounds = ((64, 32), 3) if quick else ((2048, 1000), 30)
    rng = np.random.default_rng(0)
    x = jnp.asarray(3 * rng.standard_normal(shape), jnp.float32)
    hard = jnp.asarray(rng.random(shape) < 0.05)
    labels = {"bool": hard, "float32": hard.astype(jnp.float32)}

    floor, arithmetic = jax.jit(_memory_floor), jax.jit(_arithmetic_floor)
    calls: dict[tuple[str, str, str], Callable[[], Any]] = {
        ("floor", "", "memory"): lambda: floor(x, labels["float32"]),
        ("floor", "", "exp and log1p"): lambda: arithmetic(x),
    }
    costs: dict[tuple[str, str, str], dict[str, float]] = {}
    for name, implementations in LOSSES.items():
        for dtype, y in labels.items():
            for implementation, loss in implementations.items():
                if dtype == "float32" and implementation != "ours":
                    continue
                key = (name, dtype, implementation)
                program, costs[key] = _compile(loss, x, y)
                calls[key] = lambda program=program, y=y: program(x, y)  # type: ignore[misc]
    peers: dict[tuple[str, str, str], Callable[[], Any]] = {}
    if importlib.util.find_spec("torch") is not None:
        from benchmarks.peers_torch import calls as torch_calls

        peers = torch_calls(np.asarray(x), np.asarray(hard))
    # The peers are timed separately, because the idle threads of PyTorch would slow other calls.
    times = interleaved({"|".join(key): call for key, call in calls.items()}, rounds)
    times |= interleaved({"|".join(key): call for key, call in peers.items()}, rounds)

    memory = times["floor||memory"]
    rows: list[dict[str, Any]] = []
    for key in calls | peers:
        name, dtype, implementation = key
        elapsed = times["|".join(key)]
        ours = times.get(f"{name}|{dtype}|ours")
        row = {"loss": name, "labels": dtype, "implementation": implementation, "ms": elapsed}
        row |= {"x floor": elapsed / memory, "x ours": elapsed / ours if ours else None}
        rows.append(row | costs.get(key, {}))
    return rows


def _memory_floor(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    return jnp.sum(total), total


def _arithmetic_floor(a: Array) -> Array:
    return jnp.log1p(jnp.exp(-jnp.abs(a)))


def _compile(loss: Loss, x: Array, y: Array) -> tuple[Callable[..., Any], dict[str, float]]:
    lowered = jax.jit(jax.value_and_grad(loss)).lower(x, y)
    start = time.perf_counter()
    program = lowered.compile()
    seconds = time.perf_counter() - start
    analysis = program.memory_analysis()
    temporaries = analysis.temp_size_in_bytes / x.nbytes if analysis else float("nan")
    return program, {"compile s": seconds, "temporaries": temporaries}
