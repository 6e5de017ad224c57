"""Adaptive asymmetry against its formula in float64, and in a closed loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import mllosses_jax as mll
from mllosses_jax.training import adaptive_asymmetry

TARGET, RATE = 0.1, 0.5


def oracle(gamma_neg, logits, labels, where=None, target=TARGET, rate=RATE):
    """Computes one update; the probability of the truth is p, or 1 - p for a negative."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels) > 0
    where = np.ones(labels.shape, bool) if where is None else np.broadcast_to(where, labels.shape)
    p = 1 / (1 + np.exp(-logits))
    positives, negatives = p[where & labels], (1 - p)[where & ~labels]
    if not (positives.size and negatives.size):
        return gamma_neg
    gap = positives.mean() - negatives.mean()
    return max(gamma_neg + rate * (target - gap), 0.0)


def batch(shape=(16, 6), seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1, 2, shape).astype(np.float32)
    return jnp.asarray(logits), jnp.asarray(generator.random(shape) < 0.2)


@pytest.mark.parametrize("shape", [(16, 6), (4, 3, 5), (7,)])
@pytest.mark.parametrize("kind", [bool, np.int32, np.float32])
def test_equals_the_formula(shape, kind):
    logits, labels = batch(shape, seed=len(shape))
    result = adaptive_asymmetry(4.0, logits, labels.astype(kind), target=TARGET, rate=RATE)
    np.testing.assert_allclose(result, oracle(4.0, logits, labels), rtol=1e-6)
    assert result.shape == ()


@pytest.mark.parametrize("seed", range(3))
def test_masked_entries_are_not_there(seed):
    logits, labels = batch(seed=seed)
    where = jnp.asarray(np.random.default_rng(seed).random(logits.shape) < 0.6)
    expected = oracle(2.0, logits, labels, np.asarray(where))
    poisoned = jnp.where(where, logits, jnp.nan)
    unknown = jnp.where(where, labels.astype(jnp.float32), jnp.nan)
    result = adaptive_asymmetry(2.0, poisoned, unknown, target=TARGET, rate=RATE, where=where)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert abs(expected - oracle(2.0, logits, labels)) > 1e-4


@pytest.mark.parametrize("labels", [np.zeros((4, 3), bool), np.ones((4, 3), bool)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_without_a_gap_changes_nothing(labels, masked):
    logits = batch((4, 3))[0]
    where = None
    if masked:  # the only entries of the other class do not count
        where, labels = np.ones((4, 3), bool), labels.copy()
        where[0], labels[0] = False, ~labels[0]
    result = adaptive_asymmetry(3.5, logits, labels, target=1.0, rate=10.0, where=where)
    assert float(result) == 3.5


def test_it_stays_in_the_domain_of_the_loss():
    logits, labels = jnp.asarray([[8.0, 0.0]]), jnp.asarray([[True, False]])
    assert float(adaptive_asymmetry(0.1, logits, labels, target=-1.0, rate=5.0)) == 0.0


def test_keeps_the_dtype_of_a_carry_and_does_not_recompile():
    logits, labels = batch()
    traces = 0

    @jax.jit
    def run(gamma_neg, logits, rate):
        nonlocal traces
        traces += 1

        def body(gamma, _):
            step = functools.partial(adaptive_asymmetry, target=TARGET, rate=rate)
            return step(gamma, logits, labels), gamma

        return jax.lax.scan(body, gamma_neg, length=3)

    for rate in (0.5, 0.25):
        last, path = run(jnp.float32(4.0), logits.astype(jnp.bfloat16), jnp.float32(rate))
    assert traces == 1
    assert last.dtype == jnp.float32
    rounded = logits.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_allclose(path[1], oracle(4.0, rounded, labels, rate=0.25), rtol=1e-6)


def test_shards_step_by_the_gap_of_the_whole_batch():
    logits, labels = batch((16, 4))
    labels = labels.at[:4].set(False)  # shards without a positive
    where = jnp.asarray(np.random.default_rng(1).random((16, 4)) < 0.7)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = PartitionSpec("data")

    @jax.jit
    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(PartitionSpec(), rows, rows, rows), out_specs=rows
    )
    def step(gamma_neg, logits, labels, where):
        result = adaptive_asymmetry(
            gamma_neg, logits, labels, target=TARGET, rate=RATE, where=where, axis_name="data"
        )
        return jnp.broadcast_to(result, (1,))

    results = step(jnp.float32(4.0), logits, labels, where)
    expected = oracle(4.0, logits, labels, np.asarray(where))
    np.testing.assert_allclose(results, np.full(8, expected), rtol=1e-6)


@pytest.mark.parametrize("start", [0.0, 8.0])
def test_training_comes_to_the_target_gap(start):
    """With the wrong sign, the loop would run away from the target on both sides."""
    generator = np.random.default_rng(0)
    inputs = jnp.asarray(generator.normal(size=(512, 8)), jnp.float32)
    truth = inputs @ jnp.asarray(generator.normal(size=(8, 4)), jnp.float32)
    labels = truth + jnp.asarray(generator.normal(size=truth.shape), jnp.float32) > 3.0

    def body(carry, _):
        weight, bias, gamma_neg = carry

        def objective(weight, bias):
            logits = inputs @ weight + bias[None, :]
            loss = mll.asymmetric_loss(logits, labels, gamma_neg=gamma_neg, gamma_pos=0)
            return loss, logits

        slopes, logits = jax.grad(objective, argnums=(0, 1), has_aux=True)(weight, bias)
        gamma_neg = adaptive_asymmetry(gamma_neg, logits, labels, target=0.1, rate=0.2)
        return (weight - 5.0 * slopes[0], bias - 5.0 * slopes[1], gamma_neg), gamma_neg

    carry = jnp.zeros((8, 4)), jnp.zeros(4), jnp.float32(start)
    (weight, bias, gamma_neg), _ = jax.jit(lambda c: jax.lax.scan(body, c, length=1500))(carry)
    p = np.asarray(jax.nn.sigmoid(inputs @ weight + bias[None, :]), np.float64)
    y = np.asarray(labels)
    assert p[y].mean() - (1 - p[~y]).mean() == pytest.approx(0.1, abs=0.01)
    assert 0.5 < float(gamma_neg) < 8.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma_neg": -1.0}, r"gamma_neg must lie in .* got -1"),
        ({"target": 1.5}, r"target must lie in \[-1, 1\], got 1\.5"),
        ({"rate": -0.1}, r"rate must lie in .* got -0\.1"),
        ({"gamma_neg": np.ones(6, np.float32)}, r"gamma_neg must be a scalar, got shape \(6,\)"),
        ({"labels": np.ones((16, 5), bool)}, r"labels must have the shape of logits"),
        ({"where": np.ones(16, bool)}, r"where\[:, None\]"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    logits, labels = batch()
    good = {"gamma_neg": 4.0, "logits": logits, "labels": labels, "target": 0.1, "rate": 0.1}
    with pytest.raises(ValueError, match=message):
        adaptive_asymmetry(**(good | arguments))
