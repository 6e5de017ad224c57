"""A head on meshes of eight devices, for the tests of heads over meshes."""

import jax
import jax.numpy as jnp
import numpy as np
from head_inputs import LABELS, make_head
from jax.sharding import AxisType

from mllosses_jax import heads

BATCH, ROWS, CHUNK = 8, 32, 3  # 29 labels on four or eight devices; chunks that divide no part
HEAD = make_head(batch=BATCH)
RNG = np.random.default_rng(0)
POSITIVES = RNG.integers(-1, LABELS, (BATCH, 4)).astype(np.int32)
POSITIVES[0], POSITIVES[1] = -1, [0, 7, 8, 28]
UNKNOWN = RNG.integers(-1, LABELS, (BATCH, 2)).astype(np.int32)
WHERE = np.arange(BATCH) % 3 != 1
MASKED = {
    "unknown": UNKNOWN,
    "where": WHERE,
    "label_weights": HEAD.label_weights,
    "sample_weights": HEAD.sample_weights,
}


def make_mesh(shape=(2, 4), names=("data", "label"), kind=AxisType.Auto):
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(shape))


MESHES = {
    "data and label": (make_mesh(), {}),
    "label": (make_mesh((8,), ("label",)), {"data_axis": None}),
    "data": (make_mesh((8,), ("data",)), {"label_axis": None}),
    "other names": (make_mesh((4, 2), ("x", "y")), {"data_axis": "y", "label_axis": "x"}),
}


def padded(mesh, axes, array, label_axis=0):
    name = axes.get("label_axis", "label")
    if name is None:
        return jnp.asarray(array)
    return heads.pad_to_mesh(jnp.asarray(array), mesh, mesh_axis=name, label_axis=label_axis)
