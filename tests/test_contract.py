"""Every public loss goes through the whole contract; `cases.CASES` is the table."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    CASES,
    FIRST_OF_EACH,
    FIRST_OF_EACH_SHAPE,
    NUM_LABELS,
    NUM_SAMPLES,
    OF_THE_KNOWN_SHARE,
)
from compiling import jit, jit_fully
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import mllosses_jax as mll
from mllosses_jax import catalogue

all_cases = pytest.mark.parametrize("case", CASES, ids=str)
each_loss = pytest.mark.parametrize("case", FIRST_OF_EACH, ids=str)
each_shape = pytest.mark.parametrize("case", FIRST_OF_EACH_SHAPE, ids=str)
REDUCTIONS = ("none", "sum", "mean", "batchmean", "weighted_mean", "sum_and_count")


def make_inputs(case, seed=0, soft=False, samples=NUM_SAMPLES):
    """Returns float32 logits, float32 labels and a bool mask, with an empty and a full row."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(samples, NUM_LABELS)).astype(np.float32)
    if case.entry.takes == "probabilities":
        logits = (1 / (1 + np.exp(-logits))).astype(np.float32)
    labels = (rng.random(logits.shape) < 0.4).astype(np.float32)
    labels[0], labels[1] = 0, 1
    if soft:
        labels = rng.uniform(0.05, 0.95, size=logits.shape).astype(np.float32)
    mask = rng.random(logits.shape) < 0.7
    mask[2], mask[:, 3] = False, mask[:, 3] & (np.arange(samples) < samples // 2)
    return logits, labels, mask


def written_out(case, reduction=None):
    """Returns the loss of (logits, labels, where, weights) of a case."""
    kwargs = dict(case.kwargs)
    if case.entry.kind != "batch":
        kwargs["reduction"] = reduction or "none"

        def function(logits, labels, where=None, weights=None):
            return case.loss(logits, labels, where=where, weights=weights, **kwargs)
    else:

        def function(logits, labels, where=None, weights=None):
            assert weights is None
            return case.loss(logits, labels, where=where, **kwargs)

    return function


@functools.cache
def compiled(case, reduction=None):
    """Returns the same, jitted."""
    return jit(written_out(case, reduction))


@functools.cache
def every_reduction(case):
    """Returns the jitted losses of a case by each reduction that it has, one program for all."""
    names = [n for n in REDUCTIONS if n != "batchmean" or case.unreduced in ("element", "sample")]

    def function(logits, labels, where=None, weights=None):
        call = functools.partial(case.loss, logits, labels, where=where, **case.kwargs)
        if case.entry.kind == "batch":
            return {"mean": call()}
        return {name: call(weights=weights, reduction=name) for name in names}

    return jit(function)


@functools.cache
def mean_and_gradient(case):
    """Returns the jitted mean of a case and its gradient, of (logits, labels, where)."""
    return jit(jax.value_and_grad(written_out(case, "mean")))


@functools.cache
def derivatives(case):
    """Returns the jitted value, gradient and Hessian-vector product of the sum of a case.

    One program serves many tests: they call it with (logits, labels, where, direction), all of
    them (NUM_SAMPLES, NUM_LABELS).
    """
    function = written_out(case, "sum")

    def everything(x, y, where, direction):
        slope = jax.value_and_grad(lambda x: function(x, y, where))
        (value, gradient), (_, product) = jax.jvp(slope, (x,), (direction,))
        return value, gradient, product

    return jit(everything)


def test_every_public_loss_has_a_row_in_catalogue_and_cases():
    public = set(mll.losses.__all__)
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
    def agrees(y):
        _, gradient, _ = derivatives(case)(logits, y, mask, np.zeros_like(logits))
        reference = case.reference_slope(logits, labels, mask)
        np.testing.assert_allclose(gradient, reference, rtol=2e-4, atol=2e-6)

    logits, labels, mask = make_inputs(case)
    agrees(labels.astype(bool))
    agrees(labels)
    if case.entry.soft_labels:
        logits, labels, mask = make_inputs(case, soft=True)
        agrees(labels)


@all_cases
def test_hessian(case):
    logits, labels, mask = make_inputs(case)
    direction = np.random.default_rng(2).normal(size=logits.shape).astype(np.float32)
    h = 1e-3  # and 1e-4 within slopes: rounding stays below 1e-8
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
    if case.name in OF_THE_KNOWN_SHARE:
        pytest.skip("the loss sees how many labels are masked")
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


EXTREMES = np.array([0, 17, 25, 88, 110, 1e4, 1e30, 3e38])
# The sum of extreme losses of either sign is not a number.
UNBOUNDED_BELOW = ("unbiased_binary_cross_entropy",)


def extreme_inputs(case, dtype):
    """Returns eight batches of logits, bool labels and masks."""
    # Sums over labels and products with gamma need some room below the largest float.
    alone = case.entry.kind == "element" and case.name not in UNBOUNDED_BELOW
    largest = min(float(jnp.finfo(dtype).max), np.inf if alone else 1e30)
    levels = np.unique(np.clip(np.concatenate([EXTREMES, -EXTREMES]), -largest, largest))
    if case.entry.takes == "probabilities":
        levels = np.array([0, 1e-30, 0.5, 1])
    rng = np.random.default_rng(3)
    logits = rng.choice(levels, size=(8, NUM_SAMPLES, NUM_LABELS)).astype(np.float32)
    labels = rng.random(logits.shape) < 0.5
    labels[:, 0], labels[:, 1] = False, True
    mask = rng.random(logits.shape) < 0.7
    mask[:4] = True
    return zip(jnp.asarray(logits).astype(dtype), labels, mask, strict=True)


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


def _mesh(axis_type, shape=(8,), names=("data",)):
    return jax.make_mesh(shape, names, axis_types=(axis_type,) * len(names))


@each_loss
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_sharded_arrays(case, axis_type):
    logits, labels, mask = (a[:, :4] for a in make_inputs(case))
    mesh = _mesh(axis_type, (2, 4), ("data", "labels"))
    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, PartitionSpec("data", "labels"))
        arrays = [jax.device_put(a, sharding) for a in (logits, labels, mask)]
        value, gradient = jit(
            jax.value_and_grad(lambda x, y, w: jnp.sum(written_out(case, "sum")(x, y, w)))
        )(*arrays)
    wanted = case.reference(logits, labels, mask).sum()
    np.testing.assert_allclose(value, wanted, rtol=3e-5)
    wanted = case.reference_slope(logits, labels, mask)
    np.testing.assert_allclose(gradient, wanted, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("case", "masked"),
    [(case, masked) for case in FIRST_OF_EACH_SHAPE for masked in (False, True)],
    ids=str,
)
def test_shard_map_equals_one_device(case, masked):
    logits, labels, mask = make_inputs(case)
    extra = {} if case.entry.kind == "batch" else {"reduction": "mean"}

    def local(x, y, *where):
        where = where[0] if where else None
        return jax.value_and_grad(
            lambda x: case.loss(x, y, where=where, axis_name="data", **case.kwargs, **extra)
        )(x)

    arrays = (logits, labels) + ((mask,) if masked else ())
    spec = PartitionSpec("data")
    sharded = jax.shard_map(
        local,
        mesh=_mesh(AxisType.Auto),
        in_specs=(spec,) * len(arrays),
        out_specs=(PartitionSpec(), spec),
        check_vma=True,
    )
    value, gradient = jit(sharded)(*arrays)
    reference = mean_and_gradient(case)(logits, labels, mask if masked else np.ones_like(mask))
    np.testing.assert_allclose(value, reference[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, reference[1], rtol=1e-5, atol=1e-7)


@each_loss
@pytest.mark.parametrize("masked", ["labels", "samples"])
def test_reductions_over_devices(case, masked):
    if case.entry.kind == "batch":
        pytest.skip("a batch loss has no reduction")
    names = ["sum", "weighted_mean", "sum_and_count"]
    names += ["batchmean"] if case.unreduced in ("element", "sample") else []
    logits, labels, mask = make_inputs(case)
    size = {"element": NUM_LABELS, "label": NUM_LABELS, "sample": NUM_SAMPLES}[case.unreduced]
    weights = np.linspace(1, 2, size).astype(np.float32)
    batch, everywhere = PartitionSpec(("replica", "data")), PartitionSpec()
    where, spec = (mask[:1], everywhere) if masked == "labels" else (mask[:, 1:2], batch)

    def local(x, y, where, weights):
        call = functools.partial(case.loss, x, y, where=where, weights=weights, **case.kwargs)
        return {n: call(reduction=n, axis_name=("replica", "data")) for n in names}

    sharded = jax.shard_map(
        local,
        mesh=_mesh(AxisType.Auto, (2, 4), ("replica", "data")),
        in_specs=(batch, batch, spec, batch if case.unreduced == "sample" else everywhere),
        out_specs=everywhere,
        check_vma=True,
    )
    results = jit(sharded)(logits, labels, where, weights)
    if case.unreduced == "element":
        weights = np.broadcast_to(weights, mask.shape)
    where = np.broadcast_to(where, mask.shape)
    references = every_reduction(case)(logits, labels, where, weights)
    for name in names:
        pairs = zip(jax.tree.leaves(results[name]), jax.tree.leaves(references[name]), strict=True)
        for got, wanted in pairs:
            np.testing.assert_allclose(got, wanted, rtol=1e-5, err_msg=name)


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


# Arrays (B, L) beside inputs and gradient: the loss, which is written out before it is summed, and
# what the kernel of soft asymmetric labels shares between value and slope because it is cheaper,
# and, at a byte each, which entries may be selected. The coherence loss gathers: by an index, kept
# in two layouts, logits whose gradient it scatters.
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
