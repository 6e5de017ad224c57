"""Losses of samples whose negatives act together: heads, steps and dense logits, in two sweeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from compiling import jit, jit_for_memory
from two_sweep_inputs import (
    CHUNK,
    IMPLEMENTATIONS,
    SETTINGS,
    B,
    D,
    L,
    each_loss,
    each_name,
    in_all_ways,
    inputs,
    of_all_ways,
    oracle,
    oracle_gradients,
)

import mllosses_jax as mll
from mllosses_jax import catalogue, heads
from mllosses_jax.heads._two_sweep import TWO_SWEEP


def test_catalogue_of_losses_in_two_sweeps():
    assert {loss.__name__ for loss in TWO_SWEEP} == set(SETTINGS)
    for loss, together in TWO_SWEEP.items():
        entry = catalogue.find(loss.__name__)
        assert entry.kind == "sample"
        temperatures = {n for n in entry.own_parameters if n in (together.temperature,)}
        assert all(entry.own_parameters[name] == 1 for name in temperatures)
        assert together.temperature is None or temperatures


@each_loss
def test_one_negative_can_take_the_place_of_all(name, kwargs):
    """What the file says of its losses, from their oracles alone."""
    rng = np.random.default_rng(1)
    x, positives = rng.normal(size=(1, 9)), 4
    t = kwargs.get("negative_temperature", kwargs.get("temperature", 1))
    together = t * np.log(np.exp(x[:, positives:] / t).sum(1, keepdims=True))
    few = np.concatenate([x[:, :positives], together], 1)
    loss = oracles.find(name)
    whole, less = (
        loss(z, np.arange(z.shape[1])[None] < positives, np.ones(z.shape, bool), **kwargs)
        for z in (x, few)
    )
    np.testing.assert_allclose(less, whole, rtol=1e-13)


@each_loss
@pytest.mark.parametrize("options", [False, True])
def test_value_and_gradients(name, kwargs, options):
    x, w, b, ids, unknown, where, weights = inputs()
    loss = catalogue.find(name).loss
    given = {"unknown": unknown, "where": where, "sample_weights": weights} if options else {}

    def function(way, x, w, b):
        return heads.linear_head_loss(
            x,
            w,
            ids,
            bias=b,
            loss=loss,
            loss_kwargs=kwargs,
            reduction="sum",
            implementation=way,
            chunk_size=CHUNK,
            **given,
        )

    logits = x.astype(np.float64) @ w.T + b
    value = oracle(name, kwargs, logits, options).sum()
    gradients = oracle_gradients(name, kwargs, options)
    for found in in_all_ways(function, x, w, b).values():
        np.testing.assert_allclose(found[0], value, rtol=2e-6)
        for ours, theirs in zip(found[1], gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)


def reductions(function, name):
    """Returns the losses of a head by each reduction."""
    x, w, b, ids, unknown, where, weights = inputs()
    given = {"unknown": unknown, "where": where, "sample_weights": weights}
    all_of_them = ("none", "sum", "mean", "batchmean", "weighted_mean", "sum_and_count")

    @jit
    def everything(x, w, b):
        call = functools.partial(function, loss=catalogue.find(name).loss, bias=b, **given)
        return [call(x, w, ids, reduction=reduction) for reduction in all_of_them]

    return everything(x, w, b)


@functools.cache
def reductions_of_dense_logits(name):
    return reductions(heads.dense_head_loss, name)


@each_name
@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, None])
def test_reductions_are_those_of_samples(name, implementation):
    head = functools.partial(heads.linear_head_loss, implementation=implementation, chunk_size=16)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-7)
    jax.tree.map(close, reductions(head, name), reductions_of_dense_logits(name))


@each_name
def test_gradient_of_each_sample(name):
    x, w, b, ids, *_ = inputs()
    factors = jnp.linspace(-1.0, 2.0, B)

    def function(way, x, w, b):
        losses = heads.linear_head_loss(
            x,
            w,
            ids,
            bias=b,
            loss=catalogue.find(name).loss,
            reduction="none",
            implementation=way,
            chunk_size=CHUNK,
        )
        return jnp.sum(factors * losses)

    found = in_all_ways(function, x, w, b)
    for way in ("recompute", "checkpoint"):
        for ours, theirs in zip(found[way][1], found["dense"][1], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@each_name
def test_layouts_padding_and_chunks(name):
    x, w, _, ids, *_ = inputs()
    call = functools.partial(heads.linear_head_loss, loss=catalogue.find(name).loss)
    padded = np.concatenate([w, np.full((3, D), 50, np.float32)])

    @jit
    def everything(x, w, padded):
        found = []
        for chunk_size in (1, 20, L - 1, L, 1000):
            chunks = {"implementation": "recompute", "chunk_size": chunk_size}
            found.append(call(x, w, ids, **chunks))
            found.append(call(x, w.T, ids, label_axis=1, **chunks))
            found.append(call(x, padded, ids, num_labels=L, **chunks))
        return jnp.stack(found), call(x, w, ids, implementation="dense")

    found, expected = everything(x, w, padded)
    np.testing.assert_allclose(found, np.full(15, expected), rtol=2e-6)


@pytest.mark.parametrize("size", [1, 2])
@each_name
def test_rows_without_negatives(name, size):
    """All labels are positive, or all are negative."""
    w = jnp.asarray([[1.0], [-2.0]])[:size]
    ids = jnp.asarray([[0, 1][:size], [-1] * size])
    x = jnp.ones((2, 1))
    loss = catalogue.find(name).loss

    def function(way, x, w):
        return heads.linear_head_loss(x, w, ids, loss=loss, implementation=way, chunk_size=1)

    direct = jax.value_and_grad(
        lambda x, w: loss(x @ w.T, heads.positives_to_dense(ids, size)), argnums=(0, 1)
    )
    expected = jit(direct)(x, w)
    for found in in_all_ways(function, x, w).values():
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), found, expected
        )


@each_name
def test_narrow_floats(name):
    x, w, b, ids, *_ = inputs()
    x, w = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)
    loss = catalogue.find(name).loss

    def function(way, x, w, b):
        return heads.linear_head_loss(
            x, w, ids, bias=b, loss=loss, implementation=way, chunk_size=CHUNK
        )

    dense = jax.value_and_grad(functools.partial(function, "dense"), argnums=(0, 1, 2))
    wide = jit(dense)(x.astype(jnp.float32), w.astype(jnp.float32), b)
    for found in in_all_ways(function, x, w, b).values():
        assert [g.dtype for g in found[1]] == [jnp.bfloat16, jnp.bfloat16, jnp.float32]
        np.testing.assert_allclose(found[0], wide[0], rtol=1e-5)
        for ours, theirs in zip(found[1], wide[1], strict=True):
            bound = 2e-2 * np.abs(theirs).max()
            np.testing.assert_allclose(ours.astype(jnp.float32), theirs, atol=bound)


@functools.cache
def of_two_features(name):
    """Returns programs for kernel and features of a loss of one sample with labels 1 and 3.

    The first is that of heads, and the second that of the logits.
    """

    def function(way, w, x):
        ids, loss = jnp.asarray([[1, 3]]), catalogue.find(name).loss
        return heads.linear_head_loss(x, w, ids, loss=loss, implementation=way, chunk_size=2)

    def direct(w, x):
        return catalogue.find(name).loss(
            x @ w.T, heads.positives_to_dense(jnp.asarray([[1, 3]]), 5)
        )

    return of_all_ways(function, 2), jit(jax.value_and_grad(direct))


@pytest.mark.parametrize("scale", [1.0, 100.0, 3000.0])
@each_name
def test_large_logits_lose_no_digits(name, scale):
    """Relative to the largest negative, the small differences of large logits stay exact."""
    x = jnp.asarray([[scale, 1.0]])
    w = jnp.asarray([[1.0, 0.5], [1.0, 0.0], [1.0, -0.25], [-1.0, 0.0], [0.5, 0.0]])
    of_heads, direct = of_two_features(name)
    with jax.enable_x64(True):
        exact = direct(np.float64(w), np.float64(x))
    for found in of_heads(w, x).values():
        np.testing.assert_allclose(found[0], exact[0], rtol=1e-6)
        np.testing.assert_allclose(found[1][0], exact[1], rtol=2e-6, atol=1e-30 * scale)


def test_second_derivatives_by_checkpoint():
    x, w, b, ids, *_ = inputs()

    def hessian(way):
        def total(bias):
            return heads.linear_head_loss(
                x,
                w,
                ids,
                bias=bias,
                loss=mll.decoupled_softmax_loss,
                implementation=way,
                chunk_size=16,
            )

        return jit(jax.hessian(total))(b)

    np.testing.assert_allclose(hessian("checkpoint"), hessian("dense"), atol=1e-7)


@pytest.mark.parametrize("loss", [mll.decoupled_softmax_loss, mll.two_way_sample_loss])
def test_gradients_of_temperatures(loss):
    x, w, _, ids, *_ = inputs()
    names = [n for n in catalogue.find(loss.__name__).own_parameters if "temperature" in n]
    values = dict.fromkeys(names, jnp.float32(0.7))

    def function(way, values):
        return heads.linear_head_loss(
            x, w, ids, loss=loss, loss_kwargs=values, implementation=way, chunk_size=CHUNK
        )

    direct = jax.grad(lambda values: loss(x @ w.T, heads.positives_to_dense(ids, L), **values))
    expected = jit(direct)(values)
    for _, (found,) in in_all_ways(function, values).values():
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5), found, expected)


def test_what_is_asked_for_and_cannot_be():
    x, w, _, ids, *_ = inputs()
    call = functools.partial(heads.linear_head_loss, x, w, ids)
    with pytest.warns(UserWarning, match=r"'recompute' instead of 'one_pass'.*first pass"):
        call(loss=mll.zlpr_loss, implementation="one_pass")
    with pytest.raises(ValueError, match=r"one loss per sample.*sample_weights"):
        call(loss=mll.lsep_loss, label_weights=np.ones(L, np.float32))
    with pytest.raises(ValueError, match=r"one value per sample.*separable losses are.*zlpr_loss"):
        call(loss=mll.ova_n_loss)
    with pytest.raises(TypeError, match="unexpected keyword argument 'gamma'"):
        call(loss=mll.zlpr_loss, loss_kwargs={"gamma": 1})
    with pytest.raises(ValueError, match="temperature"):
        call(loss=mll.decoupled_softmax_loss, loss_kwargs={"temperature": np.ones(L, np.float32)})
    estimate = heads.memory_estimate(128, 10**6, 64, loss=mll.softmax_cross_entropy)
    assert estimate.implementation == "recompute"
    assert "softmax_cross_entropy" in estimate.reason


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@each_name
def test_step(name, dtype):
    x, w, b, ids, unknown, where, weights = inputs()
    state = heads.HeadState(jnp.asarray(w, dtype), jnp.asarray(b))
    call = functools.partial(
        heads.linear_head_loss,
        positives=ids,
        loss=catalogue.find(name).loss,
        unknown=unknown,
        where=where,
        sample_weights=weights,
        reduction="batchmean",
        implementation="dense",
    )
    dense = jax.value_and_grad(lambda x, w, b: call(x, w, bias=b), argnums=(0, 1, 2))
    value, gradients = jit(dense)(x, jnp.asarray(w, dtype).astype(jnp.float32), b)
    found = heads.linear_head_sgd_step(
        state,
        x,
        ids,
        learning_rate=0.5,
        loss=catalogue.find(name).loss,
        unknown=unknown,
        where=where,
        sample_weights=weights,
        chunk_size=CHUNK,
    )
    np.testing.assert_allclose(found.loss, value, rtol=1e-5)
    np.testing.assert_allclose(found.features_gradient, gradients[0], atol=1e-6)
    stepped = jnp.asarray(w, dtype).astype(jnp.float32) - 0.5 * gradients[1]
    atol = 1e-6 if dtype == "float32" else 2**-8 * np.abs(stepped).max()
    np.testing.assert_allclose(found.state.kernel.astype(jnp.float32), stepped, atol=atol)
    np.testing.assert_allclose(found.state.bias, b - 0.5 * gradients[2], atol=1e-6)


def test_memory_does_not_grow_with_the_labels():
    def temporary(num_labels, compute):
        like = (
            jax.ShapeDtypeStruct((32, 64), jnp.float32),
            jax.ShapeDtypeStruct((num_labels, 64), jnp.float32),
            jax.ShapeDtypeStruct((32, 5), jnp.int32),
        )
        return jit_for_memory(compute).lower(*like).compile().memory_analysis().temp_size_in_bytes

    def gradients(x, w, ids):
        def loss(x, w):
            return heads.linear_head_loss(
                x, w, ids, loss=mll.decoupled_softmax_loss, chunk_size=4096
            )

        return jax.value_and_grad(loss, argnums=(0, 1))(x, w)

    few, many = temporary(2**17, gradients), temporary(2**21, gradients)
    assert many <= few * 1.01
    assert many < 4 * 2**20
