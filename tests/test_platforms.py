"""Programs suit the platform that they are lowered for, which need not be that of the host."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FIRST_OF_EACH
from compiling import jit_for_memory
from contract import make_inputs, written_out

import mllosses_jax as mll
from mllosses_jax._core.platforms import beside_bytes, largest_of_terms, on_host, sum_of_terms

ELSEWHERE = ("cuda", "tpu")
ON_A_CPU_ONLY = {"cpu": True, "cuda": False, "tpu": False}
OF_PRODUCTS = {"label_graph_penalty"}  # it is itself a product of matrices


def lowered(function, *arguments):
    """Returns the text of a function's program for each platform."""
    traced = jax.jit(function).trace(*arguments)
    return {p: traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", *ELSEWHERE)}


@pytest.mark.parametrize("case", FIRST_OF_EACH, ids=str)
def test_losses_add_up_as_the_platform_does(case):
    logits, labels, _ = make_inputs(case, samples=72)  # without a mask, whose entries are counted
    programs = lowered(jax.value_and_grad(written_out(case, "mean")), logits, labels)
    if case.entry.kind == "element":
        # A CPU adds up a few rows before it writes them, which is faster than a product with ones.
        assert {p: in_parts(text) for p, text in programs.items()} == ON_A_CPU_ONLY
        assert "dot_general" not in programs["cpu"]
    for platform in ELSEWHERE:
        assert ("dot_general" in programs[platform]) == (case.name in OF_PRODUCTS)


def in_parts(program):
    """Returns whether 72 rows are split into eighteen times four, which are added up first."""
    return "tensor<18x4x" in program


def test_an_exported_loss_runs_on_either_platform():
    logits, labels, _ = make_inputs(FIRST_OF_EACH[0])
    program = jax.jit(jax.value_and_grad(mll.sigmoid_focal_loss))
    exported = jax.export.export(program, platforms=("cpu", *ELSEWHERE))(logits, labels)
    assert exported.platforms == ("cpu", *ELSEWHERE)
    for got, wanted in zip(exported.call(logits, labels), program(logits, labels), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_many_rows_are_counted_one_after_the_other_on_a_cpu_only(name):
    scores = jnp.zeros((70, 80))
    programs = lowered(getattr(mll.metrics, name), scores, scores > 0)
    loops = {platform: "stablehlo.while" in program for platform, program in programs.items()}
    assert loops == ON_A_CPU_ONLY


def test_rows_are_sorted_side_by_side_on_a_cpu_only():
    logits = jnp.zeros((24, 5))
    programs = lowered(mll.pairwise_hinge_loss, logits, logits > 0)
    sorts = {platform: text.count("stablehlo.sort") for platform, text in programs.items()}
    assert sorts == {"cpu": 8, "cuda": 1, "tpu": 1}


@pytest.mark.parametrize("name", ["precision_at_k", "ndcg_at_k"])
def test_the_largest_are_selected_among_floats_on_a_cpu_only(name):
    scores = jnp.zeros((4, 9))
    metric = getattr(mll.metrics, name)
    programs = lowered(lambda x, y: metric(x, y, 3), scores, scores > 0)
    dtypes = {p: re.findall(r"top_k.*: tensor<4x9x(\w+)>", text) for p, text in programs.items()}
    assert dtypes == {"cpu": ["f32"], "cuda": ["i32"], "tpu": ["i32"]}


def test_an_array_is_on_the_host_if_the_default_device_is():
    values = np.zeros(3)
    with jax.default_device("cpu"):
        assert on_host(values)
    with jax.default_device(jax.devices("cpu")[1]):
        assert on_host(values)
    with jax.default_device("gpu"):
        assert not on_host(values)
        assert on_host(jax.device_put(values, jax.devices("cpu")[0]))


def test_terms_are_added_up_before_they_are_written_on_a_cpu_only():
    logits = jnp.zeros((72, 5))
    programs = lowered(jax.value_and_grad(mll.soft_f1_loss), logits, logits > 0)
    in_rows = {platform: in_parts(text) for platform, text in programs.items()}
    assert in_rows == ON_A_CPU_ONLY


@pytest.mark.parametrize(
    ("loss", "sums"), [(mll.soft_balanced_accuracy_loss, 4), (mll.double_soft_f1_loss, 3)]
)
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_soft_counts_are_written_together_for_eight_rows(loss, sums, dtype):
    # Written for four rows each, they took a quarter longer.
    program = lowered(jax.value_and_grad(loss), jnp.zeros((80, 5)), jnp.zeros((80, 5), dtype))
    written = {platform: f"tensor<10x{sums}x5x" in text for platform, text in program.items()}
    assert written == ON_A_CPU_ONLY


@pytest.mark.parametrize("axis", [(0,), (1,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("rows", [72, 70, 67, 3])
def test_sums_of_terms_are_plain_sums_of_every_order(rows, axis):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(rows, 2, 3)), jnp.float32)
    scale = jnp.asarray([[[1.0, -2.0, 3.0]]])

    def terms(x, positive, scale):
        return jnp.where(positive, scale * x**3, -x)

    def ours(x, scale):
        return sum_of_terms(terms, (x, x > 0, scale), axis)

    def plain(x, scale):
        return jnp.sum(terms(x, x > 0, scale), axis)

    def derivatives(f):
        bent = lambda x, scale: jnp.sum(f(x, scale) ** 2)  # noqa: E731
        first = jax.grad(bent, (0, 1))
        second = jax.grad(lambda *at: sum(jnp.sum(g**2) for g in first(*at)), (0, 1))
        return f(x, scale), first(x, scale), second(x, scale)

    found, wanted = jax.tree.leaves(derivatives(ours)), jax.tree.leaves(derivatives(plain))
    for got, truth in zip(found, wanted, strict=True):
        scale_of_truth = np.max(np.abs(truth))
        np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5 * scale_of_truth)


def test_several_sums_of_terms_are_those_of_each():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(72, 2, 3)), jnp.float32)
    for axis in ((0,), (2,), (0, 2)):
        for light in (False, True):
            sums = sum_of_terms(lambda x: (x, x**2, jnp.exp(x)), (x,), axis, light=light)
            for got, terms in zip(sums, (x, x**2, jnp.exp(x)), strict=True):
                truth = np.sum(np.asarray(terms, np.float64), axis)
                np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1000, 1003, 513, 512])
def test_sums_of_terms_along_long_rows(size):
    x = np.random.default_rng(0).normal(size=(3, size)).astype(np.float32)
    factor = np.array([[1.0], [2.0], [-3.0]], np.float32)
    found = sum_of_terms(lambda x, factor: factor * x, (jnp.asarray(x), jnp.asarray(factor)), (1,))
    np.testing.assert_allclose(found, np.sum(x.astype(np.float64) * factor, 1), rtol=1e-4)
    program = lowered(lambda x: sum_of_terms(lambda x: x, (x,), (1,)), x)
    split = {platform: "stablehlo.slice" in text for platform, text in program.items()}
    assert split == (ON_A_CPU_ONLY if size > 512 else dict.fromkeys(split, False))


@pytest.mark.parametrize("shape", [(3, 1000), (3, 513), (72, 5), (3, 5)])
def test_the_largest_of_terms_is_that_of_a_plain_reduction(shape):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32).at[1, 2].set(jnp.inf)
    entries = jnp.asarray(rng.random(shape) < 0.1).at[0].set(False)

    def of_terms(x, axis):
        terms = lambda x, entries: jnp.where(entries, -x, -jnp.inf)  # noqa: E731
        return largest_of_terms(terms, (x, entries), (axis,))

    for axis in (0, 1):
        wanted = np.max(np.where(entries, -x, -np.inf), axis)
        np.testing.assert_array_equal(jax.jit(of_terms, static_argnums=1)(x, axis), wanted)
        slopes = jax.grad(lambda x, axis=axis: jnp.sum(of_terms(x, axis)))(x)
        np.testing.assert_array_equal(slopes, np.zeros(shape, np.float32))
    programs = lowered(lambda x: of_terms(x, 1), x)
    split = {platform: "stablehlo.slice" in text for platform, text in programs.items()}
    assert split == (ON_A_CPU_ONLY if shape[1] > 512 else dict.fromkeys(split, False))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sums_of_terms_keep_what_is_not_finite(value):
    x = jnp.ones((72, 2)).at[5, 1].set(value)
    sums = sum_of_terms(lambda x: x, (x,), (0,))
    np.testing.assert_array_equal(sums, np.array([72, value], np.float32))


@pytest.mark.parametrize("shape", [(2, 3), (4, 1), (0,), ()])
@pytest.mark.parametrize("value", [np.nan, -0.0, np.inf, 0.5, True])
def test_values_beside_bytes_stay_as_they_are(shape, value):
    values = np.full(shape, value, bool if value is True else np.float32)
    beside = jax.jit(beside_bytes)(values)
    assert (beside.dtype, beside.shape) == (values.dtype, values.shape)
    assert np.asarray(beside).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("logits", "labels", "masked", "alone"),
    [
        (jnp.float32, jnp.float32, False, True),
        (jnp.float32, jnp.int32, False, True),
        (jnp.float32, bool, False, False),
        (jnp.bfloat16, jnp.float32, False, False),
        (jnp.float32, jnp.float32, True, False),
    ],
)
def test_four_byte_arrays_alone_are_read_beside_bytes_on_a_cpu(logits, labels, masked, alone):
    x, y = jnp.zeros((3, 5), logits), jnp.zeros((3, 5), labels)
    where = jnp.ones((3, 5), bool) if masked else None
    programs = lowered(jax.grad(lambda x, y: mll.sigmoid_focal_loss(x, y, where=where)), x, y)
    beside = {
        platform: any("barrier" in line and "5xui8" in line for line in text.splitlines())
        for platform, text in programs.items()
    }
    assert beside == (ON_A_CPU_ONLY if alone else dict.fromkeys(beside, False))


OTHER_ARGUMENTS = {
    "adaptive_threshold_loss": {"threshold_logits": jnp.zeros(64)},
    "label_graph_penalty": {"affinity": jnp.ones((80, 80))},
}
CHEAP_GRADIENTS = [
    "dice_loss",
    "double_soft_f1_loss",
    "focal_tversky_loss",
    "jaccard_loss",
    "smoothed_softmax_cross_entropy",
    "soft_fbeta_loss",
    "soft_mcc_loss",
    "tversky_loss",
    "two_way_label_loss",
    "two_way_sample_loss",
    *OTHER_ARGUMENTS,
]


@pytest.mark.parametrize("name", CHEAP_GRADIENTS)
def test_small_cheap_gradients_run_on_one_thread(name):
    # XLA splits loops over threads, if the machine has several, that have more operations than they
    # read and write bytes. A small one ends before another thread wakes up.
    x, y = jax.ShapeDtypeStruct((64, 80), jnp.float32), jax.ShapeDtypeStruct((64, 80), bool)
    step = jax.value_and_grad(
        functools.partial(getattr(mll, name), **OTHER_ARGUMENTS.get(name, {}))
    )
    program = jit_for_memory(step).lower(x, y).compile().as_text()
    assert 'outer_dimension_partitions":[]' in program
    assert 'outer_dimension_partitions":["' not in program
