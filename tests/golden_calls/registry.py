"""One golden case, and the registry of the calls that match the cases."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Case(NamedTuple):
    """One golden case, with its arrays in the dtype of the run."""

    name: str
    index: int
    stored: dict[str, Any]
    dtype: Any = np.float64

    @property
    def params(self) -> dict[str, Any]:
        return self.stored["params"]

    @property
    def reduction(self) -> str:
        """The reduction, for files that name it as we do."""
        return self.stored["reduction"].split(" (")[0]

    def array(self, name: str) -> np.ndarray | None:
        """Returns an input, or None if the case does not have it."""
        values = self.stored["inputs"].get(name)
        return None if values is None else np.array(values, self.dtype)

    @property
    def variable(self) -> np.ndarray:
        """The variable of the gradient: logits, or embeddings whose products are the logits."""
        inputs = self.stored["inputs"]
        return self.array(next(name for name in ("emb", "features", "logits") if name in inputs))

    @property
    def gradient(self) -> np.ndarray:
        """The stored gradient with respect to `variable`."""
        names = ("grad_emb", "grad_features", "grad_logits")
        name = next(name for name in names if name in self.stored)
        return np.array(self.stored[name], np.float64)

    @property
    def labels(self) -> np.ndarray:
        return self.array("labels")

    @property
    def ids(self) -> np.ndarray:
        return np.array(self.stored["inputs"]["target"])

    @property
    def one_hot(self) -> np.ndarray:
        return np.eye(7, dtype=self.dtype)[self.ids]

    def __str__(self) -> str:
        return f"{self.name}-{self.index}"


MAPPINGS: dict[str, Callable[[jax.Array, Case], jax.Array]] = {}


def golden(mapping: Callable[[jax.Array, Case], jax.Array]) -> Callable[..., jax.Array]:
    """Registers the mapping for the file of the same name."""
    MAPPINGS[mapping.__name__] = mapping
    return mapping
