"""Every public loss on eight devices: sharded arrays, and `shard_map` with `axis_name`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    FIRST_OF_EACH_SHAPE,
    NUM_LABELS,
    NUM_SAMPLES,
)
from compiling import jit
from contract import (
    each_loss,
    every_reduction,
    make_inputs,
    mean_and_gradient,
    written_out,
)
from jax.sharding import AxisType, NamedSharding, PartitionSpec


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
