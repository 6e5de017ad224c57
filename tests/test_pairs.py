"""Sums over pairs: ties, several blocks, and rows too long for the contract suite."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from compiling import jit

import mllosses_jax as mll
from mllosses_jax._core.ordering import running_count
from mllosses_jax.losses import _pair_sums as pair_sums


def test_a_hinge_that_just_closes_has_no_slope():
    logits, labels = jnp.array([[1.0, 0.0, 0.0, 0.5]]), np.array([[1, 0, 0, 1]])
    gradient = jax.grad(mll.multilabel_margin_loss)(logits, labels)
    np.testing.assert_array_equal(gradient, [[0, 0.25, 0.25, -0.5]])


def row_of(size):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, size)).astype(np.float32), rng.random((2, size)) < 0.1


@pytest.mark.parametrize("name", ["multilabel_margin_loss", "warp_loss"])
def test_long_rows(name):
    logits, labels = row_of(3000)
    value, gradient = jax.value_and_grad(lambda x: getattr(mll, name)(x, labels, reduction="sum"))(
        logits
    )
    arguments = logits.astype(np.float64), labels.astype(float), np.ones_like(labels)
    np.testing.assert_allclose(value, oracles.find(name)(*arguments).sum(), rtol=2e-6)
    slope = oracles.find(f"{name}_slope")(*arguments)
    # A pair within rounding of its margin may fall on either side.
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=3e-3)


def test_a_long_row_of_errors():
    logits, labels = row_of(300)
    arguments = logits.astype(np.float64), labels.astype(float), np.ones_like(labels)
    value = mll.lovasz_hinge_loss(logits, labels, reduction="none")
    np.testing.assert_allclose(value, oracles.find("lovasz_hinge_loss")(*arguments), rtol=2e-6)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 1000])
def test_counts_in_words_of_bits(size):
    flags = np.random.default_rng(size).random((2, 3, size)) < 0.5
    np.testing.assert_array_equal(running_count(jnp.asarray(flags)), np.cumsum(flags, -1))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("multilabel_margin_loss", {}),
        ("pairwise_hinge_loss", {}),
        ("warp_loss", {}),
        ("lovasz_hinge_loss", {}),
        ("sparsemax_loss", {}),
        ("entmax15_loss", {}),
        ("pairwise_auc_loss", {"surrogate": "squared_hinge"}),
    ],
)
def test_an_exported_program_takes_any_number_of_labels(name, kwargs):
    def loss(logits, labels):
        return getattr(mll, name)(logits, labels, reduction="none", **kwargs)

    shape = jax.export.symbolic_shape("samples, labels")
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for dtype in (jnp.float32, jnp.bool_)]
    exported = jax.export.export(jax.jit(loss))(*arguments)
    for size in (5, 40):
        logits, labels = row_of(size)
        inputs = logits.astype(np.float64), labels.astype(float), np.ones_like(labels)
        wanted = oracles.find(name)(*inputs, **kwargs)
        np.testing.assert_allclose(exported.call(logits, labels), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "kwargs"), [("pairwise_logistic_loss", {}), ("smooth_ap_loss", {"temperature": 0.5})]
)
def test_blocks_do_not_change_the_result(name, kwargs, monkeypatch):
    logits, labels = row_of(30)
    if name == "smooth_ap_loss":
        logits, labels = logits.T, labels.T

    def traced():
        jax.clear_caches()  # of programs with another block size

        def loss(x):
            return getattr(mll, name)(x, labels, reduction="sum", **kwargs)

        second = jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) ** 2))
        return jit(lambda x: (*jax.value_and_grad(loss)(x), second(x))).trace(logits)

    whole = traced()
    monkeypatch.setattr(pair_sums, "_SIZE", 3)
    monkeypatch.setattr(pair_sums, "_BLOCKS", 4)  # three groups of four blocks, the last filled up
    parts = traced()
    jax.clear_caches()
    assert str(parts.jaxpr) != str(whole.jaxpr)
    found, expected = (program.lower().compile()(logits) for program in (parts, whole))
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["pairwise_logistic_loss", "pairwise_auc_loss", "smooth_ap_loss"])
def test_several_blocks_of_an_unknown_number_of_rows(name):
    kwargs = {"temperature": 0.5} if name == "smooth_ap_loss" else {}
    function = jax.jit(jax.value_and_grad(lambda x, y: getattr(mll, name)(x, y, **kwargs)))
    (size,) = jax.export.symbolic_shape("size")
    arguments = [jax.ShapeDtypeStruct((size, 30), dtype) for dtype in (jnp.float32, jnp.bool_)]
    exported = jax.export.export(function)(*arguments)
    for samples in (2, 37):
        rng = np.random.default_rng(samples)
        logits = rng.normal(size=(samples, 30)).astype(np.float32)
        labels = rng.random(logits.shape) < 0.5
        results = zip(exported.call(logits, labels), function(logits, labels), strict=True)
        for got, wanted in results:
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


INF = np.inf
# Rows of logits whose first label is the only positive, and the limit of a loss over pairs.
LIMITS = {
    "a negative at +inf": ([1.0, INF, 0.0], INF),
    "two negatives at +inf": ([1.0, INF, INF], INF),
    "the positive at -inf": ([-INF, 1.0, 0.0], INF),
    "a negative at -inf": ([0.5, -INF, 0.0], None),
    "two negatives at -inf": ([0.5, -INF, -INF], 0.0),
    "the positive at +inf": ([INF, 1.0, 0.0], 0.0),
}
# Losses of the one pair left in the row [0.5, -inf, 0.0]; |P||N| and L count every label.
SOFTPLUS = np.log1p(np.exp(-0.5))
ONE_PAIR = {
    "lsep_loss": SOFTPLUS,
    "zlpr_loss": SOFTPLUS + np.log(2),
    "two_way_sample_loss": SOFTPLUS,
    "pairwise_logistic_loss": SOFTPLUS / 2,
    "pairwise_hinge_loss": 0.5 / 2,
    "multilabel_margin_loss": 0.5 / 3,
    "warp_loss": 0.5,
}


@pytest.mark.parametrize("name", ONE_PAIR)
@pytest.mark.parametrize("limit", LIMITS)
def test_limits_of_infinite_logits(name, limit):
    row, wanted = LIMITS[limit]
    if wanted is None:
        wanted = ONE_PAIR[name]
    if name == "zlpr_loss" and wanted == 0:  # each of its sums includes 0, so the other sum remains
        wanted = SOFTPLUS if row[0] == 0.5 else np.log(2 + np.e)
    labels = np.array([1, 0, 0])
    for y in (labels, labels.astype(np.float32)):
        value, gradient = jax.value_and_grad(getattr(mll, name))(jnp.array([row]), y[None])
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient[0, ~np.isfinite(row) & (np.array(row) < 0) & (labels == 0)] == 0)
        if wanted == INF:
            assert gradient[0, 0] < 0 or np.isposinf(row[1])
            assert np.any(np.asarray(gradient) != 0)


@pytest.mark.parametrize("name", ["two_way_label_loss", "pairwise_auc_loss"])
def test_limits_of_a_column(name):
    kwargs = {"surrogate": "squared_hinge"} if name == "pairwise_auc_loss" else {}
    for row, wanted in LIMITS.values():
        logits = jnp.array(row)[:, None]
        value = getattr(mll, name)(logits, np.array([[1], [0], [0]]), **kwargs)
        one_pair = 0.5**2 / 2 if kwargs else SOFTPLUS
        np.testing.assert_allclose(value, one_pair if wanted is None else wanted, rtol=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e9, 1e30])
def test_curvature_of_a_tiny_label_at_a_huge_logit(size):
    """One sum holds only a label of 1e-30, a factor that rounding loses next to its logit."""
    logits, labels = jnp.array([[-size, 0.0]]), jnp.array([[1e-30, 0.5]])
    slope = jax.grad(lambda x: mll.zlpr_loss(x, labels))
    gradient, change = jit(lambda x: jax.jvp(slope, (x,), (jnp.ones_like(x),)))(logits)
    np.testing.assert_allclose(gradient, [[-1, 1 / 3]], rtol=1e-5)
    np.testing.assert_allclose(change, [[0, 2 / 9]], rtol=1e-5)


def test_the_number_of_highest_negatives_is_not_rounded_up():
    """0.896 of 1125 negatives are 1008, though the product is above it in float32."""
    logits = jnp.arange(1126.0)[:, None]
    labels = np.arange(1126)[:, None] == 0
    found = mll.pairwise_auc_loss(logits, labels, max_fpr=0.896, surrogate="squared", margin=0.0)
    np.testing.assert_allclose(found, np.mean(np.arange(1126 - 1008, 1126.0) ** 2), rtol=1e-5)


@pytest.mark.parametrize("size", [1.2e38, 3e38, np.inf])
def test_squared_hinges_of_huge_logits_have_a_finite_gradient(size):
    logits, labels = jnp.array([[size], [-size], [0.0]]), np.array([[0], [1], [0]])
    loss = functools.partial(mll.pairwise_auc_loss, surrogate="squared_hinge")
    value, gradient = jax.value_and_grad(loss)(logits, labels)
    assert np.isposinf(value)
    assert np.all(np.isfinite(gradient))
    assert gradient[1, 0] < 0 < min(gradient[0, 0], gradient[2, 0])


def test_a_label_without_pairs_has_no_gradient_of_squared_distances():
    logits, labels = jnp.array([[2e38], [-2e38]]), np.zeros((2, 1), bool)
    loss = functools.partial(mll.pairwise_auc_loss, surrogate="squared")
    value, gradient = jax.value_and_grad(loss)(logits, labels)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
