"""Cross-entropy of probabilities: invalid ones are refused, certainty has a finite gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import binary_cross_entropy

WRONG = ([[1.5, -0.2, 3.0]], [[0.5, 0.5, 1.25]], [[-1e-3, 0.2, 0.9]], [[0.1, np.inf, 0.2]])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
@pytest.mark.parametrize("p", WRONG, ids=str)
def test_invalid_probabilities_are_refused(p, dtype):
    p, y = np.array(p).astype(dtype), np.array([[1, 0, 1]])
    outside = ~((p >= 0) & (p <= 1))
    for given in (p, jnp.asarray(p)):
        with pytest.raises(ValueError, match=r"binary_cross_entropy: probabilities must lie in \["):
            binary_cross_entropy(given, y)
        with pytest.raises(ValueError, match="were logits passed"):
            binary_cross_entropy(probabilities=given, labels=y, where=np.ones((1, 1), bool))
    assert np.isfinite(binary_cross_entropy(p, y, where=~outside))
    losses = jax.jit(lambda p: binary_cross_entropy(p, y, reduction="none"))(p)
    np.testing.assert_array_equal(np.isnan(losses), outside)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_gradient_of_certainty_is_finite(y, dtype):
    smallest = float(jnp.finfo(dtype).smallest_subnormal)
    p = np.array([[0.0, smallest, float(jnp.finfo(dtype).tiny), 1e-3, 0.5, 1.0]]).astype(dtype)
    labels = np.full(p.shape, y, np.float32)
    gradient = np.asarray(jax.grad(lambda p: binary_cross_entropy(p, labels, reduction="sum"))(p))
    assert gradient.dtype == dtype
    assert np.isfinite(gradient.astype(np.float32)).all()
    exact = p.astype(np.float64)
    slope = (1 - y) / np.maximum(1 - exact, 1e-12) - y / np.maximum(exact, 1e-12)
    moderate = np.abs(slope) < 1e4  # beyond it float16 is about to overflow
    known = moderate if dtype == np.float16 else np.full(p.shape, True)
    np.testing.assert_allclose(gradient[known].astype(np.float64), slope[known], rtol=1e-2)
