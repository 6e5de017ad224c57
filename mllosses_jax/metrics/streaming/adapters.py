"""Accumulators as metrics of other libraries, which are imported here, and only on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax.metrics.streaming._accumulator import Accumulator

if TYPE_CHECKING:
    import clu.metrics
    from flax import nnx

State = TypeVar("State", bound=Accumulator)


def as_clu(
    empty: State,
    compute: Callable[[State], Any],
    *,
    outputs: str = "logits",
    labels: str = "labels",
    mask: str = "mask",
) -> type[clu.metrics.Metric]:
    """An accumulator as a metric class for `clu.metrics.Collection`, and so for metrax.

    Args:
        empty: the accumulator of no data, from `init`.
        compute: a function that computes the metric from the accumulator.
        outputs: name of the model output that the accumulator takes first: "logits", or the name
            under which you pass probabilities or predicted sets.
        labels: name of the model output with the labels.
        mask: name of the optional model output that says which samples (N,) or entries (N, L)
            count: bool, or numbers that are not 0 where they do.

    Returns:
        A subclass of `clu.metrics.Metric`.

    Raises:
        ImportError: if clu is not installed.

    Reference:
        clu, https://github.com/google/CommonLoopUtils; metrax,
        https://github.com/google/metrax.

    Example:
        >>> from mllosses_jax.metrics import streaming
        >>> empty = streaming.ScoreHistogram.init(80, inputs="logits")
        >>> mean_ap = streaming.as_clu(  # doctest: +SKIP
        ...     empty, lambda state: state.average_precision().estimate
        ... )
        >>> Metrics = clu.metrics.Collection.create(mean_ap=mean_ap)  # doctest: +SKIP
    """
    import clu.metrics
    import flax

    @flax.struct.dataclass
    class StreamingMetric(clu.metrics.Metric):  # type: ignore[misc]
        """Wraps an accumulator."""

        state: Any

        @classmethod
        def empty(cls) -> Self:
            return cls(state=empty)

        @classmethod
        def from_model_output(cls, **model_output: ArrayLike) -> Self:
            return cls(state=_updated(empty, model_output, outputs, labels, mask))

        def merge(self, other: Self) -> Self:
            return type(self)(state=self.state.merge(other.state))

        def compute(self) -> Any:
            return compute(self.state)

    return StreamingMetric


def as_nnx(
    empty: State,
    compute: Callable[[State], Any],
    *,
    outputs: str = "logits",
    labels: str = "labels",
    mask: str = "mask",
) -> nnx.Metric:
    """An accumulator as an `nnx.Metric`, alone or in an `nnx.MultiMetric`.

    Args:
        empty: the accumulator of no data, from `init`.
        compute: a function that computes the metric from the accumulator.
        outputs: name of the argument of `update` that the accumulator takes first.
        labels: name of the argument of `update` with the labels.
        mask: name of the optional argument that says which samples (N,) or entries (N, L) count:
            bool, or numbers that are not 0 where they do. (`nnx.MultiMetric` knows "mask".)

    Returns:
        A metric with `reset`, `update` and `compute`, usable under `nnx.jit`.

    Raises:
        ImportError: if flax is not installed.

    Reference:
        Flax NNX, https://flax.readthedocs.io.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.metrics import streaming
        >>> empty = streaming.ConfusionCounts.init(2)
        >>> metric = streaming.as_nnx(empty, lambda state: state.f1(), outputs="predictions")
        >>> metric.update(predictions=jnp.array([[1, 0]]), labels=jnp.array([[1, 0]]))
        >>> print(metric.compute())
        0.5
    """
    from flax import nnx

    class StreamingMetric(nnx.Metric):
        """Wraps an accumulator."""

        def __init__(self) -> None:
            self.state = nnx.metrics.MetricState(_copy(empty))

        def reset(self) -> None:
            self.state.set_value(_copy(empty))

        def update(self, **kwargs: Any) -> None:
            state = self.state.get_value()
            self.state.set_value(_updated(state, kwargs, outputs, labels, mask))

        def compute(self) -> Any:
            return compute(self.state.get_value())

    return StreamingMetric()


def _updated(state: Any, given: dict[str, Any], outputs: str, labels: str, mask: str) -> Any:
    missing = [name for name in (outputs, labels) if name not in given]
    if missing:
        raise TypeError(f"{missing[0]} must be passed by name, got only {sorted(given)}")
    where = given.get(mask)
    if where is not None:
        where = checks.array(mask, where)
        where = where if where.dtype == jnp.bool_ else where != 0
        where = where[:, None] if where.ndim == 1 else where
    return state.update(given[outputs], given[labels], where=where)


def _copy(state: Any) -> Any:
    # A training step may donate the buffers of a metric, which must not be those of `empty`.
    return jax.tree.map(jnp.copy, state)
