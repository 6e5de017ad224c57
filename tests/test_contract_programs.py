"""The compiled program of every public loss: parameters, export and memory."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    FIRST_OF_EACH,
    FIRST_OF_EACH_SHAPE,
    NUM_LABELS,
    NUM_SAMPLES,
)
from compiling import jit, jit_fully
from contract import each_loss, each_shape, make_inputs, mean_and_gradient, written_out

import mllosses_jax as mll
from mllosses_jax import heads


@each_loss
def test_a_changed_parameter_does_not_recompile(case, caplog):
    if case.traced is None:
        pytest.skip("the loss has no numeric parameter of its own")
    name, first, second = case.traced
    logits, labels, _ = make_inputs(case)
    jax.block_until_ready(case.loss(logits, labels, **{**case.kwargs, name: first}))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        one = case.loss(logits, labels, **{**case.kwargs, name: first})
        other = case.loss(logits, labels, **{**case.kwargs, name: second})
    assert not [r for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert float(one) != float(other)


@each_loss
def test_parameters_are_differentiable(case):
    if case.traced is None:
        pytest.skip("the loss has no numeric parameter of its own")
    name, value, _ = case.traced
    logits, labels, mask = make_inputs(case)
    kwargs = {k: v for k, v in case.kwargs.items() if k != name}
    gradient = jit(
        jax.grad(lambda v: case.loss(logits, labels, where=mask, **{**kwargs, name: v}))
    )(jnp.float32(value))

    def reference(v):
        unreduced = case.reference(logits, labels, mask, **{name: np.float64(v)})
        counts = {
            "element": mask,
            "sample": mask.any(-1),
            "label": mask.any(0),
            "batch": np.asarray(True),
        }[case.unreduced]
        return unreduced[counts].sum() / counts.sum()

    slope = (reference(value + 1e-6) - reference(value - 1e-6)) / 2e-6
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def _exported(case, *dtypes):
    """Returns the mean of a case and its gradient as a program for batches of any size."""
    (size,) = jax.export.symbolic_shape("size")
    function = jax.jit(jax.value_and_grad(written_out(case, "mean")))
    arguments = [jax.ShapeDtypeStruct((size, NUM_LABELS), dtype) for dtype in dtypes]
    return jax.export.export(function)(*arguments).call


@each_shape
def test_an_exported_program_takes_any_batch(case):
    program = _exported(case, jnp.float32, jnp.float32)
    for samples in (3, 11):
        logits, labels, mask = make_inputs(case, samples=samples)
        everything = np.ones_like(mask)
        value, gradient = program(logits, labels)
        unreduced = case.reference(logits, labels, everything)
        np.testing.assert_allclose(value, unreduced.mean(), rtol=3e-5)
        slope = case.reference_slope(logits, labels, everything) / unreduced.size
        np.testing.assert_allclose(gradient, slope, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("case", {c.unreduced: c for c in FIRST_OF_EACH_SHAPE}.values(), ids=str)
def test_an_exported_program_takes_any_mask(case):
    program = _exported(case, jnp.float32, jnp.bool_, jnp.bool_)
    for samples in (NUM_SAMPLES, 11):
        logits, labels, mask = make_inputs(case, samples=samples)
        results = program(logits, labels > 0, mask)
        for got, wanted in zip(results, mean_and_gradient(case)(logits, labels, mask), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


# Heads, whose labels are more than a chunk holds

HEAD_LABELS, HEAD_FEATURES, RATE = 20_000, 3, 0.5
bce = functools.partial(heads.linear_head_loss, loss=mll.sigmoid_binary_cross_entropy)
softmax = functools.partial(heads.linear_head_loss, loss=mll.softmax_cross_entropy)


def _head_step(h, w, b, y):
    loss = mll.sigmoid_binary_cross_entropy
    step = functools.partial(heads.linear_head_sgd_step, learning_rate=RATE, loss=loss)
    after = step(heads.HeadState(w, b), h, y)
    return after.loss, after.features_gradient, after.state.kernel, after.state.bias


HEAD_PROGRAMS = {
    "losses": lambda h, w, b, y: bce(h, w, y, bias=b, reduction="none"),
    "loss and gradients": lambda h, w, b, y: jax.value_and_grad(
        lambda h, w, b: bce(h, w, y, bias=b, reduction="batchmean"), (0, 1, 2)
    )(h, w, b),
    "loss and gradients in one call": lambda h, w, b, y: heads.linear_head_value_and_grad(
        h, w, y, bias=b, loss=mll.sigmoid_binary_cross_entropy, reduction="batchmean"
    ),
    "softmax": lambda h, w, b, y: jax.value_and_grad(
        lambda h, w, b: softmax(h, w, y, bias=b), (0, 1, 2)
    )(h, w, b),
    "step": _head_step,
    "top k": lambda h, w, b, y: heads.linear_head_top_k(h, w, 5, bias=b, exclude=y),
    "predictions": lambda h, w, b, y: heads.linear_head_predictions(
        h, w, 9.0, bias=b, max_predictions=HEAD_LABELS
    ),
}


def _head_results(name, h, w, b, y):
    """Returns what a program of a head gives, from all logits in float64."""
    h, w, b = (x.astype(np.float64) for x in (h, w, b))
    x = h @ w.T + b
    rows = np.arange(len(h))[:, None]
    labels = np.zeros(x.shape, bool)
    labels[rows, y] = True
    labels[:, -1] &= (y == HEAD_LABELS - 1).any(1)  # which padding has set
    if name == "top k":
        ids = np.argsort(np.where(labels, np.inf, -x), axis=1, kind="stable")[:, :5]
        return x[rows, ids], ids
    if name == "predictions":
        ids = np.argsort(-x, axis=1, kind="stable")
        counts = (x > 9).sum(1)
        return np.where(np.arange(HEAD_LABELS) < counts[:, None], ids, -1), counts
    if name == "softmax":
        p = np.exp(x - x.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        share = labels / labels.sum(1, keepdims=True)
        value, slope = -(share * np.log(p)).sum(1).mean(), (p - share) / len(h)
    else:
        losses = np.logaddexp(0, np.where(labels, -x, x)).sum(1)
        value, slope = losses.mean(), (1 / (1 + np.exp(-x)) - labels) / len(h)
    of_features, of_kernel, of_bias = slope @ w, slope.T @ h, slope.sum(0)
    return {
        "losses": lambda: losses,
        "step": lambda: (value, of_features, w - RATE * of_kernel, b - RATE * of_bias),
    }.get(name, lambda: (value, of_features, of_kernel, of_bias))()


@pytest.mark.parametrize("name", HEAD_PROGRAMS)
def test_an_exported_head_takes_any_batch(name):
    (size,) = jax.export.symbolic_shape("size")
    assert heads.choose_chunk_size(size, HEAD_LABELS) == heads.choose_chunk_size(128, HEAD_LABELS)
    assert heads.choose_chunk_size(128, HEAD_LABELS) < HEAD_LABELS
    like = jax.ShapeDtypeStruct
    arguments = (
        like((size, HEAD_FEATURES), jnp.float32),
        like((HEAD_LABELS, HEAD_FEATURES), jnp.float32),
        like((HEAD_LABELS,), jnp.float32),
        like((size, 4), jnp.int32),
    )
    program = jax.export.export(jax.jit(HEAD_PROGRAMS[name]))(*arguments).call
    rng = np.random.default_rng(0)
    w = rng.normal(size=(HEAD_LABELS, HEAD_FEATURES)).astype(np.float32)
    b = rng.normal(size=HEAD_LABELS).astype(np.float32)
    for samples in (1, 5):
        h = rng.normal(size=(samples, HEAD_FEATURES)).astype(np.float32)
        y = rng.integers(0, HEAD_LABELS, (samples, 4)).astype(np.int32)
        y[-1, 1:] = -1
        found, expected = program(h, w, b, y), _head_results(name, h, w, b, y)
        for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6 * scale)


# Arrays (B, L) besides inputs and gradient: the loss, which is written out before it is summed;
# what the kernel for soft asymmetric labels shares between value and slope, because it is cheaper;
# and, at one byte each, which entries may be selected. The coherence loss gathers logits by an
# index, kept in two layouts, and scatters their gradient.
SELECTING = ("large_loss_rejection", "large_loss_correction", "class_aware_selective_loss")
TEMPORARIES = {
    ("asymmetric_loss", np.float32): 3,
    ("hierarchical_coherence_loss", bool): 6,
    ("hierarchical_coherence_loss", np.float32): 6,
}
TEMPORARIES |= {(name, dtype): 1.25 for name in SELECTING for dtype in (bool, np.float32)}


@pytest.mark.parametrize(
    "case",
    [c for c in FIRST_OF_EACH if c.entry.kind == "element"],
    ids=str,
)
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_gradient_needs_little_memory(case, dtype):
    shape = (512, 256)
    one = int(np.prod(shape)) * 4
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    y = jax.ShapeDtypeStruct(shape, dtype)
    step = jit_fully(jax.value_and_grad(lambda x, y: case.loss(x, y, **_first_label(case))))
    analysis = step.lower(x, y).compile().memory_analysis()
    assert analysis.temp_size_in_bytes <= (TEMPORARIES.get((case.name, dtype), 1) + 0.1) * one


def _first_label(case):
    return {k: v[0] if isinstance(v, np.ndarray) else v for k, v in case.kwargs.items()}
