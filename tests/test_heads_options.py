"""The options of a head's loss: reductions, layouts, narrow kernels, derivatives, refusals."""

import functools
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from head_inputs import (
    CHUNK,
    HEAD,
    LABELS,
    POSITIVES,
    UNKNOWN,
    WHERE,
    assert_close,
    in_float64,
    make_head,
)

import mllosses_jax as mll
from mllosses_jax import heads
from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.heads._two_sweep import TWO_SWEEP

BCE = mll.sigmoid_binary_cross_entropy
IMPLEMENTATIONS = ("dense", "one_pass", "recompute", "checkpoint")
REDUCTIONS = ("none", "sum", "mean", "batchmean", "weighted_mean", "sum_and_count")
ARRAYS = (HEAD.features, HEAD.kernel, HEAD.bias)


def head_loss(features, kernel, bias=None, **options):
    options = {"loss": BCE, "chunk_size": CHUNK} | options
    return heads.linear_head_loss(features, kernel, POSITIVES, bias=bias, **options)


def dense(features, kernel, bias=None, **options):
    """Returns value and gradients of the dense loss, in float64."""
    with jax.enable_x64(True):
        arrays, options = in_float64(((features, kernel, bias), options))

        def value(*arrays):
            *arrays, bias = arrays
            call = functools.partial(heads.dense_head_loss, *arrays, POSITIVES, bias=bias)
            result = call(**{"loss": BCE} | options)
            return scalar(result), result

        arrays = jax.tree.map(jnp.asarray, arrays)
        argnums = tuple(i for i, x in enumerate(arrays) if x is not None)
        function = jit(jax.value_and_grad(value, argnums, has_aux=True))
        return jax.device_get(function(*arrays))


def scalar(result):
    """Returns a number that depends on each entry of a result in another way."""
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(result)]
    return sum(jnp.sum(leaf * jnp.linspace(1, 2, leaf.size, dtype=leaf.dtype)) for leaf in leaves)


def found(**options):
    def value(features, kernel, bias):
        result = head_loss(features, kernel, bias, **options)
        return scalar(result), result

    return jit(jax.value_and_grad(value, (0, 1, 2), has_aux=True))(*ARRAYS)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_implementations_and_reductions(implementation, weighted):
    options = {}
    if weighted:
        options = {"unknown": UNKNOWN, "where": WHERE}
        options |= {n: getattr(HEAD, n) for n in ("label_weights", "sample_weights")}
    for reduction in REDUCTIONS if implementation == "one_pass" else ("none", "weighted_mean"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "one_pass" with "none" says so, as tested below
            got = found(implementation=implementation, reduction=reduction, **options)
        assert_close(got, dense(*ARRAYS, reduction=reduction, **options))


@pytest.mark.parametrize("chunk_size", [1, 7, LABELS - 1, LABELS, LABELS + 5])
def test_any_chunk_size(chunk_size):
    got = found(implementation="one_pass", chunk_size=chunk_size, unknown=UNKNOWN)
    assert_close(got, dense(*ARRAYS, unknown=UNKNOWN))


def test_kernels_whose_labels_run_along_the_second_axis():
    for implementation, reduction in (("one_pass", "mean"), ("checkpoint", "none")):

        def value(features, kernel, options=(implementation, reduction)):
            implementation, reduction = options
            return scalar(
                head_loss(
                    features,
                    kernel,
                    label_axis=1,
                    implementation=implementation,
                    reduction=reduction,
                )
            )

        got, gradients = jit(jax.value_and_grad(value, (0, 1)))(HEAD.features, HEAD.kernel.T)
        (expected, _), (of_features, of_kernel) = dense(
            HEAD.features, HEAD.kernel, reduction=reduction
        )
        assert_close((got, gradients), (expected, (of_features, of_kernel.T)))


def test_rows_beyond_the_last_label_have_no_loss():
    """Not even if they hold NaN; parameters and weights of such rows do not count either."""
    more = 4
    padded = [np.pad(x, ((0, more), *[(0, 0)] * (x.ndim - 1))) for x in ARRAYS[1:]]
    padded[0][LABELS:] = np.nan
    weights = np.pad(HEAD.label_weights, (0, more), constant_values=7)
    for reduction in ("mean", "weighted_mean", "batchmean"):

        @jit
        @functools.partial(jax.value_and_grad, argnums=(1, 2))
        def function(features, kernel, bias, reduction=reduction):
            return head_loss(
                features,
                kernel,
                bias,
                num_labels=LABELS,
                label_weights=weights,
                reduction=reduction,
                unknown=UNKNOWN,
            )

        value, gradients = function(HEAD.features, *padded)
        options = {"label_weights": HEAD.label_weights, "reduction": reduction, "unknown": UNKNOWN}
        (expected, _), expected_gradients = dense(*ARRAYS, **options)
        assert_close(value, expected)
        for got, wanted in zip(gradients, expected_gradients[1:], strict=True):
            assert not np.asarray(got[LABELS:]).any()
            assert_close(got[:LABELS], wanted)


@pytest.mark.parametrize("implementation", ["one_pass", "recompute", "checkpoint"])
def test_narrow_kernels(implementation):
    """Only the rounding of the slope of the logits and of the results separates them from exact."""
    reduction = "none" if implementation == "recompute" else "batchmean"

    @jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2))
    def function(features, kernel, bias):
        options = {"implementation": implementation, "reduction": reduction}
        return scalar(head_loss(features, kernel, bias, **options))

    kernel = jnp.asarray(HEAD.kernel, jnp.bfloat16)
    features = jnp.asarray(HEAD.features, jnp.bfloat16)
    for h, dtypes in (
        (features, (jnp.bfloat16, jnp.bfloat16, jnp.float32)),
        (jnp.asarray(HEAD.features), (jnp.float32, jnp.bfloat16, jnp.float32)),
    ):
        value, gradients = function(h, kernel, HEAD.bias)
        (expected, _), expected_gradients = dense(
            h.astype(jnp.float32), kernel.astype(jnp.float32), HEAD.bias, reduction=reduction
        )
        assert value.dtype == jnp.float32
        assert tuple(g.dtype for g in gradients) == dtypes
        assert_close(value, expected, rtol=1e-6)
        assert_close(gradients, expected_gradients, rtol=2**-7, atol=2**-8)


def test_kernels_of_8_bit_floats():
    kernel = heads.Float8Kernel.from_array(HEAD.kernel)

    @jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def function(features, bias):
        return head_loss(features, kernel, bias, implementation="one_pass", reduction="batchmean")

    value, gradients = function(HEAD.features, HEAD.bias)
    (expected, _), (of_features, _, of_bias) = dense(
        HEAD.features, np.asarray(kernel.to_array()), HEAD.bias, reduction="batchmean"
    )
    assert_close((value, gradients), (expected, (of_features, of_bias)))


def test_second_derivatives_and_forward_mode():
    """Of "checkpoint", which is what the others' errors advise."""
    rng = np.random.default_rng(0)
    directions = tuple(rng.normal(size=x.shape).astype(np.float32) for x in ARRAYS)

    def products(function, arrays, directions):
        gradient = jax.grad(function, (0, 1, 2))
        return jax.jvp(function, arrays, directions)[1], jax.jvp(gradient, arrays, directions)[1]

    def exact(*arrays):
        *arrays, bias = arrays
        return heads.dense_head_loss(*arrays, POSITIVES, bias=bias, loss=mll.hill_loss)

    ours = functools.partial(head_loss, loss=mll.hill_loss, implementation="checkpoint")
    got = jit(functools.partial(products, ours))(ARRAYS, directions)
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.asarray, in_float64((ARRAYS, directions)))
        expected = jax.device_get(jit(functools.partial(products, exact))(*arguments))
    assert_close(got, expected)


def test_one_pass_is_chosen_for_many_labels():
    assert heads.memory_estimate(8, 100, 4).implementation == "dense"
    assert heads.memory_estimate(8, 10**6, 4).implementation == "one_pass"
    assert heads.memory_estimate(8, 10**6, 4, reduction="none").implementation == "recompute"
    for batch, labels in itertools.product((1, 100, 10**4), (1, 1000, 10**7)):
        assert 1 <= heads.choose_chunk_size(batch, labels) <= labels


def test_one_pass_without_a_reduction_falls_back_and_says_why():
    with pytest.warns(UserWarning, match="takes 'recompute' instead of 'one_pass'.*per sample"):
        losses = head_loss(*ARRAYS, implementation="one_pass", reduction="none")
    assert losses.shape == (len(POSITIVES),)


def test_a_function_of_ones_own():
    def squared(logits, labels, *, reduction, scale):
        assert reduction == "none"
        return scale[None] * (logits - labels.astype(logits.dtype)) ** 2

    got = head_loss(*ARRAYS, loss=squared, loss_kwargs={"scale": HEAD.bias}, reduction="sum")
    labels = np.asarray(heads.positives_to_dense(POSITIVES, LABELS))
    assert_close(got, np.sum(HEAD.bias * (HEAD.logits - labels) ** 2))
    with pytest.raises(ValueError, match="must return one loss per entry"):
        head_loss(*ARRAYS, loss=lambda logits, labels, reduction: logits.sum())


@pytest.mark.parametrize(
    "entry",
    [
        entry
        for entry in CATALOGUE
        if (not entry.separable or entry.takes != "logits") and entry.loss not in TWO_SWEEP
    ],
    ids=lambda e: e.name,
)
def test_losses_that_are_not_separable_are_refused_by_name(entry):
    with pytest.raises(ValueError, match=f"^{entry.name} .*; the separable losses are sigmoid_bin"):
        head_loss(*ARRAYS, loss=entry.loss)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss_kwargs": {"weights": 1.0}}, TypeError, "label_weights and sample_weights"),
        ({"loss_kwargs": {"where": WHERE}}, TypeError, "where and unknown"),
        ({"loss_kwargs": {"labels": 0}}, TypeError, "the head takes positives"),
        ({"loss_kwargs": {"reduction": "sum"}}, TypeError, "the head takes reduction"),
        ({"loss_kwargs": {"pos_weigth": 2.0}}, TypeError, "did you mean pos_weight?"),
        ({"loss_kwargs": {"pos_weight": np.ones((2, 3))}}, ValueError, r"have shape \(29,\)"),
        ({"bias": HEAD.bias[:-1]}, ValueError, r"bias must have shape \(29,\)"),
        ({"where": WHERE[:, None]}, ValueError, "named by unknown"),
        ({"where": np.ones(6)}, ValueError, "where must be bool"),
        ({"unknown": np.array([[LABELS]] * 6)}, ValueError, "unknown must hold ids"),
        ({"unknown": UNKNOWN[:2]}, ValueError, r"unknown must have shape \(6, K\)"),
        ({"label_axis": 1}, ValueError, "label_axis=0"),
        ({"label_axis": 2}, ValueError, "label_axis"),
        ({"num_labels": LABELS + 1}, ValueError, "at most the 29 rows"),
        ({"chunk_size": 0}, ValueError, "chunk_size"),
        ({"implementation": "fast"}, ValueError, "implementation"),
        ({"reduction": "max"}, ValueError, "reduction"),
        ({"label_weights": np.ones(3, np.float32)}, ValueError, "label_weights"),
        ({"sample_weights": np.ones(3, np.float32)}, ValueError, "sample_weights"),
        ({"features": HEAD.features[0]}, ValueError, r"features must have shape \(B, D\)"),
        ({"features": np.ones((6, 4), int)}, TypeError, "features"),
        ({"kernel": HEAD.kernel.astype(jnp.float8_e4m3fn)}, TypeError, "Float8Kernel.from_array"),
        ({"kernel": HEAD.kernel[:, :2]}, ValueError, "with D = 4"),
        ({"positives": POSITIVES.astype(np.float32)}, TypeError, "integer ids"),
        ({"positives": POSITIVES[:3]}, ValueError, r"shape \(6, K\)"),
        ({"positives": np.full((6, 1), LABELS)}, ValueError, "got 29 at"),
        ({"positives": np.full((6, 1), 2**32 + 3)}, ValueError, "got 4294967299 at"),
        ({"positives": [[0], [1, 2], [], [], [], []]}, ValueError, "positives_from_lists"),
        ({"positives": np.ones((6, 3), bool)}, TypeError, "positives_from_dense"),
        ({"label_weights": -np.ones(LABELS)}, ValueError, "label_weights must not be negative"),
        ({"sample_weights": -np.ones(6)}, ValueError, "sample_weights must not be negative"),
        ({"loss": "bce"}, TypeError, "loss must be a function, got 'bce'"),
        ({"loss_kwargs": [2.0]}, TypeError, "loss_kwargs must be a mapping"),
    ],
)
def test_refusals(options, error, message):
    arguments = {"features": HEAD.features, "kernel": HEAD.kernel, "positives": POSITIVES}
    with pytest.raises(error, match=message):
        heads.linear_head_loss(**{"loss": BCE} | arguments | options)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reduction": "none"}, ValueError, "reduction must be one of 'sum'"),
        ({"reduction": "sum_and_count"}, ValueError, "reduction must be one of 'sum'"),
        ({"features": np.ones((6, 4), int)}, TypeError, "features must be a floating-point"),
        ({"kernel": np.ones((LABELS, 4), int)}, TypeError, "kernel must be a floating-point"),
        ({"bias": np.arange(LABELS)}, TypeError, "bias must be a floating-point"),
        ({"kernel": heads.Float8Kernel.from_array(HEAD.kernel)}, TypeError, "linear_head_sgd_step"),
    ],
)
def test_refusals_of_gradients(arguments, error, message):
    given = {"features": HEAD.features, "kernel": HEAD.kernel, "positives": POSITIVES}
    with pytest.raises(error, match=message):
        heads.linear_head_value_and_grad(**given | arguments)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("loss", [BCE, mll.softmax_cross_entropy])
def test_no_samples(loss, implementation):
    """The loss is 0, as that of no logits."""
    if loss is not BCE and implementation == "one_pass":
        pytest.skip("it takes two passes")
    options = {"loss": loss, "implementation": implementation, "chunk_size": None}
    empty = HEAD.features[:0]
    value, gradients = heads.linear_head_value_and_grad(
        empty, HEAD.kernel, POSITIVES[:0], bias=HEAD.bias, **options
    )
    assert value == 0
    assert [g.shape for g in gradients] == [(0, 4), (LABELS, 4), (LABELS,)]
    assert not any(np.asarray(g).any() for g in gradients)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_traced_ids_that_do_not_exist_are_ignored(dtype):
    """In each place: as positives, as unknown labels that would be counted, and beyond 32 bits."""
    far = 2**32 + 3 if dtype == np.int64 else 77
    positives = np.where(POSITIVES == 28, far, POSITIVES).astype(dtype)
    unknown = np.where(UNKNOWN == 8, -9, np.where(UNKNOWN == 5, far, UNKNOWN)).astype(dtype)
    call = functools.partial(heads.linear_head_loss, loss=BCE, chunk_size=CHUNK)
    with jax.enable_x64(dtype == np.int64):
        found = jit(lambda y, u: call(HEAD.features, HEAD.kernel, y, unknown=u))(positives, unknown)
    kept = [np.where((x < 0) | (x >= LABELS), -1, x) for x in (positives, unknown)]
    expected = heads.dense_head_loss(
        HEAD.features,
        HEAD.kernel,
        kept[0].astype(np.int32),
        unknown=kept[1].astype(np.int32),
        loss=BCE,
    )
    assert_close(found, expected)


def test_one_label_weight_for_all():
    for reduction in ("sum", "weighted_mean"):
        got = found(label_weights=np.float32(3), reduction=reduction)
        assert_close(got, dense(*ARRAYS, label_weights=np.float32(3), reduction=reduction))


def test_slopes_too_small_for_float16_are_kept():
    """As those of a mean over many labels are, although their sums are not too small."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4, 8)).astype(np.float16)
    kernel = (2 + rng.normal(size=(20_000, 8))).astype(np.float16)
    weights = np.full(4, 0.003, np.float32)

    def value(features):
        positives = np.full((4, 1), -1)
        options = {"implementation": "one_pass", "chunk_size": 5000, "sample_weights": weights}
        return heads.linear_head_loss(features, kernel, positives, loss=BCE, **options)

    got = jit(jax.grad(value))(features)
    h, w = features.astype(np.float64), kernel.astype(np.float64)
    slope = 0.003 / (1 + np.exp(-h @ w.T)) / (4 * len(w))
    assert np.abs(slope).max() < np.finfo(np.float16).smallest_subnormal
    unit = np.finfo(np.float16).smallest_subnormal
    np.testing.assert_allclose(got, slope @ w, rtol=2**-10, atol=unit)


@pytest.mark.parametrize("implementation", ["one_pass", "recompute"])
@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_in_some_arguments_after_others(implementation, compiled):
    """One trace serves them all, so none may spoil what another needs to know."""
    reduction = "none" if implementation == "recompute" else "mean"

    def value(*arrays):
        return scalar(head_loss(*arrays, implementation=implementation, reduction=reduction))

    function = jax.jit(value) if compiled else value
    expected = jax.grad(function, (0, 1, 2))(*ARRAYS)
    for argnums in ((1,), (0, 2), (2,), (0, 1, 2)):
        got = jax.grad(function, argnums)(*ARRAYS)
        assert_close(got, [expected[i] for i in argnums])
    assert all(np.asarray(g).any() for g in expected)


def test_gradients_of_a_program_that_is_mapped():
    """A batch of heads, as `vmap` sees them."""
    several = [make_head(seed) for seed in range(2)]
    arrays = [np.stack([getattr(h, n) for h in several]) for n in ("features", "kernel", "bias")]
    function = jax.value_and_grad(functools.partial(head_loss, implementation="one_pass"), (0, 1))
    got = jit(jax.vmap(function))(*arrays)
    for number, head in enumerate(several):
        (value, _), gradients = dense(head.features, head.kernel, head.bias)
        assert_close(jax.tree.map(lambda x, n=number: x[n], got), (value, gradients[:2]))
