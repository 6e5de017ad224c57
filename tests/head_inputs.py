"""A small head for the tests of `heads`, with every trap that sparse labels have."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES, NUM_LABELS

from mllosses_jax import heads

BATCH, FEATURES, LABELS, CHUNK = 6, 4, 29, 8  # no chunk divides the labels
# A row without positives, one id twice, both sides of borders of chunks, padding in between.
POSITIVES = np.array(
    [[-1, -1, -1], [3, 3, -1], [7, 8, 15], [28, -1, 0], [16, 24, 23], [5, 28, 12]], np.int32
)
UNKNOWN = np.array([[4, -1], [-1, -1], [8, 8], [27, 28], [0, 1], [-1, 5]], np.int32)
WHERE = np.array([True, True, True, False, True, True])

SEPARABLE = [
    dataclasses.replace(
        case,
        kwargs={
            name: np.resize(value, LABELS) if np.shape(value) == (NUM_LABELS,) else value
            for name, value in case.kwargs.items()
        },
    )
    for case in CASES
    if case.entry.separable and case.entry.takes == "logits" and case.inputs is None
]


@dataclasses.dataclass(frozen=True)
class Head:
    """Features (B, D), a kernel (L, D), and a bias and weights (L,), in float32."""

    features: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    label_weights: np.ndarray
    sample_weights: np.ndarray

    @property
    def logits(self) -> np.ndarray:
        """The logits in float64."""
        features, kernel, bias = (
            x.astype(np.float64) for x in (self.features, self.kernel, self.bias)
        )
        return features @ kernel.T + bias


def make_head(seed=0, batch=BATCH, labels=LABELS, features=FEATURES):
    rng = np.random.default_rng(seed)
    draw = [
        rng.normal(size=(batch, features)),
        rng.normal(size=(labels, features)),
        rng.normal(size=labels),
        rng.uniform(0.5, 2, size=labels),
        rng.uniform(0.5, 2, size=batch),
    ]
    return Head(*(x.astype(np.float32) for x in draw))


HEAD = make_head()
LABEL_MATRIX = np.asarray(heads.positives_to_dense(POSITIVES, LABELS))


def known_entries(unknown=None, where=None):
    """Returns which entries count, bool (B, L)."""
    known = np.ones((BATCH, LABELS), bool)
    if unknown is not None:
        known &= ~np.asarray(heads.positives_to_dense(unknown, LABELS))
    return known if where is None else known & where[:, None]


def in_float64(tree):
    """Returns arrays of floats in float64, inside `jax.enable_x64`."""

    def wide(x):
        is_float = isinstance(x, np.ndarray | jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)
        return np.asarray(x).astype(np.float64) if is_float else x

    return jax.tree.map(wide, tree)


def assert_close(found, expected, rtol=2e-5, atol=2e-6):
    """Asserts that trees of arrays are equal, up to errors relative to the largest entry."""
    for leaves in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        one, other = (np.asarray(leaf, np.float64) for leaf in leaves)
        scale = max(np.abs(other).max(initial=0), 1)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol * scale)
