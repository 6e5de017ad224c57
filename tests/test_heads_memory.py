"""What compiled programs of heads hold, from their analysis: nothing of this size is run."""

import functools

import jax
import jax.numpy as jnp
import pytest
from compiling import jit_fully

import mllosses_jax as mll
from mllosses_jax import heads

LABELS = (131_072, 1_000_000, 10_000_000)


def shaped(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def analysis(function, *arguments, donate=()):
    compiled = jit_fully(function, donate_argnums=donate).lower(*arguments).compile()
    return compiled.memory_analysis()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_temporary_memory_does_not_depend_on_the_number_of_labels(dtype):
    batch = features = 128
    held = []
    for num_labels in LABELS:
        function = jax.value_and_grad(
            functools.partial(heads.linear_head_loss, loss=mll.asymmetric_loss), (0, 1)
        )
        found = analysis(
            function,
            shaped((batch, features)),
            shaped((num_labels, features), dtype),
            shaped((batch, 8), jnp.int32),
        )
        held.append(found.temp_size_in_bytes)
        estimate = heads.memory_estimate(batch, num_labels, features)
        assert estimate.implementation == "one_pass"
        assert found.temp_size_in_bytes <= 2 * estimate.bytes
    assert max(held) < 32 * 2**20
    assert max(held) - min(held) < 2**20  # chunks are as equal as multiples of 128 allow


@pytest.mark.parametrize("num_labels", [1_000_000, 10_000_000, 18_000_000])
@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 2.15), ("float8", 1.15)])
def test_a_step_holds_little_beside_the_kernel(num_labels, dtype, most):
    """All that the program holds: arguments, results that are not arguments, and temporaries."""
    batch, features = 128, 768
    make = functools.partial(heads.init_linear_head, dtype=dtype, bias=False)
    state = jax.eval_shape(lambda key: make(key, num_labels, features), jax.random.key(0))

    def step(state, features, positives, learning_rate):
        return heads.linear_head_sgd_step(state, features, positives, learning_rate=learning_rate)

    found = analysis(
        step,
        state,
        shaped((batch, features)),
        shaped((batch, 8), jnp.int32),
        shaped(()),
        donate=0,
    )
    total = (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
    )
    assert total / (num_labels * features) <= most


def test_a_new_head_is_made_chunk_by_chunk():
    make = functools.partial(heads.init_linear_head, dtype="float8", momentum=True)
    found = analysis(lambda key: make(key, 10**6, 256), jax.random.key(0))
    assert found.temp_size_in_bytes < 64 * 2**20
