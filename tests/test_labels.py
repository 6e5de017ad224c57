"""Label converters and smoothing conventions against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll
from mllosses_jax import labels

CONVENTIONS = ("half", "full", "uniform", "others", "classy_vision")


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32, jnp.bfloat16], ids=str)
def test_minus_one_as_unknown(dtype):
    values = np.array([[1, 0, -1], [-1, -1, -1], [0, 1, 1]])
    y, where = labels.from_minus_one_unknown(jnp.asarray(values).astype(dtype))
    assert y.dtype == where.dtype == bool
    np.testing.assert_array_equal(y, values == 1)
    np.testing.assert_array_equal(where, values != -1)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32], ids=str)
def test_zero_as_unknown(dtype):
    values = np.array([[1, 0, -1], [0, 0, 0]], dtype)
    y, where = labels.from_zero_unknown(values)
    assert y.dtype == where.dtype == bool
    np.testing.assert_array_equal(y, values == 1)
    np.testing.assert_array_equal(where, values != 0)


@pytest.mark.parametrize("dtype", [np.float32, jnp.float16], ids=str)
def test_nan_labels(dtype):
    values = np.array([[1, 0, np.nan], [0.25, np.nan, np.nan]])
    y, where = labels.from_nan(jnp.asarray(values).astype(dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.nan_to_num(values))
    np.testing.assert_array_equal(where, ~np.isnan(values))


# The four values of CheXpert, and what each becomes: a label, and whether it is known.
OF_UNCERTAIN = {"ignore": (0, False), "zeros": (0, True), "ones": (1, True), "smooth": (0.7, True)}
OF_BLANK = {"negative": (0, True), "ignore": (0, False)}


@pytest.mark.parametrize("blank", OF_BLANK)
@pytest.mark.parametrize("uncertain", OF_UNCERTAIN)
def test_chexpert_labels(uncertain, blank):
    def convert(values):
        return labels.from_chexpert(values, uncertain=uncertain, blank=blank)

    values = np.array([[1, 0, -1, np.nan], [np.nan, -1, -1, 1]], np.float32)
    become = {"1.0": (1, True), "0.0": (0, True), "-1.0": OF_UNCERTAIN[uncertain]}
    become["nan"] = OF_BLANK[blank]
    wanted = np.array([[become[str(value)] for value in row] for row in values])
    for call in (convert, jax.jit(convert)):
        y, where = call(values)
        assert y.dtype == (np.float32 if uncertain == "smooth" else bool)
        assert where.dtype == bool
        np.testing.assert_array_equal(y, wanted[..., 0].astype(y.dtype))
        np.testing.assert_array_equal(where, wanted[..., 1] == 1)
    half, _ = convert(jnp.asarray(values, jnp.bfloat16))
    assert half.dtype == (jnp.bfloat16 if uncertain == "smooth" else bool)
    whole = np.array([[1, 0, -1]], np.int8)  # integers have no blank
    y, where = convert(whole)
    assert y.dtype == (np.float32 if uncertain == "smooth" else bool)
    np.testing.assert_array_equal(y, wanted[:1, :3, 0].astype(y.dtype))
    np.testing.assert_array_equal(where, wanted[:1, :3, 1] == 1)


def test_a_smooth_uncertain_label_has_the_expected_loss_of_random_ones():
    """For binary cross-entropy, which is linear in the label."""
    logit = jnp.array([1.5])
    y, _ = labels.from_chexpert(np.array([-1]), uncertain="smooth")
    drawn = np.linspace(0.55, 0.85, 1001)
    expected = np.mean(drawn * np.log1p(np.exp(-1.5)) + (1 - drawn) * np.log1p(np.exp(1.5)))
    np.testing.assert_allclose(mll.sigmoid_binary_cross_entropy(logit, y), expected, rtol=1e-6)


def test_what_is_no_chexpert_label_is_refused():
    good = np.array([[1.0, np.nan], [0.0, -1.0]], np.float32)
    for wrong in (2, 0.5, -2, np.inf):
        given = good.copy()
        given[1, 0] = wrong
        with pytest.raises(
            ValueError, match=rf"from_chexpert: labels must be 1 .*, got {wrong:.1f} at \(1, 0\)"
        ):
            labels.from_chexpert(given)
    with pytest.raises(TypeError, match="labels must be signed integers or floats, got bool"):
        labels.from_chexpert(good > 0)
    with pytest.raises(TypeError, match="labels must be an array"):
        labels.from_chexpert([1, -1])
    with pytest.raises(ValueError, match=r"uncertain must be one of 'ignore'.*got 'half'"):
        labels.from_chexpert(good, uncertain="half")
    with pytest.raises(ValueError, match=r"blank must be one of 'negative'.*got 'zeros'"):
        labels.from_chexpert(good, blank="zeros")


def test_index_lists():
    dense = labels.from_indices([[0, 3], [], [2, 2]], num_labels=4)
    assert dense.dtype == bool
    np.testing.assert_array_equal(dense, [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]])
    assert labels.from_indices([], num_labels=4).shape == (0, 4)


def test_padded_indices():
    padded = np.array([[[0, 3, -1], [-1, -1, -1]], [[2, 2, -7], [1, 0, 9]]])
    convert = jax.jit(labels.from_indices, static_argnums=1)
    dense = convert(padded, 4)
    assert dense.dtype == bool
    rows = [[i for i in row if 0 <= i < 4] for row in padded.reshape(-1, 3)]
    np.testing.assert_array_equal(dense.reshape(-1, 4), labels.from_indices(rows, 4))
    np.testing.assert_array_equal(labels.from_indices(padded, 4), dense)


def smoothed(y, s, convention, mask):
    """Computes the five conventions, one row at a time, over the labels that count."""
    result = np.empty(y.shape)
    for row, keep in zip(np.ndindex(y.shape[:-1]), mask.reshape(-1, y.shape[-1]), strict=True):
        size, off = keep.sum(), keep & (y[row] == 0)
        each = np.divide(s, size, where=size > 0, out=np.zeros_like(s))
        if convention == "half":
            result[row] = y[row] * (1 - s) + s / 2
        elif convention == "full":
            result[row] = np.where(y[row] == 1, 1 - s, y[row] * (1 - s) + (1 - y[row]) * s)
        elif convention == "uniform":
            result[row] = y[row] * (1 - s) + each
        elif convention == "classy_vision":
            result[row] = (y[row] + each) / (1 + s)
        elif off.any():
            result[row] = np.where(off, s / off.sum(), y[row] * (1 - s))
        else:
            result[row] = y[row]
    return result


def label_sets():
    rng = np.random.default_rng(0)
    y = (rng.random((2, 4, 5)) < 0.4).astype(np.float64)
    y[0, 0], y[0, 1] = 0, 1
    mask = rng.random(y.shape) < 0.7
    mask[1, 0] = False
    return y, mask


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("s", [0.0, 0.1, 1.0, np.linspace(0, 0.4, 5)], ids=str)
def test_smoothing(convention, s):
    y, mask = label_sets()
    for known in (None, mask):
        counted = np.ones(y.shape, bool) if known is None else known
        full = np.broadcast_to(np.asarray(s, np.float64), (5,))
        reference = smoothed(y, full, convention, counted)
        ours = labels.smooth_labels(y.astype(np.float32), s, convention, where=known)
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours[counted], reference[counted], rtol=1e-6, atol=1e-7)
        assert np.all(np.isfinite(ours))


@pytest.mark.parametrize("convention", ["uniform", "others"])
def test_smoothed_distributions_keep_their_sum(convention):
    y, _ = label_sets()
    y = y[y.sum(-1) > 0]
    y = (y / y.sum(-1, keepdims=True)).astype(np.float32)
    ours = labels.smooth_labels(y, 0.3, convention)
    np.testing.assert_allclose(ours.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_smoothing_of_other_dtypes(convention):
    y, _ = label_sets()
    reference = labels.smooth_labels(y.astype(np.float32), 0.2, convention)
    for dtype in (bool, np.int8):
        ours = labels.smooth_labels(y.astype(dtype), 0.2, convention)
        assert ours.dtype == jnp.float32
        np.testing.assert_array_equal(ours, reference)
    half = labels.smooth_labels(jnp.asarray(y).astype(jnp.bfloat16), 0.2, convention)
    assert half.dtype == jnp.bfloat16
    with jax.enable_x64(True):
        double = labels.smooth_labels(y, 0.2, convention)
        exact = smoothed(y, np.full(5, 0.2), convention, np.ones(y.shape, bool))
        np.testing.assert_allclose(double, exact, rtol=1e-14, atol=1e-16)


def test_smoothing_is_differentiable_in_the_smoothing():
    y = np.array([[1.0, 0, 0]], np.float32)
    slope = jax.jit(jax.jacfwd(lambda s: labels.smooth_labels(y, s, "others")))(jnp.float32(0.1))
    np.testing.assert_allclose(slope, [[-1, 0.5, 0.5]])


def test_bad_arguments_are_named():
    y = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"convention must be one of 'half'.*got 'keras'"):
        labels.smooth_labels(y, 0.1, "keras")
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\], got 1.5"):
        labels.smooth_labels(y, 1.5)
    with pytest.raises(ValueError, match=r"label_smoothing must be a scalar.*got \(2,\)"):
        labels.smooth_labels(y, np.full(2, 0.1, np.float32))
    with pytest.raises(ValueError, match=r"where must have as many axes"):
        labels.smooth_labels(y, 0.1, where=np.ones(2, bool))
    with pytest.raises(
        TypeError, match=r"from_minus_one_unknown: labels must be an array.* a list"
    ):
        labels.from_minus_one_unknown([1, 0, -1])
    with pytest.raises(TypeError, match="labels must be a floating-point array, got int32"):
        labels.from_nan(np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match=r"indices\[1\] must lie in \[0, 3\), got 3"):
        labels.from_indices([[0], [3]], num_labels=3)
    with pytest.raises(ValueError, match=r"indices\[0\] must lie in \[0, 3\), got -1"):
        labels.from_indices([[-1]], num_labels=3)
    with pytest.raises(TypeError, match="indices must be lists or an integer array, got float32"):
        labels.from_indices(y, num_labels=3)


def test_what_is_not_signed_is_refused():
    for convert in (labels.from_minus_one_unknown, labels.from_zero_unknown):
        with pytest.raises(TypeError, match="labels must be signed integers or floats, got uint8"):
            convert(np.array([1, 0, 255], np.uint8))
        y, where = convert(np.array([1.0, np.nan], np.float32))
        assert y.tolist() == [True, False]
        assert where.tolist() == [True, False]


def test_invalid_indices_are_named():
    for wrong, words in (
        ([[True, False]], r"indices\[0\] must hold integers, got True"),
        ([[0], [0.5]], r"indices\[1\] must hold integers, got 0.5"),
        ([0, 2], r"indices\[0\] must be a list of indices, got 0"),
    ):
        with pytest.raises(TypeError, match=words):
            labels.from_indices(wrong, 3)
