"""Every public loss goes through the whole contract; `cases.CASES` is the table.

This file tests values, derivatives, reductions and masks; `test_contract_programs` tests compiled
programs, and `test_contract_devices` tests several devices.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    CASES,
    DEPENDENT_ON_KNOWN_SHARE,
    NUM_LABELS,
    NUM_SAMPLES,
)
from compiling import jit
from contract import (
    all_cases,
    compiled,
    derivatives,
    each_loss,
    each_shape,
    every_reduction,
    extreme_inputs,
    make_inputs,
    mean_and_gradient,
    written_out,
)

import mllosses_jax as mll
from mllosses_jax import catalogue


def test_every_public_loss_has_a_row_in_catalogue_and_cases():
    # One makes losses of others, and one takes embeddings; they have tests of their own.
    public = set(mll.losses.__all__) - {"weighted_sum", "multilabel_contrastive_loss"}
    assert {entry.name for entry in catalogue.CATALOGUE} == public
    assert {case.name for case in CASES} == public
    assert public <= set(mll.__all__)
    assert mll.__all__ == sorted(mll.__all__)


@all_cases
@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32])
def test_value_of_hard_labels(case, dtype):
    logits, labels, mask = make_inputs(case)
    everything = np.ones_like(mask)
    reference = case.reference(logits, labels, everything)
    for where in (everything, None) if dtype is bool else (everything,):
        result = compiled(case)(logits, labels.astype(dtype), where)
        assert result.dtype == jnp.float32
        np.testing.assert_allclose(result, reference, rtol=3e-5, atol=1e-6)
    masked = compiled(case)(logits, labels.astype(dtype), mask)
    np.testing.assert_allclose(masked, case.reference(logits, labels, mask), rtol=3e-5, atol=1e-6)


@all_cases
def test_value_of_soft_labels(case):
    if not case.entry.soft_labels:
        pytest.skip("soft labels have no meaning for this loss")
    logits, labels, mask = make_inputs(case, soft=True)
    result = compiled(case)(logits, labels, mask)
    np.testing.assert_allclose(result, case.reference(logits, labels, mask), rtol=3e-5, atol=1e-6)


@each_loss
def test_class_ids_are_one_hot_labels(case):
    kwargs = {"activation": "softmax"} if "activation" in case.entry.own_parameters else {}
    logits, _, _ = make_inputs(case)
    ids = np.arange(NUM_SAMPLES, dtype=np.int32) % NUM_LABELS
    if not case.entry.class_ids:
        with pytest.raises(ValueError, match="labels must have the shape of"):
            case.entry.loss(logits, ids, **case.kwargs, **case.batch_inputs(logits > 0, None))
        return
    one_hot = ids[:, None] == np.arange(NUM_LABELS)
    inputs = case.batch_inputs(one_hot, None)
    reference = case.oracle(
        logits.astype(np.float64), one_hot.astype(float), np.ones_like(one_hot), **kwargs, **inputs
    )
    result = case.entry.loss(logits, ids, reduction="none", **kwargs, **inputs)
    np.testing.assert_allclose(result, reference, rtol=3e-5, atol=1e-6)


@each_shape
@pytest.mark.parametrize("masked", [False, True])
def test_reductions_weigh_and_average_what_counts(case, masked):
    if case.entry.kind == "batch":
        pytest.skip("a batch loss has no reduction")
    logits, labels, mask = make_inputs(case)
    mask = mask if masked else np.ones_like(mask)
    unreduced = case.reference(logits, labels, mask)
    rng = np.random.default_rng(1)
    counts = {
        "element": mask,
        "sample": mask.any(-1),
        "label": mask.any(0),
        "batch": np.asarray(mask.any()),
    }[case.unreduced]
    weights = rng.uniform(0.5, 2, size=unreduced.shape).astype(np.float32)
    total = (unreduced * weights)[counts].sum()
    references = {
        "none": np.where(counts, unreduced * weights, 0),
        "sum": total,
        "mean": total / counts.sum(),
        "batchmean": total / mask.any(-1).sum(),
        "weighted_mean": total / weights[counts].sum(),
        "sum_and_count": (total, counts.sum()),
    }
    arguments = (logits, labels, mask if masked else None, weights)
    results = every_reduction(case)(*arguments)
    if case.unreduced in ("label", "batch"):
        del references["batchmean"]
        with pytest.raises(ValueError, match="batchmean"):
            compiled(case, "batchmean")(*arguments)
    assert set(results) == set(references)
    for reduction, reference in references.items():
        pairs = zip(jax.tree.leaves(results[reduction]), jax.tree.leaves(reference), strict=True)
        for got, wanted in pairs:
            np.testing.assert_allclose(got, wanted, rtol=3e-5, atol=1e-6, err_msg=reduction)


def test_element_weights_per_label_and_per_sample():
    case = CASES[0]
    logits, labels, mask = make_inputs(case)
    unreduced = case.reference(logits, labels, mask)
    per_label = np.linspace(1, 2, NUM_LABELS).astype(np.float32)
    per_sample = np.linspace(1, 3, NUM_SAMPLES).astype(np.float32)[:, None]
    for weights in (np.float32(3), per_label, per_sample, per_label[None]):
        result = compiled(case, "sum")(logits, labels, mask, weights)
        np.testing.assert_allclose(result, (unreduced * weights).sum(), rtol=1e-5)
        mean = compiled(case, "weighted_mean")(logits, labels, mask, weights)
        scale = np.broadcast_to(weights, mask.shape)[mask].sum()
        np.testing.assert_allclose(mean, (unreduced * weights).sum() / scale, rtol=1e-5)
    with pytest.raises(ValueError, match=r"weights must be a scalar.*got \(8,\)"):
        case.loss(logits, labels, weights=per_sample[:, 0])


@all_cases
def test_gradient(case):
    def agrees(logits, labels, mask, dtypes):
        reference = case.reference_slope(logits, labels, mask)
        for dtype in dtypes:
            y = labels.astype(dtype)
            _, gradient, _ = derivatives(case)(logits, y, mask, np.zeros_like(logits))
            np.testing.assert_allclose(gradient, reference, rtol=2e-4, atol=2e-6)

    agrees(*make_inputs(case), dtypes=(bool, np.float32))
    if case.entry.soft_labels:
        agrees(*make_inputs(case, soft=True), dtypes=(np.float32,))


@all_cases
def test_hessian(case):
    logits, labels, mask = make_inputs(case)
    direction = np.random.default_rng(2).normal(size=logits.shape).astype(np.float32)
    h = 1e-3  # and 1e-4 within slopes, so that rounding stays below 1e-8
    x, step = logits.astype(np.float64), h * direction.astype(np.float64)
    above, below = (case.reference_slope(x + sign * step, labels, mask, 1e-4) for sign in (1, -1))
    reference = (above - below) / (2 * h)
    scale = np.abs(reference).max()
    for y in (labels.astype(bool), labels):
        _, _, product = derivatives(case)(logits, y, mask, direction)
        np.testing.assert_allclose(product, reference, rtol=2e-3, atol=2e-5 * scale)


@each_shape
def test_eager_calls_equal_compiled_ones(case):
    logits, labels, mask = make_inputs(case)
    extra = {} if case.entry.kind == "batch" else {"reduction": "sum"}
    eager = case.loss(jnp.asarray(logits), labels=labels, where=mask, **case.kwargs, **extra)
    value, _, _ = derivatives(case)(logits, labels, mask, np.zeros_like(logits))
    np.testing.assert_allclose(eager, value, rtol=1e-6)


@each_shape
def test_vmap_equals_a_loop(case):
    logits, labels, mask = (
        np.stack(parts)
        for parts in zip(*(make_inputs(case, seed) for seed in range(3)), strict=True)
    )
    function = compiled(case)
    together = jit(jax.vmap(written_out(case)))(logits, labels, mask)
    for i in range(3):
        alone = function(logits[i], labels[i], mask[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-5, atol=1e-7)


@each_loss
def test_more_batch_axes_are_one_batch(case):
    logits, labels, mask = make_inputs(case)
    split = tuple(a.reshape(2, NUM_SAMPLES // 2, NUM_LABELS) for a in (logits, labels, mask))
    result = np.asarray(compiled(case)(*split))
    flat = np.asarray(compiled(case)(logits, labels, mask))
    if case.unreduced in ("element", "sample"):
        assert result.shape[:2] == (2, NUM_SAMPLES // 2)
    np.testing.assert_allclose(result.reshape(flat.shape), flat, rtol=1e-5, atol=1e-7)


@all_cases
def test_masking_equals_deletion(case):
    if case.name in DEPENDENT_ON_KNOWN_SHARE:
        pytest.skip("the loss depends on how many labels are masked")
    logits, labels, _ = make_inputs(case)
    rows, columns = [0, 1, 4, 6], [0, 2, 4]
    mask = np.zeros(logits.shape, bool)
    mask[np.ix_(rows, columns)] = True
    small = (logits[np.ix_(rows, columns)], labels[np.ix_(rows, columns)])
    extra = {} if case.entry.kind == "batch" else {"reduction": "mean"}
    deleted = case.loss(*small, **case.cut(columns), **extra)
    masked, _ = mean_and_gradient(case)(logits, labels, mask)
    np.testing.assert_allclose(masked, deleted, rtol=1e-5, atol=1e-7)


POISONS = (np.nan, np.inf, -np.inf)


@all_cases
def test_masked_cells_never_leak(case):
    logits, labels, mask = make_inputs(case)
    direction = np.ones_like(logits)
    clean = derivatives(case)(logits, labels, mask, direction)
    for poison in POISONS:
        poisoned = derivatives(case)(
            np.where(mask, logits, poison).astype(np.float32),
            np.where(mask, labels, poison).astype(np.float32),
            mask,
            direction,
        )
        for got, wanted in zip(poisoned, clean, strict=True):
            np.testing.assert_array_equal(got, wanted)
        for part in poisoned[1:]:
            assert np.all(np.asarray(part)[~mask] == 0)


@each_loss
def test_masked_cells_never_leak_into_gradients_of_gradients(case):
    logits, labels, mask = make_inputs(case)
    function = written_out(case, "sum")
    squares = jit(jax.grad(lambda x: jnp.sum(jax.grad(function)(x, labels, mask) ** 2)))
    for poison in POISONS:
        gradient = squares(np.where(mask, logits, poison).astype(np.float32))
        assert np.all(np.isfinite(gradient))
        assert np.all(np.asarray(gradient)[~mask] == 0)


@each_shape
def test_nothing_counts_gives_zero(case):
    logits, labels, mask = make_inputs(case)
    nothing = np.zeros_like(mask)
    lost = np.full_like(logits, np.nan)
    shape = {"element": mask.shape, "sample": mask.shape[:1], "label": mask.shape[1:], "batch": ()}
    weights = None if case.entry.kind == "batch" else np.ones(shape[case.unreduced], np.float32)
    results = every_reduction(case)(lost, labels, nothing, weights)
    results["mean and gradient"] = mean_and_gradient(case)(logits, labels, nothing)
    results["of the lost"] = mean_and_gradient(case)(lost, labels, nothing)
    assert all(np.all(np.asarray(result) == 0) for result in jax.tree.leaves(results))


@each_loss
def test_a_nan_that_counts_is_seen(case):
    # A loss that hid it would look fine while the model is lost.
    logits, _, mask = make_inputs(case)
    # Some losses are 0 in a sample or a label of one kind, whatever the logits are.
    labels, everything = np.indices(mask.shape).sum(0) % 2 == 0, np.ones_like(mask)
    loss = jit(written_out(case, "sum"))
    for cell in ((0, 0), (0, 1)):
        lost = np.copy(logits)
        lost[cell] = np.nan
        assert np.isnan(loss(lost, labels, everything))


@each_loss
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_logits(case, dtype):
    logits, labels, mask = make_inputs(case)
    half = jnp.asarray(logits).astype(dtype)
    value, gradient, _ = derivatives(case)(half, labels, mask, jnp.ones_like(half))
    assert value.dtype == jnp.float32
    assert gradient.dtype == dtype
    wide = np.asarray(half.astype(jnp.float32))
    full_value, full_gradient, _ = derivatives(case)(wide, labels, mask, np.ones_like(wide))
    np.testing.assert_array_equal(value, full_value)
    np.testing.assert_array_equal(gradient, full_gradient.astype(dtype))


@each_loss
def test_float64_labels_promote_nothing(case):
    logits, labels, _ = make_inputs(case)
    kwargs = dict(case.kwargs)
    if case.entry.kind != "batch":
        kwargs["reduction"] = "none"
    with jax.enable_x64(True):
        single = case.loss(logits, labels.astype(np.float64), **kwargs)
        double = case.loss(logits.astype(np.float64), labels, **kwargs)
    assert single.dtype == jnp.float32
    assert double.dtype == jnp.float64
    everything = np.ones(labels.shape, bool)
    inputs = {
        name: np.asarray(value, np.float64) if jnp.issubdtype(value.dtype, jnp.floating) else value
        for name, value in case.batch_inputs(labels, everything).items()
    }
    reference = case.oracle(
        logits.astype(np.float64), labels.astype(np.float64), everything, **case.kwargs, **inputs
    )
    np.testing.assert_allclose(double, reference, rtol=1e-11, atol=1e-14)


@all_cases
@pytest.mark.parametrize("labels_dtype", [bool, np.float32])
def test_extreme_logits_give_no_nan(case, labels_dtype):
    for logits, labels, mask in extreme_inputs(case, jnp.float32):
        value, gradient, product = derivatives(case)(
            logits, labels.astype(labels_dtype), mask, jnp.ones_like(logits)
        )
        assert not np.isnan(value)
        assert np.all(np.isfinite(gradient))
        assert not np.any(np.isnan(product))


@each_loss
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_extreme_logits_of_half_precision_give_no_nan(case, dtype):
    for logits, labels, mask in extreme_inputs(case, dtype):
        results = derivatives(case)(logits, labels.astype(np.float32), mask, jnp.ones_like(logits))
        assert not any(np.any(np.isnan(np.asarray(r, np.float32))) for r in results)


@each_loss
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_empty_arrays(case, shape):
    empty = np.zeros(shape, np.float32)
    kwargs = {k: v for k, v in case.kwargs.items() if not isinstance(v, np.ndarray)}
    assert np.isfinite(case.loss(empty, empty > 0, **kwargs))


def test_sums_over_many_labels_keep_their_digits():
    logits = np.full((2, 1_000_000), -1e-3, np.float32)
    labels = np.zeros(logits.shape, bool)
    mean = mll.sigmoid_binary_cross_entropy(logits, labels)
    np.testing.assert_allclose(mean, np.logaddexp(0, np.float64(logits[0, 0])), rtol=5e-7)


@each_loss
def test_bad_input_is_named(case):
    logits, labels, mask = make_inputs(case)
    first = case.entry.takes
    call = functools.partial(case.loss, **case.kwargs)
    with pytest.raises(TypeError, match=f"{first} must be a floating-point array, got int32"):
        call(logits.astype(np.int32), labels)
    with pytest.raises(TypeError, match=f"{first} must be an array.*list"):
        call(logits.tolist(), labels)
    with pytest.raises(ValueError, match=r"labels must .*\(8, 4\)"):
        call(logits, labels[:, :4])
    with pytest.raises(ValueError, match=r"labels must .*\(1, 5\)"):
        call(logits, labels[:1])
    with pytest.raises(ValueError, match=r"where must have as many axes.*where\[:, None\]"):
        call(logits, labels, where=mask[:, 0])
    with pytest.raises(TypeError, match="where must be a bool array, got int32"):
        call(logits, labels, where=mask.astype(np.int32))
    with pytest.raises(ValueError, match=r"where must have each axis equal"):
        call(logits, labels, where=mask[:3])
    if case.entry.kind != "batch":
        with pytest.raises(ValueError, match=r"reduction must be one of 'none'.*got 'average'"):
            call(logits, labels, reduction="average")
        with pytest.raises(ValueError, match="weights must be a scalar"):
            call(logits, labels, weights=np.ones((3, 3, 3), np.float32))
