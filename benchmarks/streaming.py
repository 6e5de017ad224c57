"""Times streaming updates against exact average precision, and measures the width of the bounds.

Times are for one of ten batches in a row. Widths are for the mean over 80 labels of prevalence 0.2
to 0.002, from 40,000 samples.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.timing import interleaved
from mllosses_jax import metrics
from mllosses_jax.metrics import streaming

_BATCHES = 10


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns rows of times (in ms and relative to exact) and of bounds (with their widths).

    Args:
        quick: whether to take (64, 8) batches and 400 samples instead of (1024, 80) and 40,000.
    """
    return _times(quick) + _widths(quick)


def _times(quick: bool) -> list[dict[str, Any]]:
    samples, labels = (64, 8) if quick else (1024, 80)
    scores, truth = _data("moderate", samples, labels)
    s, p, y = jnp.asarray(scores), jax.nn.sigmoid(scores), jnp.asarray(truth)
    compiled = jax.jit(metrics.average_precision)
    calls: dict[str, Callable[[], Any]] = {
        "exact average precision": lambda: metrics.average_precision(s, y),
        "exact average precision, under jit": lambda: compiled(s, y),
        "update, logits": _Repeated("logits", s, y),
        "update, probabilities": _Repeated("probabilities", p, y),
    }
    streams = {name: functools.partial(_stream, call) for name, call in calls.items()}
    times = interleaved(streams, 2 if quick else 31)
    exact = times["exact average precision"]
    return [
        {"what": name, "ms": elapsed / _BATCHES, "of the exact": elapsed / exact}
        for name, elapsed in times.items()
    ]


def _stream(call: Callable[[], Any]) -> None:
    for _ in range(_BATCHES):
        jax.block_until_ready(call())


class _Repeated:
    """Updates one histogram of 1024 bins repeatedly, with a donated buffer."""

    def __init__(self, inputs: Any, scores: Array, truth: Array) -> None:
        self.state = streaming.ScoreHistogram.init(scores.shape[1], inputs=inputs)
        update = jax.jit(lambda state, s, y: state.update(s, y), donate_argnums=0)
        self.update = lambda state: update(state, scores, truth)

    def __call__(self) -> Array:
        self.state = self.update(self.state)
        return self.state.cells


def _widths(quick: bool) -> list[dict[str, Any]]:
    samples, labels = (400, 8) if quick else (40_000, 80)
    rows: list[dict[str, Any]] = []
    for regime in ("flat", "moderate", "sharp", "rare"):
        scores, truth = _data(regime, samples, labels)
        state = streaming.ScoreHistogram.init(labels, inputs="logits").update(scores, truth)
        for name, bounds in state.compute().items():
            per_label = getattr(state, name)(average=None)
            exact = np.asarray(getattr(metrics, name)(scores, truth, average=None))
            held = (per_label.lower <= exact) & (exact <= per_label.upper)
            row = {
                "what": f"{name}, {regime} scores",
                "exact": float(exact.mean()),
                "estimate": float(bounds.estimate),
                "lower": float(bounds.lower),
                "upper": float(bounds.upper),
                "width": float(bounds.upper - bounds.lower),
                "widest label": float(jnp.max(per_label.upper - per_label.lower)),
                "worst estimate": float(jnp.max(jnp.abs(per_label.estimate - exact))),
                "labels held": f"{int(held.sum())}/{labels}",
            }
            rows.append({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})
    return rows


def _data(regime: str, samples: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits and labels; all regimes but "rare" have the same order at another scale."""
    rng = np.random.default_rng(0)
    prevalence = np.geomspace(0.2, 0.002, labels)
    truth = rng.random((samples, labels)) < prevalence
    truth[0], truth[1] = True, False
    evidence = rng.standard_normal(truth.shape) + 2 * truth
    scores = {
        "flat": 0.4 * (evidence - 1),
        "moderate": 1.5 * (evidence - 2),
        "sharp": 4 * (evidence - 2),
        "rare": 2 * (evidence - 2) + np.log(prevalence),
    }[regime]
    return scores.astype(np.float32), truth
