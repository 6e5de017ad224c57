"""Logits, labels, masks and parameters with which losses are timed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What a loss is timed on.

    Attributes:
        shape: the number of samples and of labels.
        logits: the dtype of the logits.
        labels: the dtype of the labels, bool or float32.
        masked: whether a tenth of the entries does not count.
    """

    shape: tuple[int, int]
    logits: str = "float32"
    labels: str = "bool"
    masked: bool = False

    def __str__(self) -> str:
        mask = ", mask" if self.masked else ""
        return f"{self.shape}, {self.logits}, {self.labels}{mask}"


@dataclass(frozen=True)
class Inputs:
    """The arguments of a loss: `ours` and `straight` are keyword arguments beside `where`."""

    logits: Array
    labels: Array
    where: Array | None
    ours: Parameters
    straight: Parameters


def inputs(name: str, setting: Setting) -> Inputs:
    """Returns the arguments of a loss in a setting; they are the same in every run.

    A label is positive with probability 0.03, and a sample has 30 positives at most on average.
    """
    rng = np.random.default_rng(0)
    num_labels = setting.shape[1]
    x = 2 * rng.standard_normal(setting.shape)
    positive = rng.random(setting.shape) < min(0.03, 30 / num_labels)
    second = 2 * rng.standard_normal(setting.shape)
    where = rng.random(setting.shape) < 0.9 if setting.masked else None
    if name == "binary_cross_entropy":
        x = np.clip(1 / (1 + np.exp(-x)), 0.01, 0.99)  # bfloat16 would round some to 1
    ours = PARAMETERS.get(name, lambda *_: {})(positive, second, setting)
    straight = dict(ours)
    if name in PAIRED:
        most = np.max(np.sum(positive, axis=PAIRED[name]))
        straight = {"most_positives": int(most)}
    if name == "hierarchical_coherence_loss":
        straight = {"pairs": jnp.asarray(np.argwhere(ours["ancestors"]))}
    return Inputs(
        jnp.asarray(x, setting.logits),
        jnp.asarray(positive, setting.labels),
        None if where is None else jnp.asarray(where),
        ours,
        straight,
    )


# The axis along which a loss over pairs pairs its entries.
PAIRED = {"pairwise_logistic_loss": 1, "pairwise_auc_loss": 0, "smooth_ap_loss": 0}

# A dense matrix of all pairs of labels does not fit in memory.
DENSE = {"hierarchical_coherence_loss", "label_graph_penalty"}


def allows(name: str, setting: Setting) -> bool:
    """Returns whether a loss can be computed in a setting."""
    return name not in DENSE or setting.shape[1] <= 10_000


def _second_logits(keyword: str) -> Callable[..., Parameters]:
    return lambda positive, second, setting: {keyword: jnp.asarray(second, setting.logits)}


def _parents(num_labels: int) -> np.ndarray:
    """Returns the parent of each label but the first, in a tree with four children each."""
    return np.arange(1, num_labels) // 4


def _ancestors(positive: np.ndarray, second: np.ndarray, setting: Setting) -> Parameters:
    num_labels = setting.shape[1]
    ancestors = np.eye(num_labels, dtype=bool)
    for child, parent in enumerate(_parents(num_labels), start=1):
        ancestors[:, child] |= ancestors[:, parent]
    return {"ancestors": jnp.asarray(ancestors)}


def _edges(positive: np.ndarray, second: np.ndarray, setting: Setting) -> Parameters:
    parents = _parents(setting.shape[1])
    children = np.arange(1, setting.shape[1])
    return {"edges": jnp.asarray(np.stack([parents, children], axis=1), jnp.int32)}


def _affinity(positive: np.ndarray, second: np.ndarray, setting: Setting) -> Parameters:
    together = np.random.default_rng(1).random((setting.shape[1],) * 2)
    return {"affinity": jnp.asarray(together + together.T, jnp.float32)}


def _frequencies(keyword: str) -> Callable[..., Parameters]:
    """Returns parameters of a long tail of labels, from half of the samples to a thousandth."""
    return lambda positive, second, setting: {keyword: _tail(setting)}


def _tail(setting: Setting) -> Array:
    return jnp.asarray(np.geomspace(0.5, 0.001, setting.shape[1]), jnp.float32)


def _of_samples(keyword: str) -> Callable[..., Parameters]:
    return lambda positive, second, setting: {keyword: jnp.asarray(second[:, 0], setting.logits)}


PARAMETERS: dict[str, Callable[..., Parameters]] = {
    "adaptive_threshold_loss": _of_samples("threshold_logits"),
    "balanced_binary_cross_entropy": lambda *_: {"alpha": 0.75},
    "class_aware_selective_loss": lambda positive, *_: {"annotated": jnp.asarray(positive)},
    "distribution_balanced_loss": lambda positive, second, setting: {
        "label_counts": 10_000 * _tail(setting),
        "num_samples": 10_000,
    },
    "entropy_maximization_loss": lambda *_: {"alpha": 0.3},
    "equalization_loss": _frequencies("label_frequencies"),
    "expected_positive_regularized_loss": lambda *_: {"expected_positives": 3.5},
    "factorized_count_loss": _of_samples("count_logits"),
    "hierarchical_coherence_loss": _ancestors,
    "hierarchy_penalty": _edges,
    "label_graph_penalty": _affinity,
    "large_loss_correction": lambda *_: {"relative_rate": 0.2},
    "large_loss_rejection": lambda *_: {"relative_rate": 0.2},
    "ldam_loss": lambda positive, second, setting: {"label_counts": 10_000 * _tail(setting)},
    "logit_adjusted_binary_cross_entropy": _frequencies("prior"),
    "none_class_ranking_loss": _of_samples("threshold_logits"),
    "multilabel_distillation_loss": _second_logits("teacher_logits"),
    "positive_unlabeled_loss": lambda *_: {"prior": 0.1},
    "role_loss": lambda positive, second, setting: {
        "estimated_logits": jnp.asarray(second, setting.logits),
        "expected_positives": 3.5,
    },
    "unbiased_binary_cross_entropy": lambda *_: {"propensity": 0.4},
}


def in_float32(value: Any) -> Any:
    """Returns a value, in float32 if it is a floating-point array: straight versions are for it."""
    floating = isinstance(value, Array) and jnp.issubdtype(value.dtype, jnp.floating)
    return value.astype(jnp.float32) if floating else value
