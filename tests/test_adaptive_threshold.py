"""The thresholds that a model learns for each sample: their gradients, and their checks."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

import mllosses_jax as mll

GOLDEN = Path(__file__).parent / "golden"
LOSSES = {
    "atlop_adaptive_threshold": lambda params: (mll.adaptive_threshold_loss, {}),
    "ncrl_none_class_ranking": lambda params: (
        mll.none_class_ranking_loss,
        {"shift": params["shift"], "regularize": params["regulariser"]},
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_threshold_has_the_gradient_of_the_authors(name):
    cases = json.loads((GOLDEN / f"{name}.json").read_text())

    def total(thresholds):
        sums = 0.0
        for t, case in zip(thresholds, cases, strict=True):
            loss, parameters = LOSSES[name](case["params"])
            logits, labels = (np.array(case["inputs"][key]) for key in ("logits", "labels"))
            sums += loss(logits, labels, threshold_logits=t, reduction="sum", **parameters)
        return sums

    with jax.enable_x64(True):
        given = [np.array(case["inputs"]["threshold_logits"]) for case in cases]
        for found, case in zip(jit(jax.grad(total))(given), cases, strict=True):
            np.testing.assert_allclose(found, case["grad_threshold_logits"], rtol=1e-10)


@pytest.mark.parametrize("loss", [mll.adaptive_threshold_loss, mll.none_class_ranking_loss])
def test_only_differences_to_the_threshold_count(loss):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    y = rng.random(x.shape) < 0.4
    moved = loss(x - t[:, None], y, threshold_logits=jnp.zeros(6), reduction="none")
    np.testing.assert_allclose(
        loss(x, y, threshold_logits=t, reduction="none"), moved, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("loss", [mll.adaptive_threshold_loss, mll.none_class_ranking_loss])
def test_a_confident_sample_keeps_its_digits(loss):
    """One positive far above the threshold and no other label: the loss is about exp(t − x)."""
    x, t = jnp.array([[30.0]]), jnp.array([0.0])
    options = {"regularize": False} if loss is mll.none_class_ranking_loss else {}

    def at(x):
        return loss(x, jnp.array([[1]]), threshold_logits=t, **options)

    np.testing.assert_allclose(at(x), np.exp(-30), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(at)(x), -np.exp(-30)[None, None], rtol=1e-5)


def test_thresholds_are_checked():
    x, y = jnp.zeros((2, 3)), jnp.zeros((2, 3), bool)
    with pytest.raises(
        ValueError, match=r"threshold_logits must have one entry per sample.*\(3,\)"
    ):
        mll.adaptive_threshold_loss(x, y, threshold_logits=jnp.zeros(3))
    with pytest.raises(TypeError, match="threshold_logits must be a floating-point array"):
        mll.none_class_ranking_loss(x, y, threshold_logits=jnp.zeros(2, jnp.int32))
