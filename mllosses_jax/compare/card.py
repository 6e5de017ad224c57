"""The data card: what a data set is like, before anything is trained on it."""

import hashlib
from typing import Any

import numpy as np

from mllosses_jax.data import Dataset

FEW_POSITIVES = 10


def data_card(dataset: Dataset) -> dict[str, Any]:
    """Returns the figures of a data set's training part, by name.

    Cardinality is the mean number of labels of a row, density that divided by the number of
    labels, and mean imbalance ratio the mean over labels (with a positive) of the positives of
    the most frequent label divided by theirs (Charte et al. 2015). Unknown labels count nowhere.
    """
    y, mask = dataset.y_train, dataset.mask_train
    positives = y.sum(0)
    present = positives[positives > 0]
    known = y.size if mask is None else int(mask.sum())
    return {
        "name": dataset.name,
        "training_rows": len(y),
        "test_rows": 0 if dataset.y_test is None else len(dataset.y_test),
        "features": dataset.x_train.shape[1],
        "sparse_features": dataset.sparse,
        "labels": y.shape[1],
        "cardinality": round(float(y.sum() / len(y)), 4),
        "density": round(float(y.sum() / max(known, 1)), 5),
        "mean_imbalance_ratio": round(float((present.max() / present).mean()), 2)
        if present.size
        else None,
        f"labels_with_fewer_than_{FEW_POSITIVES}_positives": int((positives < FEW_POSITIVES).sum()),
        "labels_without_a_positive": int((positives == 0).sum()),
        "rows_without_a_label": int((~y.any(1)).sum()),
        "unknown_entries": y.size - known,
    }


def fingerprint(dataset: Dataset) -> str:
    """Returns a SHA-256 of all arrays: the same data give the same fingerprint."""
    digest = hashlib.sha256()
    for part in ("train", "test"):
        for kind in ("x", "y", "mask"):
            array = getattr(dataset, f"{kind}_{part}")
            if array is not None:
                digest.update(f"{kind}_{part}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
