"""Sums of losses: reductions and masks of mixed kinds, derivatives, and what is refused."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import mllosses_jax as mll

B, L = 4, 3
X = np.random.default_rng(0).normal(size=(B, L)).astype(np.float32)
Y = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]], bool)
WHERE = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], bool)  # a row and a label: unknown
ALL = np.ones_like(WHERE)

MIXED = {mll.sigmoid_binary_cross_entropy: 2.0, mll.zlpr_loss: 0.25, mll.dice_loss: 3}


def elements(where):
    """Binary cross-entropy of the entries that count, in float64."""
    x = X.astype(np.float64)
    return (np.logaddexp(0, x) - Y * x)[where]


def samples(where):
    """ZLPR of the samples that count: log(1 + Σ_neg e^x) + log(1 + Σ_pos e^-x)."""
    e = np.exp(X.astype(np.float64))
    negatives, positives = (e * (where & ~Y)).sum(1), ((where & Y) / e).sum(1)
    return (np.log1p(negatives) + np.log1p(positives))[where.any(1)]


def by_label(where):
    """Dice loss (s = 1) of the labels that count."""
    p = 1 / (1 + np.exp(-X.astype(np.float64)))
    tp, fp, fn = ((where * a).sum(0) for a in (p * Y, p * ~Y, (1 - p) * Y))
    return ((fp + fn) / (2 * tp + fp + fn + 1))[where.any(0)]


@pytest.mark.parametrize("where", [ALL, WHERE], ids=["all", "masked"])
@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum)])
def test_losses_of_every_kind_are_reduced_on_their_own(where, reduction, reduce):
    oracle = 2 * reduce(elements(where)) + reduce(samples(where)) / 4 + 3 * reduce(by_label(where))
    loss = mll.weighted_sum(MIXED)
    assert loss(X, Y, where=where, reduction=reduction) == pytest.approx(oracle, rel=1e-5)
    assert jax.jit(functools.partial(loss, reduction=reduction))(
        X, Y, where=where
    ) == pytest.approx(oracle, rel=1e-5)


def test_masked_entries_do_not_count_even_if_they_are_nan():
    loss = mll.weighted_sum(MIXED)
    broken = np.where(WHERE, X, np.nan)
    assert loss(broken, Y, where=WHERE) == loss(X, Y, where=WHERE)
    gradient = jax.grad(loss)(broken, Y, where=WHERE)
    assert np.all(np.asarray(gradient)[~WHERE] == 0)
    assert np.all(np.isfinite(gradient))
    assert loss(X, Y, where=~ALL) == 0


def test_gradient_is_the_sum_of_the_gradients():
    loss = mll.weighted_sum([(weight, each) for each, weight in MIXED.items()])
    found = jax.grad(loss)(X, Y, where=WHERE)
    parts = [weight * jax.grad(each)(X, Y, where=WHERE) for each, weight in MIXED.items()]
    np.testing.assert_allclose(found, sum(map(np.asarray, parts)), rtol=1e-5, atol=1e-7)


def test_weights_of_terms_can_be_traced_and_mapped():
    def of_weight(weight):
        pairs = [(1, mll.sigmoid_binary_cross_entropy), (weight, mll.dice_loss)]
        return mll.weighted_sum(pairs)(X, Y)

    dice = by_label(ALL).mean()
    assert jax.grad(of_weight)(0.5) == pytest.approx(dice, rel=1e-5)
    weights = np.array([0, 0.5, -1], np.float32)
    oracle = elements(ALL).mean() + weights * dice
    np.testing.assert_allclose(jax.vmap(of_weight)(weights), oracle, rtol=1e-5)


def test_sums_can_be_nested_and_hold_the_users_own_functions():
    def mine(logits, labels):
        return jnp.mean(logits**2)

    inner = mll.weighted_sum({mll.dice_loss: 2, mine: 1})
    outer = mll.weighted_sum([(0.5, inner), (1, mll.zlpr_loss)])
    oracle = by_label(ALL).mean() + np.mean(X.astype(float) ** 2) / 2 + samples(ALL).mean()
    assert outer(X, Y) == pytest.approx(oracle, rel=1e-5)
    assert jax.vmap(outer)(np.stack([X, X]), np.stack([Y, Y])) == pytest.approx(oracle, rel=1e-5)


def test_equal_entries_can_be_left_or_counted():
    twice = mll.weighted_sum([(1, mll.sigmoid_binary_cross_entropy), (2, mll.hinge_loss)])
    hinge = np.maximum(0, 1 - np.where(Y, 1, -1) * X.astype(float))
    entries = elements(ALL).reshape(B, L) + 2 * hinge
    found = twice(X, Y, where=WHERE, reduction="none")
    np.testing.assert_allclose(found, np.where(WHERE, entries, 0), rtol=1e-5)
    total, count = twice(X, Y, where=WHERE, reduction="sum_and_count")
    assert float(count) == WHERE.sum()
    assert total == pytest.approx(entries[WHERE].sum(), rel=1e-5)
    found = twice(X, Y, where=WHERE, reduction="batchmean")
    assert found == pytest.approx(entries[WHERE].sum() / WHERE.any(1).sum(), rel=1e-5)


def test_weights_reach_every_loss():
    loss = mll.weighted_sum({mll.sigmoid_binary_cross_entropy: 1, mll.dice_loss: 1})
    weights = np.array([1, 0, 2], np.float32)
    bce, dice = elements(ALL).reshape(B, L), by_label(ALL)
    oracle = (bce * weights).sum() / (B * weights.sum()) + (dice * weights).sum() / weights.sum()
    found = loss(X, Y, weights=weights, reduction="weighted_mean")
    assert found == pytest.approx(oracle, rel=1e-5)
    # Weights of one loss only are given to it by a partial.
    alone = functools.partial(mll.dice_loss, weights=weights)
    found = mll.weighted_sum({mll.sigmoid_binary_cross_entropy: 1, alone: 1})(X, Y)
    assert found == pytest.approx(bce.mean() + (dice * weights).mean(), rel=1e-5)


def test_the_mean_over_devices_is_that_over_the_batch():
    loss = mll.weighted_sum(MIXED)
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("rows")

    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(rows, rows, rows), out_specs=PartitionSpec()
    )
    def on_devices(x, y, where):
        return loss(x, y, where=where, axis_name="rows")

    expected = loss(X, Y, where=WHERE)
    assert jax.jit(on_devices)(X, Y, WHERE) == pytest.approx(float(expected), rel=1e-5)


def test_a_sum_looks_like_a_loss():
    narrow = functools.partial(mll.asymmetric_loss, gamma_neg=2)
    loss = mll.weighted_sum([(1, narrow), (0.5, mll.dice_loss)])
    assert loss.__name__ == "asymmetric_loss(gamma_neg=2)+0.5*dice_loss"
    names = list(inspect.signature(loss).parameters)
    assert names == ["logits", "labels", "weights", "where", "reduction", "axis_name"]
    half = np.asarray(X, np.float16)
    assert loss(half, Y).dtype == jnp.float32
    assert jax.grad(loss)(jnp.asarray(half), Y).dtype == jnp.float16


def no_mask(logits, labels):
    return jnp.mean(logits)


def by_entry(logits, labels):
    return logits


SQUARE = np.zeros((3, 3), np.float32)
BCE = mll.sigmoid_binary_cross_entropy


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mll.weighted_sum({}), ValueError, "at least one loss"),
        (lambda: mll.weighted_sum([BCE]), TypeError, "pairs"),
        (lambda: mll.weighted_sum([(BCE, 1)]), TypeError, "got 1 for a loss"),
        (lambda: mll.weighted_sum({BCE: "1"}), TypeError, "weight of sigmoid_.* got '1'"),
        (lambda: mll.weighted_sum({BCE: True}), TypeError, "must be a number"),
        (lambda: mll.weighted_sum({BCE: np.nan}), ValueError, "must be finite, got nan"),
        (lambda: mll.weighted_sum({BCE: np.ones(3)}), ValueError, r"got shape \(3,\)"),
        (
            lambda: mll.weighted_sum(MIXED)(X, Y, reduction="none"),
            ValueError,
            r"entropy has \(4, 3\), zlpr_loss has \(4,\), dice_loss has \(3,\)",
        ),
        (
            lambda: mll.weighted_sum({mll.zlpr_loss: 1, mll.dice_loss: 1})(
                SQUARE, SQUARE, reduction="none"
            ),
            ValueError,
            r"zlpr_loss has \(3,\), dice_loss has \(3,\) per label",
        ),
        (
            lambda: mll.weighted_sum(MIXED)(X, Y, reduction="sum_and_count"),
            ValueError,
            "the same unreduced entries",
        ),
        (lambda: mll.weighted_sum(MIXED)(X, Y, reduction="batchmean"), ValueError, "label losses"),
        (lambda: mll.weighted_sum(MIXED)(X, Y, reduction="men"), ValueError, "reduction"),
        (
            lambda: mll.weighted_sum({mll.two_way_loss: 1})(X, Y, reduction="sum_and_count"),
            ValueError,
            "two_way_loss has no count",
        ),
        (
            lambda: mll.weighted_sum({mll.two_way_loss: 1})(X, Y, weights=np.float32(2)),
            TypeError,
            "two_way_loss takes no weights",
        ),
        (lambda: mll.weighted_sum({no_mask: 1})(X, Y, where=WHERE), TypeError, "no where"),
        (lambda: mll.weighted_sum({by_entry: 1})(X, Y), ValueError, r"scalar.*shape \(4, 3\)"),
        (
            lambda: mll.weighted_sum({functools.partial(BCE, reduction="sum"): 1})(X, Y),
            ValueError,
            r"\(reduction='sum'\) fixes reduction",
        ),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
