"""The step that updates a head in place: against plain gradient descent, and its rounding."""

import functools
import io

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from compiling import jit
from head_inputs import CHUNK, HEAD, LABELS, POSITIVES, UNKNOWN, WHERE, assert_close, in_float64

import mllosses_jax as mll
from mllosses_jax import heads
from mllosses_jax.heads._rounding import rounded

RATES = {"learning_rate": 0.3, "momentum": 0.7, "weight_decay": 0.05}
OPTIONS = {
    "unknown": UNKNOWN,
    "where": WHERE,
    "label_weights": HEAD.label_weights,
    "sample_weights": HEAD.sample_weights,
}


def state_of(kernel, bias=HEAD.bias, momentum=True, key=None):
    """Returns a state; copies, because a step donates its arrays."""
    kernel = jax.tree.map(lambda x: jnp.array(x, copy=True), kernel)
    moved = jnp.zeros(kernel.shape, jnp.float32) if momentum else None
    bias = None if bias is None else jnp.array(bias, copy=True)
    moved_bias = None if bias is None or not momentum else jnp.zeros_like(bias)
    return heads.HeadState(kernel, bias, moved, moved_bias, key)


def descent(steps, loss, reduction, momentum, **options):
    """Returns kernel, bias, losses and features' gradients of plain descent, in float64."""
    with jax.enable_x64(True):
        features, kernel, bias, options = in_float64(
            (HEAD.features, HEAD.kernel, HEAD.bias, options)
        )

        def value(features, kernel, bias):
            return heads.dense_head_loss(
                features, kernel, POSITIVES, bias=bias, loss=loss, reduction=reduction, **options
            )

        gradient = jit(jax.value_and_grad(value, (0, 1, 2)))
        kept = RATES["momentum"] if momentum else 0.0
        moved, results = [0, 0], []
        for _ in range(steps):
            loss_value, (of_features, *slopes) = gradient(
                *map(jnp.asarray, (features, kernel, bias))
            )
            slopes[0] = slopes[0] + RATES["weight_decay"] * kernel
            moved = [kept * m + g for m, g in zip(moved, slopes, strict=True)]
            kernel = kernel - RATES["learning_rate"] * moved[0]
            bias = bias - RATES["learning_rate"] * moved[1]
            results.append((loss_value, of_features))
        return jax.device_get((kernel, bias, results))


@pytest.mark.parametrize(
    ("loss", "reduction", "momentum", "label_axis"),
    [
        (mll.sigmoid_binary_cross_entropy, "batchmean", True, 0),
        (mll.asymmetric_loss, "weighted_mean", True, 1),
        (mll.weak_assume_negative_loss, "mean", False, 0),
        (mll.hill_loss, "sum", False, 1),
    ],
)
def test_equals_plain_descent(loss, reduction, momentum, label_axis):
    kernel = HEAD.kernel.T if label_axis else HEAD.kernel
    state = state_of(kernel, momentum=momentum)
    results = []
    for _ in range(3):
        state, value, gradient = heads.linear_head_sgd_step(
            state,
            HEAD.features,
            POSITIVES,
            loss=loss,
            reduction=reduction,
            label_axis=label_axis,
            chunk_size=CHUNK,
            **RATES,
            **OPTIONS,
        )
        results.append((value, gradient))
    found = state.kernel.T if label_axis else state.kernel
    expected = descent(3, loss, reduction, momentum, **OPTIONS)
    assert_close((found, state.bias, results), expected, rtol=1e-4, atol=5e-6)


def test_rows_beyond_the_last_label_only_decay():
    more = 3
    kernel = np.concatenate([HEAD.kernel, np.ones((more, HEAD.kernel.shape[1]), np.float32)])
    state = state_of(kernel, np.pad(HEAD.bias, (0, more)))
    step = functools.partial(heads.linear_head_sgd_step, chunk_size=CHUNK, num_labels=LABELS)
    state, value, _ = step(state, HEAD.features, POSITIVES, **RATES)
    expected, bias, [(loss, _)] = descent(1, mll.asymmetric_loss, "batchmean", True)
    assert_close((state.kernel[:LABELS], state.bias[:LABELS], value), (expected, bias, loss))
    np.testing.assert_array_equal(state.bias[LABELS:], 0)
    assert_close(state.kernel[LABELS:], np.full((more, 4), 1 - 0.3 * 0.05))


def test_a_step_inside_a_program_equals_one_outside():
    kernel = jnp.asarray(HEAD.kernel, jnp.bfloat16)
    step = functools.partial(heads.linear_head_sgd_step, learning_rate=0.1, chunk_size=CHUNK)
    outside, inside = (
        function(state_of(kernel, key=jax.random.key(3)), HEAD.features, POSITIVES)
        for function in (step, jax.jit(step))
    )
    assert_identical(inside, outside)


def bits(tree):
    """Returns the leaves of a tree as arrays of numpy."""
    return [
        np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
        for x in jax.tree.leaves(tree)
    ]


def assert_identical(one, other):
    for a, b in zip(bits(one), bits(other), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
def test_resumes_to_the_bit(dtype):
    def fresh():
        return heads.init_linear_head(jax.random.key(1), LABELS, 4, dtype=dtype, momentum=True)

    def run(state, steps):
        for _ in range(steps):
            state = heads.linear_head_sgd_step(
                state, HEAD.features, POSITIVES, learning_rate=0.1, chunk_size=CHUNK
            ).state
        return state

    file = io.BytesIO()
    halfway = bits(run(fresh(), 2))
    np.savez(file, *[leaf.reshape(-1).view(np.uint8) for leaf in halfway])
    file.seek(0)
    saved = np.load(file)
    like, tree = jax.tree.flatten(fresh())
    leaves = []
    for number, (leaf, kept) in enumerate(zip(like, halfway, strict=True)):
        array = saved[f"arr_{number}"].view(kept.dtype).reshape(kept.shape)
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        leaves.append(jax.random.wrap_key_data(array) if is_key else jnp.asarray(array))
    resumed = run(jax.tree.unflatten(tree, leaves), 2)
    assert_identical(resumed, run(fresh(), 4))
    assert (resumed.key is None) == (dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
def test_a_step_donates_its_state_and_updates_it_in_place(dtype):
    state = heads.init_linear_head(jax.random.key(0), 5000, 16, dtype=dtype, momentum=True)
    places = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((state.kernel, state.bias))]
    features, positives = np.ones((2, 16), np.float32), np.array([[1], [4999]])
    after = heads.linear_head_sgd_step(state, features, positives, learning_rate=0.1).state
    assert all(x.is_deleted() for x in jax.tree.leaves((state.kernel, state.kernel_momentum)))
    kept = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((after.kernel, after.bias))]
    assert kept == places


def test_refusals():
    state = state_of(HEAD.kernel)
    step = functools.partial(heads.linear_head_sgd_step, state, HEAD.features, POSITIVES)
    with pytest.raises(ValueError, match="reduction"):
        step(learning_rate=0.1, reduction="none")
    with pytest.raises(ValueError, match="learning_rate"):
        step(learning_rate=np.ones(2))
    with pytest.raises(ValueError, match="chunk_size"):
        step(learning_rate=0.1, chunk_size=0)
    with pytest.raises(ValueError, match="bp_mll_loss has one value per sample"):
        step(learning_rate=0.1, loss=mll.bp_mll_loss)
    with pytest.raises(ValueError, match="num_labels"):
        heads.init_linear_head(jax.random.key(0), 0, 4)
    for name in ("learning_rate", "momentum", "weight_decay"):
        for wrong in (-0.1, np.nan):
            with pytest.raises(ValueError, match=f"{name} must lie in"):
                step(**{"learning_rate": 0.1, name: wrong})
    for name, shape in (("kernel", (LABELS, 4)), ("bias", (LABELS,))):
        wrong = state._replace(**{f"{name}_momentum": jnp.zeros((4, LABELS))})
        message = rf"state.{name}_momentum must have the shape of state.{name}, \({shape[0]},"
        with pytest.raises(ValueError, match=message):
            heads.linear_head_sgd_step(wrong, HEAD.features, POSITIVES, learning_rate=0.1)
    with pytest.raises(TypeError, match="state must be a HeadState, got dict"):
        heads.linear_head_sgd_step(state._asdict(), HEAD.features, POSITIVES, learning_rate=0.1)
    for scale in (0.1, 1, np.float32(2)):
        with pytest.raises(ValueError, match="scale must be a power of 2"):
            heads.Float8Kernel.from_array(HEAD.kernel, scale)
    assert not state.kernel.is_deleted()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
def test_features_in_float64(dtype):
    """The kernel keeps its dtype, and a step is that of features in float32, up to rounding."""
    states = []
    for wide in (False, True):
        with jax.enable_x64(wide):
            state = heads.init_linear_head(jax.random.key(1), LABELS, 4, dtype=dtype, momentum=True)
            features = HEAD.features.astype(np.float64 if wide else np.float32)
            step = heads.linear_head_sgd_step(
                state, features, POSITIVES, learning_rate=0.1, chunk_size=CHUNK
            )
            assert step.loss.dtype == (jnp.float64 if wide else jnp.float32)
            assert step.state.bias.dtype == jnp.float32
            states.append(jax.device_get(step.state._replace(key=None)))
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        assert one.dtype == other.dtype
    kernels = [s.kernel.to_array() if dtype == "float8" else s.kernel for s in states]
    assert_close(kernels[0].shape, kernels[1].shape)
    assert_close(states[0].bias, states[1].bias)
    if dtype == "float32":
        assert_close(*kernels)


def test_a_new_head():
    for dtype, itemsize in (("float32", 4), ("bfloat16", 2), ("float8", 1)):
        state = heads.init_linear_head(
            jax.random.key(0), 3000, 64, dtype=dtype, stddev=0.25, label_axis=1
        )
        kernel = state.kernel.to_array() if dtype == "float8" else state.kernel
        assert kernel.shape == (64, 3000)
        assert sum(x.nbytes for x in jax.tree.leaves(state.kernel)) == 64 * 3000 * itemsize
        weights = np.asarray(kernel, np.float64)
        assert abs(weights.std() - 0.25) < 0.002
        assert abs(weights.mean()) < 0.002
        assert state.kernel_momentum is None
        assert (state.key is None) == (dtype == "float32")
        assert not np.asarray(state.bias).any()


# Rounding

BFLOAT16, FLOAT8 = jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float8_e4m3fn)


def grid_of(dtype):
    """Returns all finite numbers of a dtype in ascending order, without those float32 flushes."""
    kind = {BFLOAT16: np.uint16, FLOAT8: np.uint8}[dtype]
    every = np.arange(np.iinfo(kind).max + 1).astype(kind).view(dtype)
    with np.errstate(invalid="ignore"):  # of NaN
        every = every.astype(np.float64)
    every = np.unique(every[np.isfinite(every)])
    return every[(np.abs(every) >= 2.0**-126) | (every == 0)]


def values_for(dtype):
    """Returns float32 values of every size, of both signs, on, beside and between grid points."""
    rng = np.random.default_rng(0)
    limits = ml_dtypes.finfo(dtype)
    lowest, highest = (
        np.log2(max(float(limits.smallest_subnormal), 2.0**-118)),
        np.log2(float(limits.max)),
    )
    drawn = 2.0 ** rng.uniform(lowest, highest, 300)
    edges = [0, float(limits.smallest_normal), float(limits.max), 1, 1.0625, 1.5, 2]
    edges = [x for x in edges if x == 0 or x > 2.0**-118]
    values = np.array([*drawn, *edges, *np.nextafter(edges, 9, dtype=np.float32)], np.float32)
    return np.concatenate([values, -values])


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT8], ids=str)
def test_rounding_at_random_gives_the_neighbours_and_the_right_mean(dtype):
    values, draws = values_for(dtype), 4096
    keys = jax.random.split(jax.random.key(0), draws)
    found = jit(jax.vmap(lambda key: rounded(values, dtype, key)))(keys)
    assert found.dtype == dtype
    found, exact, grid = np.asarray(found, np.float64), values.astype(np.float64), grid_of(dtype)
    inside = np.clip(exact, grid[0], grid[-1])
    below = grid[np.searchsorted(grid, inside, side="right") - 1]
    above = grid[np.searchsorted(grid, inside, side="left")]
    assert ((found == below) | (found == above)).all()
    width = np.where(above > below, above - below, 1)
    chance = (inside - below) / width
    share = ((found - below) / width).mean(0)
    deviation = np.sqrt(chance * (1 - chance) / draws)
    assert (np.abs(share - chance) <= 5 * deviation + 2.0**-15).all()
    assert (share[chance == 0] == 0).all()


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT8], ids=str)
def test_rounding_without_a_key_is_to_the_nearest(dtype):
    values = values_for(dtype)
    found = np.asarray(rounded(values, dtype, None), np.float64)
    grid = grid_of(dtype)
    nearest = np.abs(values.astype(np.float64)[:, None] - grid[None]).min(1)
    np.testing.assert_array_equal(np.abs(found - values), nearest)


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT8], ids=str)
@pytest.mark.parametrize("key", [None, 0])
def test_values_beyond_the_range_become_the_limits(dtype, key):
    key = None if key is None else jax.random.key(key)
    limits = ml_dtypes.finfo(dtype)
    found = rounded(jnp.array([3e38, -3e38, jnp.nan]), dtype, key)
    expected = [min(3e38, float(limits.max)), max(-3e38, float(limits.min))]
    np.testing.assert_allclose(np.asarray(found[:2], np.float64), expected, rtol=2**-7)
    assert np.isnan(found[2])


def test_small_steps_are_not_lost():
    """A thousand steps of a tenth of the distance between two bfloat16 numbers."""
    kernel, step = jnp.ones((2000, 1), jnp.bfloat16), 2.0**-7 / 10
    for key, expected in ((None, 1), (jax.random.key(0), 1 + 100 * step)):
        state = heads.HeadState(jnp.array(kernel, copy=True), key=key)
        run = jit(
            lambda state: jax.lax.fori_loop(
                0,
                100,
                lambda _, state: (
                    heads.linear_head_sgd_step(
                        state,
                        jnp.ones((1, 1)),
                        jnp.full((1, 1), -1),
                        learning_rate=step,
                        loss=lambda logits, labels, reduction: -logits,
                        reduction="sum",
                    ).state
                ),
                state,
            )
        )
        mean = np.asarray(run(state).kernel, np.float64).mean()
        np.testing.assert_allclose(mean, expected, atol=2e-3)
