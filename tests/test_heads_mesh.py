"""Heads over meshes of eight devices give the answer of one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from head_inputs import LABELS, SEPARABLE, assert_close
from head_meshes import (
    BATCH,
    CHUNK,
    HEAD,
    MASKED,
    MESHES,
    POSITIVES,
    ROWS,
    UNKNOWN,
    make_mesh,
    padded,
)
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import mllosses_jax as mll
from mllosses_jax import heads


def value_and_gradients(function, **options):
    def value(features, kernel, bias):
        return function(features, kernel, POSITIVES, bias=bias, num_labels=LABELS, **options)

    return jit(jax.value_and_grad(value, (0, 1, 2)))


@functools.cache
def alone(reduction="mean", masked=False):
    """Returns the value and gradients of one device."""
    options = {"chunk_size": CHUNK, "reduction": reduction, **(MASKED if masked else {})}
    function = value_and_gradients(heads.linear_head_loss, **options)
    return function(HEAD.features, HEAD.kernel, HEAD.bias)


def assert_same(found, expected):
    value, (of_features, of_kernel, of_bias) = found
    assert not np.asarray(of_kernel[LABELS:]).any()
    assert_close((value, (of_features, of_kernel[:LABELS], of_bias)), expected)


@pytest.mark.parametrize("name", MESHES)
def test_meshes(name):
    mesh, axes = MESHES[name]
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh, **axes)
    kernel = padded(mesh, axes, HEAD.kernel)
    options = {"chunk_size": CHUNK, "reduction": "weighted_mean", **MASKED}
    found = value_and_gradients(loss, **options)(HEAD.features, kernel, HEAD.bias)
    assert_same(found, alone("weighted_mean", masked=True))


@pytest.mark.parametrize(
    ("implementation", "reduction"),
    [
        ("one_pass", "sum"),
        ("one_pass", "mean"),
        ("one_pass", "batchmean"),
        ("one_pass", "weighted_mean"),
        ("recompute", "mean"),
        ("checkpoint", "mean"),
        ("dense", "mean"),
    ],
)
def test_implementations_and_reductions(implementation, reduction):
    mesh, axes = MESHES["data and label"]
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    options = {"chunk_size": CHUNK, "reduction": reduction}
    found = value_and_gradients(loss, implementation=implementation, **options)
    found = found(HEAD.features, padded(mesh, axes, HEAD.kernel), HEAD.bias)
    assert_same(found, alone(reduction))


SPECIAL = ("ldam_loss", "weak_assume_negative_loss", "distribution_balanced_loss")


@pytest.mark.parametrize("case", [c for c in SEPARABLE if c.name in SPECIAL], ids=str)
def test_losses_that_need_numbers_of_all_labels(case):
    """Their parameters (L,) are split as well, and so are the gradients in them."""
    mesh, axes = MESHES["data and label"]
    floats = {n: v for n, v in case.kwargs.items() if np.shape(v) == (LABELS,)}
    fixed = {n: v for n, v in case.kwargs.items() if n not in floats}

    def of(function):
        def value(features, kernel, floats):
            return function(
                features,
                kernel,
                POSITIVES,
                num_labels=LABELS,
                loss=case.loss,
                loss_kwargs=fixed | floats,
                chunk_size=CHUNK,
                unknown=UNKNOWN,
                reduction="batchmean",
            )

        return jit(jax.value_and_grad(value, (0, 1, 2)))

    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    found = of(loss)(HEAD.features, padded(mesh, axes, HEAD.kernel), floats)
    assert_same(found, of(heads.linear_head_loss)(HEAD.features, HEAD.kernel, floats))


def test_sums_of_samples_and_pairs():
    mesh, axes = MESHES["data and label"]
    kernel = padded(mesh, axes, HEAD.kernel.T, label_axis=1)
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    for reduction in ("none", "sum_and_count"):
        options = {"num_labels": LABELS, "reduction": reduction, **MASKED}
        found = loss(HEAD.features, kernel, POSITIVES, label_axis=1, **options)
        assert_close(
            found, heads.linear_head_loss(HEAD.features, HEAD.kernel, POSITIVES, **options)
        )


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("given", ["no bias", "of the labels", "padded"])
def test_value_and_gradients_in_one_call(given, kind):
    """Gradients have the shapes of what they are taken in, whether or not it was padded."""
    mesh = make_mesh(kind=kind)
    kernel, padded_bias = (padded(mesh, {}, x) for x in (HEAD.kernel, HEAD.bias))
    bias = {"no bias": None, "of the labels": HEAD.bias, "padded": padded_bias}[given]
    function = heads.shard_linear_head(heads.linear_head_value_and_grad, mesh)
    options = {"num_labels": LABELS, "chunk_size": CHUNK}
    value, gradients = function(HEAD.features, kernel, POSITIVES, bias=bias, **options)
    arrays = (HEAD.features, kernel, bias)
    assert [g.shape for g in jax.tree.leaves(gradients)] == [
        np.shape(x) for x in arrays if x is not None
    ]
    expected = heads.linear_head_value_and_grad(
        HEAD.features, HEAD.kernel, POSITIVES, bias=None if bias is None else HEAD.bias, **options
    )
    cut = jax.tree.map(lambda x, like: np.asarray(x)[: len(like)], gradients, expected[1])
    assert_close((value, cut), expected)
    for gradient in gradients[1:]:
        assert gradient is None or not np.asarray(gradient)[LABELS:].any()


def test_inside_shard_map_without_the_wrapper():
    mesh, axes = MESHES["data and label"]
    call = functools.partial(
        heads.linear_head_loss,
        num_labels=LABELS,
        chunk_size=CHUNK,
        axis_name="data",
        label_axis_name="label",
    )
    mapped = jax.shard_map(
        jax.value_and_grad(call, (0, 1)),
        mesh=mesh,
        in_specs=(P("data"), P("label"), P("data")),
        out_specs=(P(), (P("data"), P("label"))),
        check_vma=True,
    )
    value, (of_features, of_kernel) = jax.jit(mapped)(
        HEAD.features, padded(mesh, axes, HEAD.kernel), POSITIVES
    )
    expected = jax.value_and_grad(heads.linear_head_loss, (0, 1))(
        HEAD.features, HEAD.kernel, POSITIVES
    )
    assert_close((value, (of_features, of_kernel[:LABELS])), expected)


@pytest.mark.parametrize("name", ["data and label", "label"])
@pytest.mark.parametrize("label_axis", [0, 1])
def test_steps(name, label_axis):
    mesh, axes = MESHES[name]
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh, **axes)
    options = {
        "learning_rate": 0.3,
        "weight_decay": 0.05,
        "label_axis": label_axis,
        "chunk_size": CHUNK,
        "num_labels": LABELS,
        **MASKED,
    }
    kernel = HEAD.kernel.T if label_axis else HEAD.kernel

    def state_of(place):
        return heads.HeadState(
            place(kernel, label_axis),
            place(HEAD.bias, 0),
            place(np.zeros_like(kernel), label_axis),
            place(np.zeros_like(HEAD.bias), 0),
        )

    one = state_of(lambda x, axis: jnp.array(x, copy=True))
    split = state_of(lambda x, axis: padded(mesh, axes, x, axis))
    layout = [x.sharding for x in jax.tree.leaves(split)]
    for _ in range(3):
        before = split.kernel
        one, value, gradient = heads.linear_head_sgd_step(one, HEAD.features, POSITIVES, **options)
        split, *found = step(split, HEAD.features, POSITIVES, **options)
        assert before.is_deleted()
        assert_close(found, (value, gradient))
    assert [x.sharding for x in jax.tree.leaves(split)] == layout
    cut = jax.tree.map(lambda x, like: x[tuple(map(slice, like.shape))], split, one)
    assert_close(cut, one)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_narrow_kernels(dtype):
    """Rounded at random, each device with bits of its own, and equal where kernels are copies."""
    mesh, _ = MESHES["data and label"]
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh)
    state = heads.init_sharded_linear_head(
        jax.random.key(0), LABELS, 4, mesh, dtype=dtype, momentum=True
    )
    parts = np.split(np.asarray(jax.tree.leaves(state.kernel)[0]), 4)
    assert len({part.tobytes() for part in parts}) == 4
    losses = []
    for _ in range(20):
        state, loss, _ = step(
            state, HEAD.features, POSITIVES, learning_rate=0.05, num_labels=LABELS
        )
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
    for array in jax.tree.leaves(state.kernel):
        copies = {}
        for shard in array.addressable_shards:
            copies.setdefault(str(shard.index), set()).add(np.asarray(shard.data).tobytes())
        assert len(copies) == 4
        assert all(len(values) == 1 for values in copies.values())


def test_top_k_and_predictions():
    mesh, axes = MESHES["data and label"]
    kernel = padded(mesh, axes, HEAD.kernel)
    for function, arguments, options in (
        (heads.linear_head_top_k, (12,), {"exclude": UNKNOWN}),
        (heads.linear_head_predictions, (HEAD.bias,), {"max_predictions": 20}),
    ):
        options |= {"bias": HEAD.bias, "num_labels": LABELS, "chunk_size": CHUNK}
        found = heads.shard_linear_head(function, mesh)(
            HEAD.features, kernel, *arguments, **options
        )
        expected = function(HEAD.features, HEAD.kernel, *arguments, **options)
        assert_close(found, expected)
        np.testing.assert_array_equal(found.ids, expected.ids)


def test_meshes_with_explicit_axes():
    """As `jax.make_mesh` makes them; derivatives from outside need `jax.set_mesh` or `jax.jit`."""
    mesh = make_mesh(kind=AxisType.Explicit)
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    kernel = heads.pad_to_mesh(jnp.asarray(HEAD.kernel), mesh)
    options = {"chunk_size": CHUNK, **MASKED}
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh)
    after, value, _ = step(
        heads.HeadState(jnp.array(kernel, copy=True)),
        HEAD.features,
        POSITIVES,
        learning_rate=0.1,
        num_labels=LABELS,
    )
    assert after.kernel.sharding.spec == P("label", None)
    assert_close(
        value,
        heads.linear_head_loss(HEAD.features, HEAD.kernel, POSITIVES, reduction="batchmean"),
    )
    with jax.set_mesh(mesh):
        found = value_and_gradients(loss, **options)(HEAD.features, kernel, HEAD.bias)
        assert jax.typeof(found[1][1]).sharding.spec == P("label", None)
    assert_same(jax.device_get(found), alone(masked=True))


def test_padding():
    mesh, _ = MESHES["data and label"]
    assert heads.padded_rows(29, mesh) == 32
    assert heads.padded_rows(32, mesh) == 32
    assert heads.padded_rows(29, mesh, mesh_axis="data") == 30
    narrow = heads.pad_to_mesh(heads.Float8Kernel.from_array(HEAD.kernel), mesh)
    assert narrow.shape == (32, 4)
    assert not np.asarray(narrow.to_array())[29:].any()
    assert narrow.bits.sharding == NamedSharding(mesh, P("label"))


def test_refusals():
    mesh, _ = MESHES["data and label"]
    with pytest.raises(ValueError, match="data_axis must be one of"):
        heads.shard_linear_head(heads.linear_head_loss, mesh, data_axis="batch")
    with pytest.raises(ValueError, match="mesh_axis must be one of"):
        heads.padded_rows(5, mesh, mesh_axis="model")
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    with pytest.raises(ValueError, match="pad it once with pad_to_mesh, and give num_labels=29"):
        loss(HEAD.features, HEAD.kernel, POSITIVES)
    kernel = np.ones((ROWS, 4), np.float32)
    with pytest.raises(ValueError, match=r"ids in \[0, 29\)"):
        loss(HEAD.features, kernel, np.full((BATCH, 1), 30), num_labels=29)
    with pytest.raises(ValueError, match="bp_mll_loss"):
        loss(HEAD.features, kernel, POSITIVES, loss=mll.bp_mll_loss)
