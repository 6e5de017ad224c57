"""The picture of a loss and its gradient that `mllosses describe --plot` draws."""

import numpy as np
import pytest

from mllosses_jax import catalogue
from mllosses_jax.cli import loss_plot
from mllosses_jax.cli.errors import UsageError

ROWS, LABELS = 40, 4


def test_curves_of_cross_entropy():
    p = loss_plot.PROBABILITIES.astype(np.float64)
    for positive, value, slope in ((True, -np.log(p), p - 1), (False, -np.log1p(-p), p)):
        loss, gradient = loss_plot.curves("sigmoid_binary_cross_entropy", positive)
        np.testing.assert_allclose(loss, value, rtol=1e-4)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_curves_of_a_sample_loss_are_those_of_one_sample():
    p = loss_plot.PROBABILITIES.astype(np.float64)
    loss, _ = loss_plot.curves("zlpr_loss", True)  # one more positive and two negatives at logit 0
    np.testing.assert_allclose(loss, np.log(2 + (1 - p) / p) + np.log(3), rtol=1e-4)


def test_curves_are_those_of_an_entry_among_others_that_count():
    p = loss_plot.PROBABILITIES.astype(np.float64)
    loss, _ = loss_plot.curves("weak_assume_negative_loss", False)
    np.testing.assert_allclose(loss, -np.log1p(-p) / 3, rtol=1e-4)  # four labels
    loss, _ = loss_plot.curves("large_loss_rejection", False)
    np.testing.assert_allclose(loss, np.where(p < 0.499, -np.log1p(-p), 0), rtol=1e-4)
    loss, _ = loss_plot.curves("hierarchical_coherence_loss", False)
    np.testing.assert_allclose(loss, -np.log1p(-np.maximum(p, 0.5)), rtol=1e-4)
    loss, _ = loss_plot.curves("hierarchy_penalty", False)
    np.testing.assert_allclose(loss, np.maximum(0.5 - p, 0) ** 2, rtol=1e-4, atol=1e-7)
    loss, _ = loss_plot.curves("label_graph_penalty", False)
    assert np.all(np.diff(loss[p < 0.49]) < 0)  # it falls towards the neighbour's probability
    loss, _ = loss_plot.curves("equalization_loss", False)
    np.testing.assert_allclose(loss, 0, atol=0)
    loss, _ = loss_plot.curves("logit_adjusted_binary_cross_entropy", True)
    np.testing.assert_allclose(loss, np.log1p(3 * (1 - p) / p), rtol=1e-4)  # a prior of 1/4


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.CATALOGUE])
def test_every_loss_has_finite_curves(name):
    for positive in (False, True):
        loss, gradient = loss_plot.curves(name, positive)
        assert np.all(np.isfinite(loss))
        assert np.all(np.isfinite(gradient))


def test_picture(tmp_path):
    path = tmp_path / "asymmetric.png"
    loss_plot.draw("asymmetric_loss", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="exists and is not overwritten"):
        loss_plot.draw("asymmetric_loss", path)
    with pytest.raises(UsageError, match=r"must name a \.png file"):
        loss_plot.draw("asymmetric_loss", tmp_path / "picture.jpg")
    with pytest.raises(UsageError, match="is not a folder"):
        loss_plot.draw("asymmetric_loss", tmp_path / "nowhere" / "picture.png")
