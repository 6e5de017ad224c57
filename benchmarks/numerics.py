"""Measures errors of values and derivatives at extreme logits, for ours and peers, to 50 digits.

Keras (on its JAX backend) and PyTorch are included if they are installed.
"""

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath  # type: ignore[import-untyped]
import numpy as np
import optax
from jax import Array

import mllosses_jax as mll

Loss = Callable[[Array, Array], Array]
Derivatives = tuple[np.ndarray, np.ndarray, np.ndarray]

MAGNITUDES = (0.5, 1, 2, 5, 10, 15, 17, 20, 30, 40, 60, 80, 88, 90, 100, 104, 200, 1e3, 1e4, 1e6)
NEGLIGIBLE = 1e-34  # close to the values that XLA's CPU backend flushes to zero
CLIP = 0.05

mp = mpmath.MPContext()
mp.dps = 50

# The reference values for a logit x and a hard label y.


def _wrongness(x: Any, y: bool) -> Any:
    return 1 / (1 + mp.exp(x if y else -x))


def _entropy(x: Any, y: bool) -> Any:
    return mp.log1p(mp.exp(-x if y else x))


def _focal(gamma: float, x: Any, y: bool) -> Any:
    return _wrongness(x, y) ** gamma * _entropy(x, y)


def _asymmetric(x: Any, y: bool) -> Any:
    wrong = _wrongness(x, y)
    if y:
        return wrong * _entropy(x, y)
    shifted = max(wrong - mp.mpf(float(np.float32(CLIP))), mp.zero)
    return -(shifted**4) * mp.log1p(-shifted)


REFERENCES: dict[str, Callable[[Any, bool], Any]] = {
    "binary cross-entropy": _entropy,
    "focal, gamma 2": functools.partial(_focal, 2),
    "focal, gamma 0.5": functools.partial(_focal, 0.5),
    "asymmetric": _asymmetric,
}

# The unreduced implementations.


def _plain_entropy(x: Array, y: Array) -> Array:
    p = jax.nn.sigmoid(x)
    return -y * jnp.log(p) - (1 - y) * jnp.log(1 - p)


def _plain_focal(gamma: float, x: Array, y: Array) -> Array:
    p = jax.nn.sigmoid(x)
    return (y * (1 - p) + (1 - y) * p) ** gamma * _plain_entropy(x, y)


def _ours_entropy(x: Array, y: Array) -> Array:
    return mll.sigmoid_binary_cross_entropy(x, y, reduction="none")


def _ours_asymmetric(x: Array, y: Array) -> Array:
    return mll.asymmetric_loss(x, y, detach_focus=False, reduction="none")


def _port_of_asymmetric(x: Array, y: Array) -> Array:
    p = jax.nn.sigmoid(x)
    rest = jnp.minimum(1 - p + CLIP, 1)
    entropy = y * jnp.log(jnp.maximum(p, 1e-8)) + (1 - y) * jnp.log(jnp.maximum(rest, 1e-8))
    return -entropy * (1 - y * p - (1 - y) * rest) ** (1 * y + 4 * (1 - y))


def _ours_focal(gamma: float, x: Array, y: Array) -> Array:
    return mll.sigmoid_focal_loss(x, y, gamma=gamma, reduction="none")


IMPLEMENTATIONS: dict[str, dict[str, Loss]] = {
    "binary cross-entropy": {
        "ours": _ours_entropy,
        "optax": optax.losses.sigmoid_binary_cross_entropy,
        "log of sigmoid": _plain_entropy,
    },
    "focal, gamma 2": {
        "ours": functools.partial(_ours_focal, 2),
        "optax": functools.partial(optax.losses.sigmoid_focal_loss, gamma=2.0),
        "log of sigmoid": functools.partial(_plain_focal, 2),
    },
    "focal, gamma 0.5": {
        "ours": functools.partial(_ours_focal, 0.5),
        "optax": functools.partial(optax.losses.sigmoid_focal_loss, gamma=0.5),
        "log of sigmoid": functools.partial(_plain_focal, 0.5),
    },
    "asymmetric": {"ours": _ours_asymmetric, "authors' lines in JAX": _port_of_asymmetric},
}


def _keras_losses() -> dict[str, Loss]:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    losses: Any = importlib.import_module("keras").losses

    def of(name: str, **parameters: float) -> Loss:
        loss = getattr(losses, name)(from_logits=True, reduction=None, **parameters)
        return lambda x, y: loss(y[:, None], x[:, None])

    return {
        "binary cross-entropy": of("BinaryCrossentropy"),
        "focal, gamma 2": of("BinaryFocalCrossentropy", gamma=2.0),
        "focal, gamma 0.5": of("BinaryFocalCrossentropy", gamma=0.5),
    }


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per loss and implementation, with its worst relative errors.

    An error of 1 means that the number was lost; NaN means that the result is NaN although the true
    value is a number. True values below 1e-34 are not compared. "wrong" and "right" say on which
    side of 0 the logit is: on the wrong side, a model still has to learn.

    Args:
        quick: whether to take only every fourth logit.
    """
    magnitudes = np.array(MAGNITUDES[:: 4 if quick else 1])
    x = np.tile(np.concatenate([magnitudes, -magnitudes]), 2).astype(np.float32)
    y = np.repeat([True, False], len(x) // 2)
    right = (x > 0) == y
    by_jax = {name: dict(losses) for name, losses in IMPLEMENTATIONS.items()}
    if importlib.util.find_spec("keras") is not None:
        for name, loss in _keras_losses().items():
            by_jax[name]["keras"] = loss
    by_torch: dict[str, Derivatives] = {}
    if importlib.util.find_spec("torch") is not None:
        from benchmarks.peers_torch import derivatives

        names = {
            "binary cross-entropy": "sigmoid_binary_cross_entropy",
            "focal, gamma 2": "sigmoid_focal_loss",
        }
        by_torch = {ours: derivatives(theirs, x, y) for ours, theirs in names.items()}

    rows = []
    for name, reference in REFERENCES.items():
        truth = _exact(reference, x, y)
        found = {key: _by_jax(loss, x, y) for key, loss in by_jax[name].items()}
        if name in by_torch:
            found["torch"] = by_torch[name]
        for key, numbers in found.items():
            value, slope, curvature = (
                _relative_errors(n, t) for n, t in zip(numbers, truth, strict=True)
            )
            rows.append(
                {
                    "loss": name,
                    "implementation": key,
                    "value": float(np.max(value)),
                    "slope, wrong": float(np.max(slope[~right])),
                    "slope, right": float(np.max(slope[right])),
                    "curvature, wrong": float(np.max(curvature[~right])),
                    "curvature, right": float(np.max(curvature[right])),
                }
            )
    return rows


def _exact(reference: Callable[[Any, bool], Any], x: np.ndarray, y: np.ndarray) -> Derivatives:
    table = [
        [mp.diff(lambda x, y=label: reference(x, y), mp.mpf(float(at)), n) for n in range(3)]
        for at, label in zip(x, y, strict=True)
    ]
    value, slope, curvature = np.array([[float(number) for number in row] for row in table]).T
    return value, slope, curvature


def _by_jax(loss: Loss, x: np.ndarray, y: np.ndarray) -> Derivatives:
    labels = jnp.asarray(y, jnp.float32)

    def total(x: Array) -> Array:
        return jnp.sum(loss(x, labels))

    value = jax.jit(loss)(jnp.asarray(x), labels)
    slope = jax.jit(jax.grad(total))(x)
    curvature = jax.jit(lambda x: jax.jvp(jax.grad(total), (x,), (jnp.ones_like(x),))[1])(x)
    return np.asarray(value), np.asarray(slope), np.asarray(curvature)


def _relative_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    compared = np.abs(truth) > NEGLIGIBLE
    error = np.abs(found - truth) / np.where(compared, np.abs(truth), 1)
    errors: np.ndarray = np.where(compared | ~np.isfinite(found), error, 0)
    return errors
