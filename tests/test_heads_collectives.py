"""Which collectives compiled programs of heads hold: no array is gathered, least of all the kernel.

XLA merges sums over the same devices.
"""

import functools
import re

import jax
import numpy as np
import pytest
from head_meshes import HEAD, MESHES, POSITIVES, ROWS, WHERE, padded
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import mllosses_jax as mll
from mllosses_jax import heads


def collectives(program, *arguments):
    """Returns how often the compiled program communicates in each way."""
    text = program.lower(*arguments).compile().as_text()
    kinds = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
    counts = {kind: len(re.findall(rf" {kind}(?:-start)?\(", text)) for kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize(
    ("name", "options", "number"),
    [
        ("data and label", {}, 3),  # the loss, and the gradients of features and of kernel and bias
        ("data and label", {"implementation": "recompute"}, 3),
        ("data and label", {"implementation": "checkpoint"}, 3),
        ("data and label", {"where": WHERE}, 4),  # and how many samples count
        ("label", {}, 1),
        ("label", {"where": WHERE}, 1),
        ("data", {}, 1),
    ],
)
def test_collectives_of_value_and_gradient(name, options, number, inside):
    """XLA merges sums over the same devices; no array is gathered, least of all the kernel."""
    mesh, axes = MESHES[name]
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh, **axes)
    data, label = axes.get("data_axis", "data"), axes.get("label_axis", "label")
    specs = P(data), P(label), P(label), P(data)
    options = {"implementation": "one_pass", "chunk_size": 3} | options

    def value(features, kernel, bias, positives, where):
        extra = options | ({"where": where} if "where" in options else {})
        if inside:
            extra |= {"axis_name": data, "label_axis_name": label}
        function = heads.linear_head_loss if inside else loss
        return function(features, kernel, positives, bias=bias, **extra)

    program = jax.value_and_grad(value, (0, 1, 2))
    if inside:
        results = P(), specs[:3]
        specs = (*specs, P(data))
        program = jax.shard_map(program, mesh=mesh, in_specs=specs, out_specs=results)
    else:
        specs = (*specs, P(data))
    arrays = HEAD.features, np.ones((ROWS, 4), np.float32), np.ones(ROWS, np.float32)
    arrays = (*arrays, POSITIVES, WHERE)
    placed = [
        jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in zip(arrays, specs, strict=True)
    ]
    assert collectives(jax.jit(program), *placed) == {"all-reduce": number}


def placed_arrays(mesh, axes):
    """Returns features, a kernel, a bias and positives, each where it is used."""
    data, label = axes.get("data_axis", "data"), axes.get("label_axis", "label")
    arrays = HEAD.features, np.ones((ROWS, 4), np.float32), np.ones(ROWS, np.float32), POSITIVES
    specs = P(data), P(label), P(label), P(data)
    return [jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(arrays, specs, strict=True)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
@pytest.mark.parametrize(
    ("name", "loss", "number"),
    [
        # A chunk adds up its gradients over the samples: once in the loop, once for the rest; the
        # loss and the gradient of the features come last.
        ("data and label", mll.asymmetric_loss, 4),
        ("data and label", mll.softmax_cross_entropy, 6),  # and the largest logits, and the sums
        ("label", mll.asymmetric_loss, 1),
        ("label", mll.softmax_cross_entropy, 3),
        ("data", mll.asymmetric_loss, 2),
        ("data", mll.softmax_cross_entropy, 3),
    ],
)
def test_collectives_of_a_step(name, loss, number, dtype):
    mesh, axes = MESHES[name]
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh, **axes)
    state = heads.init_linear_head(jax.random.key(0), ROWS, 4, dtype=dtype, momentum=True)
    if axes.get("label_axis", "label"):
        state = jax.tree.map(lambda x: padded(mesh, axes, x) if x.ndim else x, state)
    program = jax.jit(functools.partial(step, learning_rate=0.1, chunk_size=3, loss=loss))
    features, _, _, positives = placed_arrays(mesh, axes)
    assert collectives(program, state, features, positives) == {"all-reduce": number}


@pytest.mark.parametrize(
    ("name", "number"),
    # The largest logits, the sums relative to them and the gradient of the features are added up
    # over the labels; the number of samples, and the loss with the other gradients, over the data.
    [("data and label", 4), ("label", 3), ("data", 1)],
)
def test_collectives_of_a_loss_in_two_sweeps(name, number):
    mesh, axes = MESHES[name]
    function = heads.shard_linear_head(heads.linear_head_value_and_grad, mesh, **axes)

    @jax.jit
    def program(features, kernel, bias, positives):
        return function(
            features,
            kernel,
            positives,
            bias=bias,
            loss=mll.softmax_cross_entropy,
            chunk_size=3,
            reduction="sum",
        )

    assert collectives(program, *placed_arrays(mesh, axes)) == {"all-reduce": number}


@pytest.mark.parametrize("loss", [mll.asymmetric_loss, mll.softmax_cross_entropy])
def test_what_devices_of_the_labels_exchange_is_row_sized(loss):
    """Nothing of what they add up grows with the labels."""
    mesh, axes = MESHES["label"]
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh, **axes)
    sizes = []
    for rows in (ROWS, 8 * ROWS):
        state = heads.init_sharded_linear_head(jax.random.key(0), rows, 4, mesh)
        program = jax.jit(functools.partial(step, learning_rate=0.1, chunk_size=3, loss=loss))
        text = program.lower(state, HEAD.features, POSITIVES).compile().as_text()
        results = re.findall(r"= (.*) all-reduce(?:-start)?\(", text)
        sizes.append(sorted(re.findall(r"\[([\d,]*)\]", " ".join(results))))
    assert sizes[0] == sizes[1]
    assert set(sizes[0]) <= {"", "8", "8,4"}  # numbers, (B,), and (B, D) and (B, K), where both are
    assert "8,4" in sizes[0]


def test_collectives_of_top_k():
    """Scores and ids of the best of each device."""
    for name in ("data and label", "label"):
        mesh, axes = MESHES[name]
        function = heads.shard_linear_head(heads.linear_head_top_k, mesh, **axes)
        program = jax.jit(functools.partial(function, k=3, chunk_size=3))
        assert collectives(program, *placed_arrays(mesh, axes)[:2]) == {"all-reduce": 2}
