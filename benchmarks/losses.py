"""Times value and gradient of losses beside straight versions, optax, rax, PyTorch and two floors.

All times are in passes of one exp and one log1p over the logits in float32 ("A"), timed in the
same rounds as the loss. The memory floor is one pass that reads two arrays, writes one and sums it.
A straight version is compared with ours, in value and gradient, before it is timed.
"""

import functools
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import goals, straight
from benchmarks.loss_inputs import Inputs, Setting, allows, in_float32, inputs
from benchmarks.peers_jax import peers
from benchmarks.timing import interleaved
from mllosses_jax.catalogue import CATALOGUE, find

SHAPE = (2048, 1000)
SETTINGS: dict[str, Setting] = {
    goals.MAIN: Setting(SHAPE),
    "float32, float": Setting(SHAPE, labels="float32"),
    "bfloat16, bool": Setting(SHAPE, logits="bfloat16"),
    "bfloat16, float": Setting(SHAPE, logits="bfloat16", labels="float32"),
    "float16, bool": Setting(SHAPE, logits="float16"),
    "float32, bool, mask": Setting(SHAPE, masked=True),
    goals.SMALL: Setting((64, 80)),
    "(128, 100000)": Setting((128, 100_000)),
}
QUICK_LOSSES = ("sigmoid_focal_loss", "softmax_cross_entropy", "soft_f1_loss")
QUICK_SETTINGS = {
    "tiny": Setting((64, 32)),
    "tiny, bfloat16, float, mask": Setting((64, 32), "bfloat16", "float32", masked=True),
}
ROUNDS, SECONDS = 2000, 0.4  # at most, for a group of calls; the clock takes three rounds at least
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.01, "float16": 0.003}  # relative, of value and gradient


def run(quick: bool, losses: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Returns one row per loss and setting.

    Args:
        quick: whether to take tiny arrays and, by default, few losses, to check the harness.
        losses: names of the losses to time; all by default.
    """
    names = losses or (QUICK_LOSSES if quick else [entry.name for entry in CATALOGUE])
    settings = QUICK_SETTINGS if quick else SETTINGS
    rows = []
    for name in names:
        find(name)  # an unknown name is an error before anything is timed
    for name in names:
        for title, setting in settings.items():
            if allows(name, setting):
                rows.append({"loss": name, "setting": title} | _measure(name, setting))
                print(_progress(rows[-1]), file=sys.stderr, flush=True)
        jax.clear_caches()
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Returns what misses its goal."""
    found = goals.misses(rows)
    return "\n".join([f"{len(found)} figures miss their goal.", *found])


def _measure(name: str, setting: Setting) -> dict[str, Any]:
    """Returns one row: times in passes, seconds of compilation, temporaries in sizes of logits."""
    given = inputs(name, setting)
    x, y = given.logits, given.labels
    row: dict[str, Any] = {}
    results: dict[str, Any] = {}
    calls = _floors(x)
    repeats = 3 if setting == SETTINGS[goals.MAIN] else 1  # only there are they judged
    for key, implementation in implementations(name, given).items():
        program, seconds, temporaries = _compile(implementation, x, y, repeats)
        calls[key] = functools.partial(program, x, y, implementation.arrays)
        if key in ("ours", "straight"):
            row[f"compile s {key}"] = seconds
            row[f"temporaries {key}"] = temporaries
            results[key] = calls[key]()
    difference = _difference(results["ours"], results["straight"])
    if not difference < TOLERANCE[setting.logits]:
        row["differs"] = difference
    del results
    times = interleaved(calls, ROUNDS, SECONDS)
    figures = {"A ms": times["A"]}
    figures |= {key: value / times["A"] for key, value in times.items() if key != "A"}
    if setting == Setting(SHAPE) and importlib.util.find_spec("torch") is not None:
        figures |= _by_torch(name, x, y)
    return figures | row


@dataclass(frozen=True)
class Implementation:
    """A loss of logits, labels and further arrays, which are arguments of its program too."""

    loss: Callable[[Array, Array, dict[str, Array]], Any]
    arrays: dict[str, Array]


def implementations(name: str, given: Inputs) -> dict[str, Implementation]:
    """Returns ours, the straight version and, in float32 without a mask, the peers."""
    straight_loss = straight.find(name)
    found = {
        "ours": _implementation(find(name).loss, given.where, given.ours),
        "straight": _implementation(
            lambda x, y, **parameters: straight_loss(
                in_float32(x), y, **{key: in_float32(value) for key, value in parameters.items()}
            ),
            given.where,
            given.straight,
        ),
    }
    if given.where is None and given.logits.dtype == jnp.float32:
        found |= {
            library: Implementation(lambda x, y, _, loss=loss: loss(x, y), {})  # type: ignore[misc]
            for library, loss in peers(name, given.logits.shape).items()
        }
    return found


def _implementation(
    loss: Callable[..., Any], where: Array | None, parameters: dict[str, Any]
) -> Implementation:
    arrays = {key: value for key, value in parameters.items() if isinstance(value, Array)}
    if where is not None:
        arrays["where"] = where
    numbers = {key: value for key, value in parameters.items() if key not in arrays}
    return Implementation(lambda x, y, arrays: loss(x, y, **arrays, **numbers), arrays)


def _floors(x: Array) -> dict[str, Callable[[], Any]]:
    a = in_float32(x)
    arithmetic, memory = _programs_of_floors(a.shape)
    other = a + 1
    return {"A": lambda: arithmetic(a), "memory floor": lambda: memory(a, other)}


@functools.cache
def _programs_of_floors(shape: tuple[int, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    a = jax.ShapeDtypeStruct(shape, jnp.float32)
    return (
        jax.jit(lambda a: jnp.log1p(jnp.exp(-jnp.abs(a)))).lower(a).compile(),
        jax.jit(lambda a, b: (jnp.sum(a + b), a + b)).lower(a, a).compile(),
    )


def _compile(
    implementation: Implementation, x: Array, y: Array, repeats: int
) -> tuple[Callable[..., Any], float, float]:
    """Returns the program of value and gradient, the seconds of compilation and its temporaries.

    The seconds are the fewest of some compilations: single ones differ by a third.
    """
    seconds = math.inf
    for _ in range(repeats):
        jax.clear_caches()  # which hold the program that was compiled before
        lowered = jax.jit(jax.value_and_grad(implementation.loss)).lower(
            x, y, implementation.arrays
        )
        start = time.perf_counter()
        program = lowered.compile()
        seconds = min(seconds, time.perf_counter() - start)
    analysis = program.memory_analysis()
    temporaries = analysis.temp_size_in_bytes / (4 * x.size) if analysis else float("nan")
    return program, seconds, temporaries


def _difference(one: tuple[Array, Array], other: tuple[Array, Array]) -> float:
    """Returns the larger of the differences of two values and of two gradients, relative."""
    pairs = (
        [np.asarray(part, np.float64) for part in parts] for parts in zip(one, other, strict=True)
    )
    return max(float(np.sum(np.abs(a - b)) / (np.sum(np.abs(a)) or 1)) for a, b in pairs)


def _by_torch(name: str, x: Array, y: Array) -> dict[str, float]:
    """Returns the passes that PyTorch takes, timed apart since its idle threads slow others."""
    from benchmarks.peers_torch import calls, device

    if device() != jax.default_backend().replace("gpu", "cuda"):
        return {}
    made = calls(name, np.asarray(x), np.asarray(y))
    times = interleaved(made | {"A": _floors(x)["A"]}, ROUNDS, SECONDS) if made else {}
    return {key: value / times["A"] for key, value in times.items() if key != "A"}


def _progress(row: dict[str, Any]) -> str:
    times = {key: row[key] for key in ("ours", "straight", "optax", "rax", "torch") if key in row}
    passes = ", ".join(f"{key} {value:.3g}" for key, value in times.items())
    return f"{row['loss']} [{row['setting']}]: {passes} passes of {row['A ms']:.3g} ms"
