"""Calibrators refuse labels that are none, before they fit anything."""

import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import calibration
from mllosses_jax.calibration import affine, beta, isotonic

FITS = {
    name: getattr(calibration, f"fit_{name}")
    for name in ("temperature", "bias", "platt", "beta", "isotonic")
}


@pytest.mark.parametrize("name", FITS)
def test_invalid_labels_are_refused(name):
    logits = np.linspace(-2, 2, 12, dtype=np.float32).reshape(6, 2)
    labels = (logits + 0.3 > 0).astype(np.float32)
    where = np.ones(labels.shape, bool)
    where[1, 1] = False
    for wrong, message in (
        (2, "labels must lie in .0, 1. where they count, got 2.0"),
        (np.nan, "NaN"),
    ):
        broken = labels.copy()
        broken[1, 1] = wrong
        with pytest.raises(ValueError, match=f"fit_{name}: .*{message}"):
            FITS[name](logits, jnp.asarray(broken))
        FITS[name](logits, broken, where=where)
    weights = np.where(np.arange(6) == 1, 0, 1).astype(np.float32)
    assert np.isfinite(FITS[name](logits, broken, weights=weights)(logits)).all()


@pytest.mark.parametrize("name", FITS)
def test_labels_are_looked_at_before_anything_is_fitted(name, monkeypatch):
    def fit(*_):
        raise AssertionError("fitting has begun")

    for module in (affine, beta):
        monkeypatch.setattr(module, "fit_model", fit)
    monkeypatch.setattr(isotonic, "isotonic_curves", fit)
    logits = np.zeros((7, 5), np.float32)  # a shape for which no test has compiled a fit
    labels = np.zeros((7, 5), np.float32)
    with pytest.raises(AssertionError, match="fitting has begun"):
        FITS[name](logits, labels)
    for wrong, message in ((1.5, "must lie in"), (-1, "must lie in"), (np.nan, "NaN")):
        labels[6, 4] = wrong
        for given in (labels, jnp.asarray(labels)):
            with pytest.raises(ValueError, match=rf"^fit_{name}: .*{message}.* at \(6, 4\)"):
                FITS[name](logits, given)
    with pytest.raises(ValueError, match=rf"^fit_{name}: labels must lie in .*, got 2 at \(0, 0\)"):
        FITS[name](logits, np.full((7, 5), 2))
