"""The compiled program of every public loss: parameters, export and memory."""

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
