"""Times small batches: an eager value, an eager value and gradient, and a compiled step.

The arrays have the shape (64, 80), so what is measured is mostly the way to the arithmetic: Python,
tracing and dispatch. All times are in microseconds.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks.loss_inputs import Setting, inputs
from benchmarks.losses import QUICK_LOSSES, implementations
from benchmarks.timing import interleaved
from mllosses_jax.catalogue import CATALOGUE, find

SHAPE = (64, 80)
LIMIT = 1.2  # of our compiled step to that of the straight version
ROUNDS, SECONDS = 200, 0.5


def run(quick: bool, losses: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Returns one row per loss and implementation.

    Args:
        quick: whether to take few losses and few rounds, to check the harness.
        losses: names of the losses to time; all by default.
    """
    names = losses or (QUICK_LOSSES if quick else [entry.name for entry in CATALOGUE])
    for name in names:
        find(name)  # an unknown name is an error before anything is timed
    rows = []
    for name in names:
        rows += _rows(name, 3 if quick else ROUNDS)
        print(name, file=sys.stderr, flush=True)
        jax.clear_caches()
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Returns which compiled steps are slower than the straight version allows."""
    steps = {(row["loss"], row["implementation"]): row["step us"] for row in rows}
    found = [
        f"{name}: a compiled step takes {time / steps[name, 'straight']:.2f} of the straight one"
        for (name, implementation), time in steps.items()
        if implementation == "ours" and time > LIMIT * steps[name, "straight"]
    ]
    return "\n".join([f"{len(found)} compiled steps miss their goal.", *found])


def _rows(name: str, rounds: int) -> list[dict[str, Any]]:
    given = inputs(name, Setting(SHAPE))
    found = implementations(name, given)
    figures: dict[str, dict[str, float]] = {key: {} for key in found}
    for title, way in WAYS.items():
        calls = {
            key: functools.partial(
                way(implementation.loss), given.logits, given.labels, implementation.arrays
            )
            for key, implementation in found.items()
        }
        for key, milliseconds in interleaved(calls, rounds, SECONDS).items():
            figures[key][title] = 1e3 * milliseconds
    return [{"loss": name, "implementation": key, **times} for key, times in figures.items()]


def _step(loss: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(jax.value_and_grad(loss))


WAYS: dict[str, Callable[..., Callable[..., Any]]] = {
    "value us": lambda loss: loss,
    "value and gradient us": jax.value_and_grad,
    "step us": _step,
}
