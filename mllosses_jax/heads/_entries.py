"""A loss as a function of the logits of some labels, with its parameters for these labels.

What makes a head possible without a logit matrix is that the loss of an entry needs no other logit.
Three losses need a number that they compute from all labels, although from no logit: it is computed
once, from the parameters or from the ids of the positives, and handed to each chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core import checks
from mllosses_jax._core.compile import is_traced
from mllosses_jax._core.frequencies import proper_counts, rebalanced_from_rate
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName
from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.heads._two_sweep import TWO_SWEEP, TwoSweep
from mllosses_jax.heads.sparse_labels import distinct
from mllosses_jax.heads.supported import why_unsupported
from mllosses_jax.losses import (
    distribution_balanced_loss,
    ldam_loss,
    weak_assume_negative_loss,
)

RESERVED = {
    "labels": "positives",
    "logits": "features and kernel",
    "weights": "label_weights and sample_weights",
    "where": "where and unknown",
    "reduction": "reduction",
    "axis_name": "axis_name",
}


class Parameters(NamedTuple):
    """The parameters of a loss that are arrays.

    Attributes:
        per_label: arrays (L,), by name.
        scalars: arrays (), by name.
    """

    per_label: dict[str, Array]
    scalars: dict[str, Array]


class Labels(NamedTuple):
    """What is known of all labels before any logit is.

    Attributes:
        positives: ids (B, K) that count from the first label of this device; those outside
            [0, size) are ignored.
        size: the number of labels of this device.
        number: the number of labels of all devices.
        end: the number of labels from the first of this device to the last of all.
        known: int32 (B,), how many labels of each sample count; None if all do.
        axis_name: the mesh axis over which the labels are split, or None.
    """

    positives: Array
    size: int
    number: int
    end: Array | int
    known: Array | None
    axis_name: AxisName


@dataclass(frozen=True)
class Entries:
    """A separable loss with the parameters that are constants of the program.

    Attributes:
        loss: the loss.
        constants: names and values of parameters.
    """

    loss: Callable[..., Any]
    constants: tuple[tuple[str, Any], ...]

    def __call__(
        self, logits: Array, labels: Array, parameters: Parameters, shared: dict[str, Array]
    ) -> Array:
        """Returns the unreduced losses (B, C) of the labels of a chunk.

        Args:
            logits: float array (B, C).
            labels: bool array (B, C).
            parameters: those of the chunk.
            shared: what `shared_numbers` returned.
        """
        given = dict(self.constants) | parameters.per_label | parameters.scalars
        whole = WHOLES.get(self.loss)
        if whole is not None:
            return whole.entries(logits, labels, given, shared)
        losses: Array = self.loss(logits, labels, reduction="none", **given)
        return losses

    @property
    def needs_all_labels(self) -> bool:
        """Whether there are numbers that the entries need of all labels."""
        return self.loss in WHOLES

    def shared_numbers(self, parameters: Parameters, labels: Labels) -> dict[str, Array]:
        """Returns what the entries need of all labels: arrays () or (B, 1), by name."""
        whole = WHOLES.get(self.loss)
        if whole is None:
            return {}
        given = dict(self.constants) | parameters.per_label | parameters.scalars
        return whole.shared(given, labels)


@dataclass(frozen=True)
class Whole:
    """How a loss that needs numbers of all labels is computed in chunks.

    Attributes:
        shared: gives these numbers from the parameters and what is known of the labels.
        entries: gives the losses of a chunk from its logits, labels, parameters and these numbers.
    """

    shared: Callable[[dict[str, Any], Labels], dict[str, Array]]
    entries: Callable[[Array, Array, dict[str, Any], dict[str, Array]], Array]


def bound_entries(
    loss: Callable[..., Any], loss_kwargs: Mapping[str, Any] | None, num_labels: int
) -> tuple[Entries | TwoSweep, Parameters]:
    """Returns the loss with its constants, and its parameters that are arrays.

    Raises:
        TypeError: if a keyword is unknown or belongs to the head.
        ValueError: if the loss can be computed neither in one sweep over the labels nor in two,
            or an array is neither () nor (L,).
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function, got {loss!r}")
    if not isinstance(loss_kwargs, Mapping | None):
        raise TypeError(f"loss_kwargs must be a mapping, got {loss_kwargs!r}")
    given = dict(loss_kwargs or {})
    _check_separable(loss)
    for name in given:
        if name in RESERVED:
            raise TypeError(f"loss_kwargs must not hold {name!r}; the head takes {RESERVED[name]}")
    _check_call(loss, given, num_labels)
    constants, per_label, scalars = [], {}, {}
    for name, value in sorted(given.items()):
        if not is_traced(value):
            constants.append((name, value))
            continue
        array = checks.array(f"loss_kwargs[{name!r}]", value)
        if array.shape == (num_labels,):
            per_label[name] = array
        elif array.ndim == 0:
            scalars[name] = array
        else:
            raise ValueError(
                f"loss_kwargs[{name!r}] must be a scalar or have shape ({num_labels},), one entry "
                f"per label, got {array.shape}"
            )
    parameters = Parameters(per_label, scalars)
    if loss in TWO_SWEEP:
        return TwoSweep(loss, tuple(constants)), parameters
    return Entries(loss, tuple(constants)), parameters


def _check_separable(loss: Callable[..., Any]) -> None:
    reason = why_unsupported(loss)
    if reason is None:
        return
    separable = (e.name for e in CATALOGUE if e.separable and why_unsupported(e.loss) is None)
    raise ValueError(
        f"{loss.__name__} {reason}, so it cannot be computed in chunks of labels; the separable "
        f"losses are {', '.join(separable)}; losses of samples in two sweeps are "
        f"{', '.join(loss.__name__ for loss in TWO_SWEEP)}"
    )


def _check_call(loss: Callable[..., Any], given: Mapping[str, Any], num_labels: int) -> None:
    """Lets the loss itself check its parameters, and raises if its values are not as expected."""

    def losses(logits: Array, labels: Array) -> Array:
        result: Array = loss(logits, labels, reduction="none", **given)
        return result

    shape = (1, num_labels)
    like = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape, jnp.bool_)
    result = jax.eval_shape(losses, *like)
    if loss in TWO_SWEEP:
        return
    if getattr(result, "shape", None) != shape:
        name = getattr(loss, "__name__", repr(loss))
        raise ValueError(
            f'loss must return one loss per entry with reduction="none": for logits {shape}, '
            f"{name} returned {result}"
        )


def _fewest(given: dict[str, Any], labels: Labels) -> dict[str, Array]:
    counts = jnp.asarray(given["label_counts"], jnp.float32)
    if labels.axis_name is None:
        assert isinstance(labels.end, int)
        return {"fewest": jnp.maximum(jnp.min(counts[: labels.end] if counts.ndim else counts), 1)}
    counts = jnp.maximum(counts, 1)
    if not counts.ndim:
        return {"fewest": counts}
    counts = jnp.where(jnp.arange(len(counts)) < labels.end, counts, jnp.inf)
    lowest = lax.pmin(lax.stop_gradient(jnp.min(counts)), labels.axis_name)  # has no derivative
    ties = counts == lowest
    number = all_sum(jnp.sum(ties, dtype=jnp.float32), labels.axis_name)
    fewest = all_sum(jnp.sum(jnp.where(ties, counts, 0)), labels.axis_name) / number
    return {"fewest": fewest}


def _ldam(z: Array, y: Array, given: dict[str, Any], shared: dict[str, Array]) -> Array:
    """Scales the largest margin, which the loss gives to the rarest label of the chunk."""
    rarest = jnp.min(jnp.maximum(jnp.asarray(given["label_counts"], jnp.float32), 1))
    factor = (shared["fewest"] / rarest) ** 0.25
    given = given | {"max_margin": given.get("max_margin", 0.5) * factor}
    losses: Array = ldam_loss(z, y, reduction="none", **given)
    return losses


def _others(given: dict[str, Any], labels: Labels) -> dict[str, Array]:
    known = jnp.asarray(labels.number) if labels.known is None else labels.known[:, None]
    return {"gamma": 1 / jnp.maximum(known - 1, 1).astype(jnp.float32)}


def _weak_assume_negative(
    z: Array, y: Array, given: dict[str, Any], shared: dict[str, Array]
) -> Array:
    """Gives negatives the default weight, one over the number of other labels, afterwards."""
    if given.get("gamma") is not None:
        losses: Array = weak_assume_negative_loss(z, y, reduction="none", **given)
        return losses
    losses = weak_assume_negative_loss(z, y, reduction="none", **(given | {"gamma": 1}))
    return jnp.where(y, losses, shared["gamma"] * losses)


def _rate(given: dict[str, Any], labels: Labels) -> dict[str, Array]:
    counted = distinct(labels.positives) & (labels.positives < labels.size)
    counts, total = jnp.asarray(given["label_counts"]), jnp.asarray(given["num_samples"])
    of_positives = jnp.where(counted, labels.positives, 0)  # of all, an array would be held
    counts, total = (x[of_positives] if x.ndim else x for x in (counts, total))
    counts, _ = proper_counts(counts, total)
    rate = jnp.sum(jnp.where(counted, 1 / counts, 0), axis=1, keepdims=True)
    return {"rate": all_sum(rate, labels.axis_name)}


def _distribution_balanced(
    z: Array, y: Array, given: dict[str, Any], shared: dict[str, Array]
) -> Array:
    """Rebalances a loss whose own weights are all 1, with the rate of the whole sample."""
    defaults = {"alpha": 0.1, "beta": 10.0, "mu": 0.2} | given
    counts, _ = proper_counts(jnp.asarray(given["label_counts"]), jnp.asarray(given["num_samples"]))
    alpha, beta, mu = (jnp.asarray(defaults[name], z.dtype) for name in ("alpha", "beta", "mu"))
    counts = counts[None] if counts.ndim else counts
    weights = rebalanced_from_rate(shared["rate"], counts, alpha, beta, mu)
    flat = given | {"alpha": 0.5, "beta": 0}
    losses: Array = distribution_balanced_loss(z, y, reduction="none", **flat)
    return weights * losses


WHOLES: dict[Callable[..., Any], Whole] = {
    ldam_loss: Whole(_fewest, _ldam),
    weak_assume_negative_loss: Whole(_others, _weak_assume_negative),
    distribution_balanced_loss: Whole(_rate, _distribution_balanced),
}
