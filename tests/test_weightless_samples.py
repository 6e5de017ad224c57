"""With sample weights that are all 0, every average reports that nothing is averaged."""

import inspect

import numpy as np
import pytest

from mllosses_jax import metrics

PREDICTED = np.array([[1, 0, 0], [0, 1, 1]])
SCORES = np.array([[0.9, 0.2, 0.4], [0.1, 0.8, 0.7]], np.float32)
TRUTH = np.array([[1, 0, 1], [0, 1, 1]])
NOTHING = np.zeros(2, np.float32)
WANTED = {"weights", "average", "zero_division"}
FUNCTIONS = {name: getattr(metrics, name) for name in metrics.__all__ if name != "streaming"}
RATIOS = [name for name, f in FUNCTIONS.items() if inspect.signature(f).parameters.keys() >= WANTED]


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("zero_division", [0.0, 0.25, 1.0, np.nan])
def test_ratios_are_what_zero_division_says(name, zero_division):
    needed = {"beta": 2.0} if name == "fbeta" else {}
    for average in ("micro", "macro", "weighted", "samples"):
        for where in (None, np.array([[True, True, False]])):
            found = getattr(metrics, name)(
                PREDICTED, TRUTH, average=average, weights=NOTHING, where=where,
                zero_division=zero_division, **needed,
            )  # fmt: skip
            np.testing.assert_array_equal(found, zero_division)


@pytest.mark.parametrize("name", ["brier_score", "binary_log_loss"])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "samples"])
def test_proper_scores_are_not_defined(name, average):
    found = getattr(metrics, name)(
        SCORES, TRUTH, inputs="probabilities", average=average, weights=NOTHING
    )
    assert np.isnan(found)


def test_a_single_sample_that_weighs_is_the_average():
    found = metrics.f1(PREDICTED, TRUTH, average="samples", weights=np.array([0.0, 1.0]))
    assert found == 1
    only = np.array([[True], [False]])  # the only sample with a weight is masked
    found = metrics.f1(
        PREDICTED, TRUTH, average="samples", weights=np.array([0.0, 1.0]), where=only
    )
    assert found == 0
