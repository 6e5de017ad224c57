"""What compiled programs of heads hold, from their analysis: nothing of this size is run."""

import functools

import jax
import jax.numpy as jnp
import pytest
from compiling import jit_for_memory, jit_fully

import mllosses_jax as mll
from mllosses_jax import heads

LABELS = (131_072, 1_000_000, 10_000_000)


def shaped(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def analysis(function, *arguments, donate=()):
    compiled = jit_for_memory(function, donate_argnums=donate).lower(*arguments).compile()
    return compiled.memory_analysis()


BATCH = FEATURES = 128
H, Y = shaped((BATCH, FEATURES)), shaped((BATCH, 8), jnp.int32)
ONE_PASS = (mll.asymmetric_loss, None)
PER_LABEL = (mll.sigmoid_binary_cross_entropy, "pos_weight")
WHOLE = (mll.ldam_loss, "label_counts")  # which needs the least count of all labels
TWO_SWEEPS = (mll.softmax_cross_entropy, None)


def options_of(loss, per_label, weighted=False):
    """Returns the options of a head whose parameters and weights (L,) are the argument."""

    def options(array):
        chosen = {"loss": loss}
        if per_label:
            chosen["loss_kwargs"] = {per_label: array}
        return chosen | ({"label_weights": array} if weighted else {})

    return options


@functools.cache
def gradients(num_labels, loss, dtype=jnp.float32, bias=True, **more):
    options = options_of(*loss, more.pop("weighted", False))
    argnums = (0, 1, 2) if bias else (0, 1)

    def value(h, w, b, y, array):
        b = b if bias else None
        losses = heads.linear_head_loss(h, w, y, bias=b, **options(array), **more)
        return jnp.sum(losses)

    per_label = shaped((num_labels,))
    function = jax.value_and_grad(value, argnums)
    return analysis(function, H, shaped((num_labels, FEATURES), dtype), per_label, Y, per_label)


def step(num_labels, loss, dtype="float32", momentum=False, weighted=False, bias=True, **more):
    options = options_of(*loss, weighted)
    make = functools.partial(heads.init_linear_head, dtype=dtype, bias=bias, momentum=momentum)
    state = jax.eval_shape(lambda key: make(key, num_labels, FEATURES), jax.random.key(0))

    def function(state, h, y, rate, array):
        chosen = options(array) | more
        return heads.linear_head_sgd_step(state, h, y, learning_rate=rate, **chosen)

    return analysis(function, state, H, Y, shaped(()), shaped((num_labels,)), donate=0)


def search(num_labels, dtype=jnp.float32, exclude=False):
    def function(h, w, b, y):
        return heads.linear_head_top_k(h, w, 5, bias=b, exclude=y if exclude else None)

    return analysis(function, H, shaped((num_labels, FEATURES), dtype), shaped((num_labels,)), Y)


def predictions(num_labels, per_label):
    def function(h, w, b, cuts):
        return heads.linear_head_predictions(h, w, cuts, bias=b, max_predictions=10)

    cuts = shaped((num_labels,) if per_label else ())
    return analysis(function, H, shaped((num_labels, FEATURES)), shaped((num_labels,)), cuts)


KINDS = {
    "gradients": functools.partial(gradients, loss=ONE_PASS, bias=False),
    "gradients, bfloat16": functools.partial(gradients, loss=ONE_PASS, dtype=jnp.bfloat16),
    "gradients, bias": functools.partial(gradients, loss=ONE_PASS),
    "gradients, none": functools.partial(gradients, loss=ONE_PASS, reduction="none"),
    "gradients, weights": functools.partial(
        gradients, loss=ONE_PASS, weighted=True, reduction="weighted_mean"
    ),
    "gradients, per label": functools.partial(gradients, loss=PER_LABEL),
    "gradients, whole": functools.partial(gradients, loss=WHOLE),
    "gradients, two sweeps": functools.partial(gradients, loss=TWO_SWEEPS),
    "step": functools.partial(step, loss=ONE_PASS, bias=False),
    "step, bias": functools.partial(step, loss=ONE_PASS),
    "step, momentum": functools.partial(step, loss=ONE_PASS, momentum=True),
    "step, weights": functools.partial(step, loss=ONE_PASS, weighted=True),
    "step, per label": functools.partial(step, loss=PER_LABEL, momentum=True),
    "step, whole": functools.partial(step, loss=WHOLE),
    "step, two sweeps": functools.partial(step, loss=TWO_SWEEPS, momentum=True),
    "top k": search,
    "top k, bfloat16, exclude": functools.partial(search, dtype=jnp.bfloat16, exclude=True),
    "predictions": functools.partial(predictions, per_label=False),
    "predictions, thresholds": functools.partial(predictions, per_label=True),
}
# Rounding at random takes the bits, and what they are made of, for each weight of a chunk.
ROUNDED = {
    f"step, {dtype}, {name}": functools.partial(step, loss=loss, dtype=dtype, momentum=momentum)
    for dtype in ("bfloat16", "float8")
    for name, loss, momentum in (
        ("bias", ONE_PASS, False),
        ("momentum", ONE_PASS, True),
        ("two sweeps", TWO_SWEEPS, True),
    )
}


@pytest.mark.parametrize("kind", ["top k", "step, momentum"])
def test_memory_is_that_of_programs_of_users(kind, monkeypatch):
    found = KINDS[kind](LABELS[0])
    monkeypatch.setitem(globals(), "jit_for_memory", jit_fully)
    assert KINDS[kind](LABELS[0]).temp_size_in_bytes == found.temp_size_in_bytes > 0


@pytest.mark.parametrize("kind", KINDS)
def test_temporary_memory_does_not_depend_on_the_number_of_labels(kind):
    """A byte per label would be 9 MiB."""
    held = [KINDS[kind](number).temp_size_in_bytes / 2**20 for number in LABELS]
    assert max(held) < 32
    assert max(held) - min(held) < 2  # chunks are as equal as multiples of 128 allow


@pytest.mark.parametrize("kind", ROUNDED)
def test_temporary_memory_of_rounding_does_not_depend_on_the_number_of_labels(kind):
    """In chunks that divide the labels, since what is held of a smaller one depends on its size."""
    held = [
        ROUNDED[kind](number, chunk_size=4000).temp_size_in_bytes / 2**20
        for number in (128_000, 1_000_000, 10_000_000)
    ]
    assert max(held) < 32
    assert max(held) - min(held) < 1


def test_the_estimate_of_memory():
    for num_labels in LABELS:
        estimate = heads.memory_estimate(BATCH, num_labels, FEATURES)
        assert estimate.implementation == "one_pass"
        found = KINDS["gradients"](num_labels)
        assert found.temp_size_in_bytes <= 2 * estimate.bytes


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
