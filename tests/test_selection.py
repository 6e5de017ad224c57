"""Selection of the largest entries of a batch, against plain sorting."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import mllosses_jax as mll
from mllosses_jax.losses._largest import largest

GOLDEN = Path(__file__).parent / "golden"


def by_sorting(values, among, k):
    if k <= 0 or not among.any():
        return np.zeros_like(among)
    ordered = np.sort(values[among])[::-1]
    return among & (values >= ordered[min(k, len(ordered)) - 1])


def batch(ties):
    rng = np.random.default_rng(0)
    values = rng.normal(scale=3, size=(8, 6)).astype(np.float32)
    values[0, :5] = [3e38, -3e38, 0, -0.0, 1e-30]
    values[1, :2] = [np.inf, -np.inf]
    return np.round(values) if ties else values, rng.random(values.shape) < 0.7


@pytest.mark.parametrize("ties", [False, True])
def test_largest_entries_are_those_of_a_sort(ties):
    values, among = batch(ties)
    program = jax.jit(lambda v, a, k: largest(v, a, k, None))
    for k in (*range(20), among.sum() - 1, among.sum(), 60):
        found = program(values, among, k)
        np.testing.assert_array_equal(found, by_sorting(values, among, k), err_msg=str(k))
    assert not np.any(program(values, np.zeros_like(among), 3))
    with jax.enable_x64(True):
        found = largest(jnp.asarray(values, jnp.float64), jnp.asarray(among), 7, None)
    np.testing.assert_array_equal(found, by_sorting(values, among, 7))


@pytest.mark.parametrize("shape", [(1, 1), (15, 16), (255, 300), (256, 256), (70_000, 1), (90,)])
@pytest.mark.parametrize("distinct", [1, 5, 10**6])
def test_counts_of_full_rows_do_not_overflow(shape, distinct):
    rng = np.random.default_rng(distinct)
    values = rng.integers(distinct, size=shape).astype(np.float32) / 7 - 3
    among = rng.random(shape) < 0.9
    for k in (1, values.size // 3, values.size):
        for mask in (among, np.ones_like(among)):
            found = largest(jnp.asarray(values), jnp.asarray(mask), k, None)
            np.testing.assert_array_equal(found, by_sorting(values, mask, k))


def test_largest_entries_of_unknown_shape():
    program = jax.export.export(jax.jit(lambda v, a, k: largest(v, a, k, None)))
    sizes = jax.export.symbolic_shape("n, m")
    arguments = [jax.ShapeDtypeStruct(sizes, dtype) for dtype in (np.float32, bool)]
    values, among = batch(True)
    found = program(*arguments, jax.ShapeDtypeStruct((), np.int32)).call(values, among, np.int32(9))
    np.testing.assert_array_equal(found, by_sorting(values, among, 9))


@pytest.mark.parametrize("axis_name", ["data", None])
def test_largest_entries_over_devices(axis_name):
    values, among = batch(False)
    spec = PartitionSpec("data")
    sharded = jax.shard_map(
        lambda v, a: largest(v, a, 5, axis_name),
        mesh=jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(spec, spec),
        out_specs=spec,
        check_vma=True,
    )
    found = jax.jit(sharded)(values, among)
    one = by_sorting(values, among, 5)
    each = np.stack([by_sorting(v, a, 5) for v, a in zip(values, among, strict=True)])
    np.testing.assert_array_equal(found, one if axis_name else each)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.127, 0.29, 0.503, 0.7, 0.99, 1.0])
def test_a_rate_is_rounded_up_but_not_by_its_own_rounding(rate):
    x = np.random.default_rng(0).normal(size=(100, 10)).astype(np.float32)
    nothing = np.zeros(x.shape, bool)
    corrected = mll.pseudo_labels.correct_large_losses(x, nothing, relative_rate=jnp.float32(rate))
    assert np.sum(corrected) == round(1000 * rate)
    one_more = mll.pseudo_labels.correct_large_losses(x[:3], nothing[:3], relative_rate=rate)
    assert np.sum(one_more) == int(np.ceil(round(30 * rate, 6)))


def test_corrected_labels_are_those_of_the_correcting_loss():
    case = json.loads((GOLDEN / "large_loss_cp.json").read_text())[1]
    x, y = (np.array(case["inputs"][name], np.float32) for name in ("logits", "labels"))
    rate = case["params"]["delta_rel"]
    corrected = mll.pseudo_labels.correct_large_losses(x, y, relative_rate=rate)
    assert corrected.dtype == bool
    loss = mll.large_loss_correction(x, y, relative_rate=rate)
    np.testing.assert_allclose(loss, mll.sigmoid_binary_cross_entropy(x, corrected), rtol=1e-6)
    # The authors' code does not correct the label of the smallest loss that it selects.
    theirs = np.zeros(y.shape, bool)
    theirs[tuple(case["extra"]["correction_idx"])] = True
    left_out = np.asarray(corrected) & (y == 0) & ~theirs
    assert left_out.sum() == 1
    assert np.all(x[left_out] < x[theirs])


def test_what_is_not_to_be_corrected_keeps_its_label():
    x = np.array([[3.0, 2.0, 1.0, np.nan, 0.0]], np.float32)
    y = np.array([[0, 1, 0, 1, 0]], np.int8)
    annotated = np.array([[True, False, False, False, False]])
    where = np.array([[True, True, True, False, True]])
    corrected = mll.pseudo_labels.correct_large_losses(
        x, y, relative_rate=0.25, annotated=annotated, where=where
    )
    np.testing.assert_array_equal(corrected, [[False, True, True, True, False]])
    everything = mll.pseudo_labels.correct_large_losses(
        x, y, relative_rate=1, annotated=annotated, where=where
    )
    np.testing.assert_array_equal(everything, [[False, True, True, True, True]])


def test_annotated_is_checked():
    x = np.zeros((4, 3), np.float32)
    for call in (
        lambda **given: mll.large_loss_rejection(x, x, relative_rate=0.5, **given),
        lambda **given: mll.class_aware_selective_loss(x, x, **given),
    ):
        with pytest.raises(TypeError, match="annotated must be a bool array, got float32"):
            call(annotated=x)
        with pytest.raises(ValueError, match=r"annotated must have as many axes.*\[:, None\]"):
            call(annotated=np.ones(4, bool))


def test_labels_that_are_not_annotated_are_not_looked_at():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    y, annotated = x > 0.5, x > -0.5
    assert np.any(y & annotated)
    call = functools.partial(mll.class_aware_selective_loss, mode="negative", annotated=annotated)
    np.testing.assert_array_equal(call(x, y), call(x, y | ~annotated))


def test_selective_parameters_are_checked():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"mode must be one of 'negative'.*got 'none'"):
        mll.class_aware_selective_loss(x, x, mode="none")
    with pytest.raises(TypeError, match="likelihood_topk must be a Python integer, got an array"):
        mll.class_aware_selective_loss(x, x, likelihood_topk=0.5)
    with pytest.raises(ValueError, match="likelihood_topk must lie in"):
        mll.class_aware_selective_loss(x, x, likelihood_topk=-1)


def test_overfitted_negatives_are_pushed_back():
    x = jnp.array([[3.0], [2.0], [-4.0], [-5.0]])
    y = jnp.array([[1], [1], [0], [0]])

    def loss(x, prior):
        return mll.positive_unlabeled_loss(x, y, prior=prior)

    gradient = jax.grad(loss)(x, 0.5)
    p = jax.nn.sigmoid(x)
    slopes = p * (1 - p) * jnp.array([[0.25], [0.25], [-0.5], [-0.5]])  # slopes of -R
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5)
    missed = float(jnp.mean(1 - p[:2]))
    np.testing.assert_allclose(loss(x, 0.5), 0.5 * missed, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(loss, 1)(x, 0.5), missed, rtol=1e-5)


def test_labels_without_positives_or_unlabeled_entries():
    x = jnp.array([[1.0, 1.0], [-2.0, -2.0]])
    y = jnp.array([[0, 1], [0, 1]])
    p = jax.nn.sigmoid(x[:, 0])
    losses = mll.positive_unlabeled_loss(x, y, prior=0.25, reduction="none")
    np.testing.assert_allclose(losses, [p.mean(), 0.25 * (1 - p).mean()], rtol=1e-6)
    gradient = jax.grad(lambda x: mll.positive_unlabeled_loss(x, y, prior=0.25))(x)
    assert np.all(gradient[:, 0] > 0)
    assert np.all(gradient[:, 1] < 0)
