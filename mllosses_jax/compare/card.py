"""The data card: what a data set is like, before anything is trained on it."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import jax
import numpy as np

from mllosses_jax._core.text import printable
from mllosses_jax.data import Dataset
from mllosses_jax.data.dataset import PARTS
from mllosses_jax.metrics import label_statistics

FEW_POSITIVES = 10
NUM_NAMES = 8


def data_card(dataset: Dataset) -> dict[str, Any]:
    """Returns statistics of a data set's training part, by name.

    Cardinality, density and mean imbalance ratio are those of `metrics.label_statistics`. Unknown
    labels are not counted. For a table, the card also says which columns were left out, how many
    numbers of the training part were missing, and replaced by the median of their column there, and
    which columns of texts became one column of 0 and 1 for each text.
    """
    y, mask, groups = dataset.y_train, dataset.mask_train, dataset.groups_train
    shape = dataset.feature_shape
    features: dict[str, Any] = {
        "features": shape[0] if len(shape) == 1 else list(shape),
        "sparse_features": dataset.sparse,
        **_preparation(dataset),
    }
    statistics = jax.device_get(label_statistics(y, where=mask))
    positives = statistics.counts
    return {
        "name": dataset.name,
        f"{first_part(dataset)}_rows": len(y),
        **({} if dataset.y_validation is None else {"validation_rows": len(dataset.y_validation)}),
        "test_rows": 0 if dataset.y_test is None else len(dataset.y_test),
        **(features if 0 not in shape else {}),
        "labels": y.shape[1],
        "label_names": list(dataset.label_names),
        "cardinality": _rounded(statistics.cardinality, 4),
        "density": _rounded(statistics.density, 5),
        "mean_imbalance_ratio": _rounded(statistics.mean_imbalance_ratio, 2),
        f"labels_with_fewer_than_{FEW_POSITIVES}_positives": int((positives < FEW_POSITIVES).sum()),
        "labels_without_a_positive": int((positives == 0).sum()),
        "rows_without_a_label": int((~y.any(1)).sum()),
        "unknown_entries": 0 if mask is None else int((~mask).sum()),
        **({} if groups is None else {"groups": len(np.unique(groups))}),
    }


def first_part(dataset: Dataset) -> str:
    """Returns what the first part is for: training, or validation if rows have no features."""
    return "validation" if 0 in dataset.feature_shape else "training"


def _preparation(dataset: Dataset) -> dict[str, Any]:
    """Returns what was done to the columns of a table to make features of them."""
    encoder = dataset.encoder
    if encoder is None:
        return {}
    kinds = encoder.categories
    return {
        "columns_left_out": list(encoder.left_out),
        "numbers_filled_in_by_column": {
            name: count for name, count in encoder.missing.items() if name not in kinds
        },
        "categories_by_column": {name: len(texts) for name, texts in kinds.items()},
    }


def in_words(value: Any) -> str:
    """Returns an entry of the card as it is shown to a reader."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name} ({count})" for name, count in value.items()]
    if isinstance(value, list):
        more = f" and {len(value) - NUM_NAMES} more" if len(value) > NUM_NAMES else ""
        return f"{', '.join(printable(str(each)) for each in value[:NUM_NAMES])}{more}" or "none"
    return "none" if value is None else printable(str(value))


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(float(value), digits)


def fingerprint(dataset: Dataset) -> str:
    """Returns the SHA-256 of all arrays, which is the same for the same data."""
    digest = hashlib.sha256()
    kinds = ("x", "y", "mask", "groups")
    for name in (f"{kind}_{part}" for part in PARTS for kind in kinds):
        array = getattr(dataset, name)
        if array is not None:
            digest.update(f"{name}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
