"""Real data sets beside the repository are read in place, and their counts must agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mllosses_jax.data import DataError, load

FOLDER = Path(__file__).parents[2] / "shared" / "data"
MANIFEST = FOLDER / "manifest.json"
pytestmark = pytest.mark.skipif(not MANIFEST.is_file(), reason=f"no real data at {FOLDER}")
SETS = json.loads(MANIFEST.read_text()) if MANIFEST.is_file() else {}


@pytest.mark.parametrize("name", [name for name, facts in SETS.items() if facts["d"]])
def test_counts_are_those_of_the_manifest(name: str) -> None:
    facts = SETS[name]
    data = load(FOLDER / f"{name}.npz")
    assert data.name == name
    assert data.x_train.shape == (facts["n_train"], facts["d"])
    assert data.y_train.shape == (facts["n_train"], facts["L"])
    assert data.x_test is not None
    assert data.y_test is not None
    assert len(data.x_test) == len(data.y_test) == facts["n_test"]
    assert len(data.label_names) == facts["L"]
    assert data.sparse == (facts["layout"] == "csr")
    positives = data.y_train.sum(0)
    low, middle, high = facts["train_pos_min_med_max"]
    assert (positives.min(), np.median(positives), positives.max()) == (low, middle, high)
    both = np.concatenate([data.y_train, data.y_test])
    assert (~both.any(1)).sum() == facts["empty_rows"]
    assert both.sum(1).mean() == pytest.approx(facts["cardinality"], abs=1e-4)
    if "observed_fraction" in facts:
        masks = (data.mask_train, data.mask_test)
        seen = np.concatenate([mask for mask in masks if mask is not None])
        assert seen.shape == both.shape
        assert seen.mean() == pytest.approx(facts["observed_fraction"])
    else:
        assert data.mask_train is None
        assert data.mask_test is None


@pytest.mark.parametrize("name", [name for name, facts in SETS.items() if not facts["d"]])
def test_labels_without_features_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=rf"{name}\.npz: no array X_train"):
        load(FOLDER / f"{name}.npz")
