"""One or more rows per public loss: what drives the contract suite.

`kwargs` are given to the loss and, as float64, to the oracle. Arrays of shape (L,) in it are
per label, and are cut where the suite deletes labels. To add a loss: an oracle in `oracles/`, a row
in `CASES`, and, where they apply, an entry in `TRACED`, `SLOPES` and `INPUTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles

from mllosses_jax import catalogue

NUM_SAMPLES, NUM_LABELS = 8, 5
PER_LABEL = np.linspace(0.3, 1.9, NUM_LABELS).astype(np.float32)
IN_UNIT = np.linspace(0.1, 0.9, NUM_LABELS).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Case:
    """A loss with parameters, and its oracle.

    Attributes:
        name: the public name of the loss.
        oracle: unreduced float64 loss of (logits, labels, mask, **kwargs).
        kwargs: own parameters.
        slope: the gradient of the sum of the loss where it is not the derivative of the value, as
            (logits, labels, mask, **kwargs) -> (B, L).
        kind: what one unreduced entry is, if a parameter changes it from the catalogue's.
        traced: the name of a parameter that changes without recompilation, and two values.
        inputs: parameters that come with the batch, such as a second head's logits, made from its
            labels and `where` (None: all count): so they are cut, split and masked with it.
    """

    name: str
    oracle: Callable[..., np.ndarray]
    kwargs: dict[str, Any] = field(default_factory=dict)
    slope: Callable[..., np.ndarray] | None = None
    kind: str = ""
    traced: tuple[str, float, float] | None = None
    inputs: Callable[..., dict[str, jax.Array]] | None = None

    @property
    def entry(self) -> catalogue.Entry:
        return catalogue.find(self.name)

    @property
    def loss(self) -> Callable[..., Any]:
        """The public loss, given its inputs."""
        if self.inputs is None:
            return self.entry.loss

        def loss(logits, labels, *, where=None, **kwargs):
            inputs = self.inputs(labels, where)
            return self.entry.loss(logits, labels, where=where, **inputs, **kwargs)

        return loss

    def batch_inputs(self, labels: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
        """The parameters that come with a batch."""
        return {} if self.inputs is None else self.inputs(jnp.asarray(labels), mask)

    def reference(
        self, logits: np.ndarray, labels: np.ndarray, mask: np.ndarray, **kwargs: Any
    ) -> np.ndarray:
        """The oracle in float64, of parameters as float32 rounds them; `kwargs` replace its own."""
        kwargs = self._exactly({**self.kwargs, **kwargs}, labels, mask)
        return self.oracle(*self._in_float64(logits, labels, mask), **kwargs)

    def reference_slope(
        self, logits: np.ndarray, labels: np.ndarray, mask: np.ndarray, h: float = 1e-6
    ) -> np.ndarray:
        """The gradient of the sum of the oracle; by central differences, if it is a derivative."""
        kwargs = self._exactly(self.kwargs, labels, mask)
        logits, labels, mask = self._in_float64(logits, labels, mask)
        if self.slope is not None:
            return self.slope(logits, labels, mask, **kwargs)
        result = np.zeros(logits.shape)
        for index in np.ndindex(logits.shape):
            step = np.zeros(logits.shape)
            step[index] = h
            above, below = (
                np.sum(self.oracle(logits + sign * step, labels, mask, **kwargs))
                for sign in (1, -1)
            )
            result[index] = (above - below) / (2 * h)
        return result

    def cut(self, columns: list[int]) -> dict[str, Any]:
        """The parameters for some of the labels: every axis of an array among them is a label."""
        return {
            name: value[np.ix_(*(columns,) * value.ndim)]
            if isinstance(value, np.ndarray)
            else value
            for name, value in self.kwargs.items()
        }

    @property
    def unreduced(self) -> str:
        return self.kind or self.entry.kind

    def __str__(self) -> str:
        values = ",".join(
            f"{k}={'array' if isinstance(v, np.ndarray) else v}" for k, v in self.kwargs.items()
        )
        return f"{self.name}({values})"

    def _in_float64(self, logits, labels, mask):
        return logits.astype(np.float64), labels.astype(np.float64), mask

    def _exactly(self, kwargs, labels, mask):
        def in_float64(value):
            if type(value) is float:
                return np.float64(np.float32(value))
            if isinstance(value, np.ndarray | jax.Array):
                value = np.asarray(value)
                return value if value.dtype == bool else value.astype(np.float64)
            return value

        values = {**kwargs, **self.batch_inputs(labels, mask)}
        return {name: in_float64(value) for name, value in values.items()}


def _row(name: str, **kwargs: Any) -> Case:
    kind = {"samples": "sample", "micro": "batch"}.get(kwargs.get("average", ""), "")
    return Case(
        name, oracles.find(name), kwargs, SLOPES.get(name), kind, TRACED.get(name), INPUTS.get(name)
    )


SLOPES: dict[str, Callable[..., np.ndarray]] = {
    "asymmetric_loss": oracles.find("asymmetric_loss_slope"),
}


def _count_logits(labels: Any, where: Any) -> dict[str, jax.Array]:
    """A count that misses the true one, NaN for samples of which no label counts."""
    labels = jnp.asarray(labels)
    positive = labels if labels.dtype == bool else labels > 0
    if (
        where is None
        or np.ndim(where) != positive.ndim
        or np.shape(where)[0] not in (1, len(labels))
    ):
        return {"count_logits": 0.7 * jnp.sum(positive, axis=-1).astype(jnp.float32) + 0.2}
    where = jnp.asarray(where).astype(bool)
    count = _count_logits(positive & where, None)["count_logits"]
    return {"count_logits": jnp.where(jnp.any(where, axis=-1), count, jnp.nan)}


INPUTS: dict[str, Callable[..., dict[str, jax.Array]]] = {
    "factorized_count_loss": _count_logits,
}

TRACED: dict[str, tuple[str, float, float]] = {
    "sigmoid_binary_cross_entropy": ("label_smoothing", 0.1, 0.2),
    "balanced_binary_cross_entropy": ("alpha", 0.3, 0.4),
    "sigmoid_focal_loss": ("gamma", 1.5, 2.5),
    "asymmetric_loss": ("gamma_neg", 3.5, 4.5),
    "smoothed_softmax_cross_entropy": ("label_smoothing", 0.1, 0.2),
    "softmax_focal_loss": ("gamma", 1.5, 2.5),
    "single_label_asymmetric_loss": ("gamma_neg", 1.5, 2.5),
    "factorized_count_loss": ("count_weight", 0.5, 1.5),
    "abs_kl_divergence": ("epsilon", 0.01, 0.02),
    "two_way_sample_loss": ("positive_temperature", 1.5, 2.5),
    "two_way_label_loss": ("positive_temperature", 1.5, 2.5),
    "two_way_loss": ("positive_temperature", 1.5, 2.5),
    "soft_f1_loss": ("epsilon", 0.1, 0.2),
    "soft_fbeta_loss": ("beta", 0.5, 1.5),
}

CASES: tuple[Case, ...] = (
    _row("sigmoid_binary_cross_entropy"),
    _row("sigmoid_binary_cross_entropy", pos_weight=PER_LABEL, label_smoothing=0.1),
    _row("binary_cross_entropy"),
    _row("balanced_binary_cross_entropy", alpha=0.75),
    _row("balanced_binary_cross_entropy", alpha=IN_UNIT),
    _row("multilabel_soft_margin_loss"),
    _row("multilabel_soft_margin_loss", label_weights=PER_LABEL),
    _row("ova_n_loss"),
    _row("sigmoid_focal_loss"),
    _row("sigmoid_focal_loss", gamma=0.5, alpha=0.25),
    _row("sigmoid_focal_loss", gamma=PER_LABEL, alpha=IN_UNIT),
    _row("asymmetric_loss"),
    _row("asymmetric_loss", gamma_pos=0.0, detach_focus=False),
    _row("asymmetric_loss", gamma_neg=PER_LABEL, gamma_pos=0.5, clip=0.0, detach_focus=False),
    _row("asymmetric_loss", gamma_neg=2.5, gamma_pos=1.5, clip=0.3),
    _row("softmax_cross_entropy"),
    _row("softmax_cross_entropy", normalize=False),
    _row("smoothed_softmax_cross_entropy"),
    _row("smoothed_softmax_cross_entropy", convention="uniform", label_smoothing=0.3),
    _row("softmax_focal_loss"),
    _row("softmax_focal_loss", gamma=0.5, alpha=PER_LABEL),
    _row("single_label_asymmetric_loss"),
    _row("single_label_asymmetric_loss", gamma_neg=1.5, gamma_pos=0.5, label_smoothing=0.3),
    _row("sparsemax_loss"),
    _row("entmax15_loss"),
    _row("factorized_count_loss"),
    _row("factorized_count_loss", count="poisson", count_weight=0.3),
    _row("factorized_count_loss", on="product"),
    _row("factorized_count_loss", count="poisson", on="product", count_weight=0),
    _row("abs_kl_divergence"),
    _row("abs_kl_divergence", activation="softmax", epsilon=0.01),
    _row("abs_kl_divergence", activation="exp"),
    _row("abs_kl_divergence", activation=None, epsilon=0.1),
    _row("lsep_loss"),
    _row("zlpr_loss"),
    _row("two_way_sample_loss"),
    _row("two_way_sample_loss", positive_temperature=1.0, negative_temperature=2.5),
    _row("two_way_label_loss"),
    _row("two_way_loss"),
    _row("soft_f1_loss"),
    _row("soft_f1_loss", activation="softmax"),
    _row("soft_fbeta_loss", beta=2.0, epsilon=0.01),
    _row("soft_fbeta_loss", beta=0.5, average="samples"),
    _row("soft_fbeta_loss", beta=0.5, average="micro"),
)

FIRST_OF_EACH: tuple[Case, ...] = tuple(
    next(case for case in CASES if case.name == name)
    for name in dict.fromkeys(case.name for case in CASES)
)
