"""The recipes for many labels learn, on sets that are small enough for a test."""

import importlib.util
from pathlib import Path

import jax
import pytest

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture(autouse=True)
def promotion_that_optax_needs():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def main_of(name):
    specification = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.main


def test_a_huge_label_set(tmp_path):
    found = main_of("huge_label_set")(num_labels=2000, steps=80, folder=str(tmp_path))
    assert found["last loss"] < 0.6 * found["first loss"]
    assert found["P@1"] > 0.8  # the most frequent label is true for 38 % of the samples
    assert found["P@5"] > 0.4
    assert (tmp_path / "head").exists()


def test_the_tagger():
    found = main_of("tagger")(num_tags=200, steps=150)
    assert found["macro F1"] > 0.5  # predicting every tag gives 0.04
    assert found["macro MCC"] > 0.5
