"""Losses in two sweeps inside `shard_map`: one answer on any mesh, and few collectives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from jax.sharding import PartitionSpec as P
from two_sweep_inputs import B, D, L, each_name, inputs

from mllosses_jax import catalogue, heads


@pytest.mark.parametrize("shape", [(1, 8), (2, 4)])
@each_name
def test_sharded(name, shape):
    x, w, b, ids, unknown, _, weights = (np.repeat(a, 2, 0) if len(a) == B else a for a in inputs())
    mesh = jax.make_mesh(shape, ("data", "label"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    padded = 56  # eight times seven: three rows beyond the last label
    w = np.concatenate([w, np.ones((padded - L, D), np.float32)])
    b = np.concatenate([b, np.ones(padded - L, np.float32)])
    loss = catalogue.find(name).loss
    options = {"loss": loss, "num_labels": L, "chunk_size": 3}

    def whole(x, w, b):
        return heads.linear_head_loss(
            x,
            w[:L],
            ids,
            bias=b[:L],
            loss=loss,
            unknown=unknown,
            sample_weights=weights,
            reduction="weighted_mean",
        )

    names = {"axis_name": "data", "label_axis_name": "label"}
    in_specs = (P("data"), P("label"), P("label"), P("data"), P("data"), P("data"))

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=P())
    def part(x, w, b, ids, unknown, weights):
        return heads.linear_head_loss(
            x,
            w,
            ids,
            bias=b,
            unknown=unknown,
            sample_weights=weights,
            reduction="weighted_mean",
            implementation="recompute",
            **options,
            **names,
        )

    arguments = x, w, b, ids, unknown, weights
    program = jit(jax.value_and_grad(part, argnums=(0, 1, 2))).lower(*arguments).compile()
    found = program(*arguments)
    expected = jit(jax.value_and_grad(whole, argnums=(0, 1, 2)))(x, w, b)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, expected
    )
    text = program.as_text()
    assert "all-gather(" not in text
    # The sum of the weights, the largest logits, both statistics in one, the gradient of the
    # features, and that of kernel and bias with the value.
    assert text.count(" all-reduce(") == 5
    specs = heads.HeadState(P("label"), P("label"))

    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(specs, *in_specs[:1], *in_specs[3:]),
        out_specs=heads.HeadStep(specs, P(), P("data")),
    )
    def step(state, x, ids, unknown, weights):
        return heads.linear_head_sgd_step(
            state,
            x,
            ids,
            learning_rate=0.5,
            unknown=unknown,
            sample_weights=weights,
            reduction="weighted_mean",
            **options,
            **names,
        )

    state = heads.HeadState(jnp.asarray(w), jnp.asarray(b))
    after = jit(step)(state, x, ids, unknown, weights)
    np.testing.assert_allclose(after.loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(after.features_gradient, expected[1][0], atol=1e-6)
    np.testing.assert_allclose(after.state.kernel, w - 0.5 * expected[1][1], atol=1e-5)
    np.testing.assert_allclose(after.state.bias, b - 0.5 * expected[1][2], atol=1e-5)
