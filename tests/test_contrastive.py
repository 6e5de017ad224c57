"""The contrastive loss of embeddings: its contract, against loops over pairs in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from jax.sharding import AxisType, PartitionSpec

import mllosses_jax as mll

SAMPLES, FEATURES, LABELS = 8, 3, 4
WEIGHTINGS = ("mulsupcon", "any", "all", "jaccard")


def make_inputs():
    """Returns features, labels with two equal sets and an empty one, and a mask."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(SAMPLES, FEATURES))
    labels = rng.random((SAMPLES, LABELS)) < 0.4
    labels[0], labels[1:3] = False, [True, False, True, False]
    mask = rng.random(labels.shape) < 0.8
    mask[3] = False
    mask[1:3] = True
    return features.astype(np.float32), labels, mask


def oracle(features, labels, mask, weighting, temperature=0.1):
    """Returns the losses (B,), and which samples have a partner."""
    part = mask.any(1)
    z = np.where(part[:, None], features, 1).astype(np.float64)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    sets = [set(np.flatnonzero(row)) for row in labels & mask]
    losses, paired = np.zeros(len(z)), np.zeros(len(z), bool)
    for i in np.flatnonzero(part):
        others = [j for j in np.flatnonzero(part) if j != i]
        shares = []
        for j in others:
            both = sets[i] & sets[j]
            equal = np.array_equal(*(labels[k][mask[i] & mask[j]] for k in (i, j)))
            shares.append(
                {
                    "mulsupcon": sum(1 / sum(c in sets[k] for k in others) for c in both),
                    "any": float(bool(both)),
                    "all": float(bool(both) and equal),
                    "jaccard": len(both) / max(len(sets[i] | sets[j]), 1),
                }[weighting]
            )
        if sum(shares):
            logits = z[others] @ z[i] / temperature
            losses[i] = -np.dot(shares, logits - np.logaddexp.reduce(logits)) / sum(shares)
            paired[i] = True
    return losses, paired


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_value_and_gradient(weighting):
    features, labels, mask = make_inputs()
    call = functools.partial(mll.multilabel_contrastive_loss, weighting=weighting)

    @jit
    def everything(z, where):
        def total(z):
            losses = call(z, labels, where=where, reduction="none")
            return jnp.sum(losses), losses

        gradient, losses = jax.grad(total, has_aux=True)(z)
        return losses, gradient, call(z, labels.astype(np.float32), where=where)

    for where in (np.ones_like(mask), mask):
        losses, paired = oracle(features, labels, where, weighting)
        assert 1 < paired.sum() < SAMPLES
        found, gradient, mean = everything(np.where(where.any(1)[:, None], features, np.nan), where)
        np.testing.assert_allclose(found, losses, rtol=3e-5, atol=1e-6)
        np.testing.assert_allclose(mean, losses[paired].mean(), rtol=3e-5)
        for index in np.ndindex(features.shape):
            step = np.zeros(features.shape)
            step[index] = 1e-6
            above, below = (
                oracle(features + s * step, labels, where, weighting)[0].sum() for s in (1, -1)
            )
            np.testing.assert_allclose(
                gradient[index], (above - below) / 2e-6, rtol=2e-4, atol=2e-5
            )


def test_reductions_weigh_and_average_samples_with_a_partner():
    features, labels, mask = make_inputs()
    losses, paired = oracle(features, labels, mask, "mulsupcon")
    weights = np.linspace(0.5, 2, SAMPLES).astype(np.float32)
    total = (losses * weights)[paired].sum()

    @jit
    def every(*arrays):
        z, y, w, where = arrays
        return {
            name: mll.multilabel_contrastive_loss(z, y, weights=w, where=where, reduction=name)
            for name in wanted
        }

    wanted = {
        "none": np.where(paired, losses * weights, 0),
        "sum": total,
        "mean": total / paired.sum(),
        "batchmean": total / paired.sum(),
        "weighted_mean": total / weights[paired].sum(),
        "sum_and_count": (total, paired.sum()),
    }
    found = every(features, labels, weights, mask)
    for name, value in wanted.items():
        for got, expected in zip(jax.tree.leaves(found[name]), jax.tree.leaves(value), strict=True):
            np.testing.assert_allclose(got, expected, rtol=3e-5, atol=1e-6, err_msg=name)


def test_an_exported_program_takes_any_batch():
    (size,) = jax.export.symbolic_shape("size")
    shapes = [
        jax.ShapeDtypeStruct((size, n), dtype)
        for n, dtype in ((FEATURES, jnp.float32), (LABELS, jnp.bool_))
    ]
    program = jax.export.export(jax.jit(jax.value_and_grad(mll.multilabel_contrastive_loss)))
    call = program(*shapes).call
    features, labels, _ = make_inputs()
    for samples in (5, SAMPLES):
        z, y = features[:samples], labels[:samples]
        losses, paired = oracle(z, y, np.ones_like(y), "mulsupcon")
        value, gradient = call(z, y)
        np.testing.assert_allclose(value, losses[paired].mean(), rtol=3e-5)
        assert np.all(np.isfinite(gradient))


def test_devices_see_the_whole_batch():
    features, labels, mask = make_inputs()

    def call(z, y, where, axis_name=None):
        return mll.multilabel_contrastive_loss(z, y, where=where, axis_name=axis_name)

    def local(z, y, where):
        return jax.value_and_grad(lambda z: call(z, y, where, "data"))(z)

    spec = PartitionSpec("data")
    sharded = jax.shard_map(
        local,
        mesh=jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(spec,) * 3,
        out_specs=(PartitionSpec(), spec),
        check_vma=True,
    )
    value, gradient = jit(sharded)(features, labels, mask)
    wanted = jit(jax.value_and_grad(call))(features, labels, mask)
    np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted[1], rtol=1e-4, atol=1e-5)


def test_more_batch_axes_are_one_batch():
    features, labels, mask = make_inputs()
    call = functools.partial(mll.multilabel_contrastive_loss, reduction="none")
    split = call(*(a.reshape(2, 4, -1) for a in (features, labels)), where=mask.reshape(2, 4, -1))
    np.testing.assert_allclose(split.ravel(), call(features, labels, where=mask), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_derivatives_stay_finite(dtype):
    """With rows of zeros, equal rows, huge ones and tiny ones, at the ends of the temperature."""
    _, labels, mask = make_inputs()
    largest = min(float(jnp.finfo(dtype).max), 1e30)
    tiny = 1e-3 if dtype == jnp.float16 else 1e-7  # a gradient is divided by the length
    rows = [[0, 0, 0], [1, 2, 3], [1, 2, 3], [-1, -2, -3], [largest, 1, 0], [0, tiny, 0]]
    z = jnp.asarray([*rows, [largest, -largest, largest], [3, 2, 1]], dtype)

    @jit
    def derivatives(z, t):
        def slopes(z):
            def mean(z, t):
                return mll.multilabel_contrastive_loss(z, labels, temperature=t, where=mask)

            return jax.value_and_grad(mean, (0, 1))(z, t)

        return jax.jvp(slopes, (z,), (jnp.ones_like(z),))

    for t in (1e-7, 0.1, 1e30):
        (value, first), (_, second) = derivatives(z, jnp.float32(t))
        assert np.isfinite(value)
        assert first[0].dtype == dtype
        if t == 0.1:
            assert all(np.all(np.isfinite(np.asarray(part, np.float32))) for part in first)
        assert not any(np.any(np.isnan(np.asarray(p, np.float32))) for p in (*first, *second))


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_without_a_partner_there_is_no_loss(samples):
    z, y = jnp.ones((samples, 2)), jnp.eye(2, dtype=bool)[:samples]
    value, gradient = jax.value_and_grad(mll.multilabel_contrastive_loss)(z, y)
    assert value == 0
    assert not np.any(gradient)


def test_bad_input_is_named():
    z, y = jnp.ones((3, 2)), jnp.ones((3, 4), bool)
    loss = mll.multilabel_contrastive_loss
    with pytest.raises(ValueError, match=r"weighting must be one of 'mulsupcon'.*got 'each'"):
        loss(z, y, weighting="each")
    with pytest.raises(
        ValueError, match=r"labels must have the leading axes of features.*\(2, 4\)"
    ):
        loss(z, y[:2])
    with pytest.raises(TypeError, match="features must be a floating-point array, got int32"):
        loss(z.astype(jnp.int32), y)
    with pytest.raises(ValueError, match=r"where must have as many axes"):
        loss(z, y, where=y[:, 0])
    with pytest.raises(ValueError, match="labels"):
        loss(z, 2 * y.astype(jnp.float32))
