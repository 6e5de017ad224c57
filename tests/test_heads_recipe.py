"""The recipes for many labels learn, on sets that are small enough for a test."""

import importlib.util
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture(autouse=True)
def promotion_that_optax_needs():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def main_of(name):
    return module_of(name).main


def module_of(name):
    specification = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_huge_label_set(tmp_path):
    found = main_of("huge_label_set")(num_labels=2000, steps=80, folder=str(tmp_path))
    assert found["last loss"] < 0.6 * found["first loss"]
    assert found["P@1"] > 0.8  # the most frequent label is true for 38 % of the samples
    assert found["P@5"] > 0.4
    assert (tmp_path / "head").exists()


def test_batches_come_in_the_same_order_with_and_without_grain(monkeypatch):
    pytest.importorskip("grain")
    recipe = module_of("huge_label_set")
    by_grain = list(itertools.islice(recipe.batches(50, seed=3), 3))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    plain = list(itertools.islice(recipe.batches(50, seed=3), 3))
    for ours, theirs in zip(plain, by_grain, strict=True):
        for array, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, other)
    assert not np.array_equal(plain[0][1], plain[1][1])


def test_the_tagger():
    found = main_of("tagger")(num_tags=200, steps=150)
    assert found["macro F1"] > 0.5  # predicting every tag gives 0.04
    assert found["macro MCC"] > 0.5
