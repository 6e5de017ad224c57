"""The conversion of bfloat16 to float32 is that of JAX but for how its transpose is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax._core.platforms import rounded_to_bfloat16
from mllosses_jax._core.widening import widened

FLOAT32 = jnp.dtype(jnp.float32)
X = jnp.asarray(np.linspace(-3, 3, 12).reshape(3, 4), jnp.bfloat16)


def bent(x):
    """Returns a number whose derivatives of all orders depend on x, by the conversion of ours."""
    return jnp.sum(jnp.sin(widened(x, FLOAT32)) ** 2)


def bent_by_jax(x):
    return jnp.sum(jnp.sin(x.astype(jnp.float32)) ** 2)


def test_numbers_are_rounded_as_jax_rounds_them():
    bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    ends = np.array([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x7F800001, 1], np.uint32)
    numbers = jnp.asarray(np.concatenate([bits, ties, ends]).view(np.float32))
    got, wanted = jax.jit(rounded_to_bfloat16)(numbers), numbers.astype(jnp.bfloat16)
    np.testing.assert_array_equal(got.astype(jnp.float32), wanted.astype(jnp.float32))


@pytest.mark.parametrize(
    "derivative",
    [
        jax.grad,
        jax.jacfwd,
        jax.hessian,
        lambda f: jax.grad(lambda x: jnp.sum(jax.grad(f)(x).astype(jnp.float32) ** 2)),
        lambda f: jax.vmap(jax.grad(f), in_axes=1, out_axes=1),
        lambda f: jax.grad(jax.checkpoint(f)),
        lambda f: lambda x: jax.jvp(f, (x,), (x,)),
        lambda f: lambda x: jax.linearize(f, x)[1](x),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_are_those_of_the_conversion_of_jax(derivative, compiled):
    ours, of_jax = derivative(bent), derivative(bent_by_jax)
    if compiled:
        ours, of_jax = jax.jit(ours), jax.jit(of_jax)
    for got, wanted in zip(jax.tree.leaves(ours(X)), jax.tree.leaves(of_jax(X)), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.astype(jnp.float32), wanted.astype(jnp.float32))


def test_a_split_over_devices_stays():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    split = jax.NamedSharding(mesh, jax.P(None, "data"))
    with jax.set_mesh(mesh):
        x = jax.device_put(X, split)
        assert widened(x, FLOAT32).sharding == split
        assert jax.jit(jax.grad(bent))(x).sharding == split


def test_other_dtypes_are_converted_by_jax():
    for dtype in (jnp.float16, jnp.float32):
        program = jax.make_jaxpr(lambda x: widened(x, FLOAT32))(X.astype(dtype))
        assert {str(equation.primitive) for equation in program.eqns} <= {"convert_element_type"}


def test_gradients_are_rounded_by_integers_on_a_cpu_only():
    traced = jax.jit(jax.grad(bent)).trace(X)
    programs = {p: traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda", "tpu")}
    by_integers = {p: "bitcast_convert" in text for p, text in programs.items()}
    assert by_integers == {"cpu": True, "cuda": False, "tpu": False}
