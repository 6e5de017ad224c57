"""Element losses against a reference of 50 digits.

The package promises these bars: value and slope within 8 ulp x (1 + condition number) over all
finite float32 logits, binary cross-entropy within 3. `python tests/test_numerics.py` prints how
close they come.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_fully
from exact import Numbers, Terms, excess, mp, ulps
from references import ROWS
from references.binary import PROBABILITIES
from references.row import BOUNDARY, HARD, Row

import mllosses_jax as mll

# The reference, and the bounds that it sets


@functools.cache
def expected(
    terms: Callable[..., Terms], x: float, y: float, column: tuple[float, ...]
) -> tuple[Numbers, Numbers, Numbers]:
    """Returns the lowest and the highest number allowed before rounding, and condition numbers.

    Low and high differ at the clip boundary only, where a nearby float may be on either side: there
    they enclose the results of all logits within 8 ulp. The condition number is that in the logit,
    plus that in the label if the label is soft.
    """

    def at(x, y):
        return exact.numbers(terms(x, y, *column))

    numbers, y = at(x, mp.mpf(y)), mp.mpf(y)
    low = high = Numbers(*map(float, numbers))
    if np.float32(x) in BOUNDARY:
        step = 8 * float(np.spacing(np.float32(x)))
        around = [low, *(list(map(float, at(x + s, y))) for s in (-step, step))]
        low, high = Numbers(*np.min(around, axis=0)), Numbers(*np.max(around, axis=0))

    changes = (numbers.slope, numbers.curvature, 0, numbers.detached_curvature, 0, 0, 0)
    conditions = [abs(x * d / n) if n else 0 for n, d in zip(numbers, changes, strict=True)]
    if 0 < y < 1:
        h = mp.mpf(10) ** -30
        nearby = at(x, y * (1 - h))
        in_label = [
            abs((n - m) / (n * h)) if n else 0 for n, m in zip(numbers, nearby, strict=True)
        ]
        conditions = [a + b for a, b in zip(conditions, in_label, strict=True)]
    return low, high, Numbers(*map(float, conditions))


# Ours, and the comparison


def computed(row: Row, x: np.ndarray, y: np.ndarray) -> Numbers:
    """Returns the results of one compiled program for all logits, labels and columns."""

    @jit_fully
    def program(x, y):
        def slope_and_curvature(detach):
            slope = jax.grad(lambda x: jnp.sum(row.loss(x, y, detach, row.gamma)))
            return jax.jvp(slope, (x,), (jnp.ones_like(x),))

        value, by_gamma = row.loss(x, y, False, row.gamma), jnp.zeros_like(x)
        if row.gamma is not None:
            at, towards = (row.gamma,), (jnp.ones_like(row.gamma),)
            by_gamma = jax.jvp(lambda g: row.loss(x, y, False, g), at, towards)[1]
        detached = slope_and_curvature(True) if row.detachable else (jnp.zeros_like(x),) * 2
        parts = (*slope_and_curvature(False), *detached)
        return Numbers(value, *parts, by_gamma, jnp.zeros_like(x))

    return Numbers(*(np.asarray(part, np.float64) for part in program(x, y)))


class Measured(NamedTuple):
    """The worst error of each kind: ulp ratios, then relative errors; NaN if a number is NaN."""

    value: float = 0.0
    slope: float = 0.0
    detached_slope: float = 0.0
    curvature: float = 0.0
    detached_curvature: float = 0.0
    by_gamma: float = 0.0


def measure(row: Row) -> Measured:
    x, y = (a.ravel() for a in np.meshgrid(row.points, np.array(row.labels), indexing="ij"))
    y = y if row.labels == HARD else y.astype(np.float32)
    table = [
        [expected(row.terms, float(a), float(b), column) for column in row.columns]
        for a, b in zip(x, y, strict=True)
    ]
    parts = np.moveaxis(np.array(table), (2, 3), (0, 1))
    low, high, conditions = (Numbers(*part) for part in parts)
    x, y = (np.broadcast_to(a[:, None], (len(a), len(row.columns))) for a in (x, y))
    found = computed(row, x, y)
    smooth = ~np.isin(x, BOUNDARY) | (row.points is PROBABILITIES)

    def worst_ulps(name):
        return np.max(ulps(*(getattr(n, name) for n in (found, low, high, conditions))))

    epsilon = np.finfo(np.float32).eps
    cancelling = 8 * epsilon * low.curvature_terms

    def worst_relative(name, tolerated):
        """Returns the worst relative error; at the clip boundary only NaN counts: some diverge."""
        got, truth = getattr(found, name), getattr(low, name)
        error = np.maximum(excess(got, truth, truth) - tolerated, 0)
        worst = np.max(np.where(smooth, error / np.maximum(np.abs(truth), 1e-30), 0))
        return np.nan if np.any(np.isnan(got)) else worst

    result = Measured(
        worst_ulps("value"), worst_ulps("slope"), curvature=worst_relative("curvature", cancelling)
    )
    if row.detachable:
        result = result._replace(
            detached_slope=worst_ulps("detached_slope"),
            detached_curvature=worst_relative("detached_curvature", cancelling),
        )
    if row.gamma is not None:
        # |y - p| of a quality loss is rounded; log u of the others is exact next to u = 1 too
        rounding = 4 * epsilon * low.value if row.name == "quality" else 0
        result = result._replace(by_gamma=worst_relative("by_gamma", rounding))
    return result


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_value_slope_and_curvature(row):
    measured = measure(row)
    assert measured.value <= row.bar
    assert measured.slope <= row.bar
    assert measured.detached_slope <= row.bar
    assert measured.curvature <= 1e-4
    assert measured.detached_curvature <= 1e-4
    assert measured.by_gamma <= 1e-4


@pytest.mark.parametrize("row", [row for row in ROWS if row.labels == HARD], ids=str)
def test_integer_labels_are_bool_labels(row):
    shape = (len(row.points), len(row.columns))
    x = np.broadcast_to(row.points[:, None], shape)
    y = np.random.default_rng(1).random(shape) < 0.5
    program = jit_fully(lambda x, y: row.loss(x, y, True, row.gamma))
    np.testing.assert_array_equal(program(x, y.astype(np.int8)), program(x, y))


@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("clip", [0.0, 1e-6, 0.05, 0.3])
def test_derivative_in_clip(dtype, clip):
    x = np.array([-3, -1, 0.5, 4, 17, 25, -2, 3], np.float32)
    y = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    total = functools.partial(mll.asymmetric_loss, x, y.astype(dtype), reduction="sum")
    found = jit_fully(jax.grad(lambda c: total(clip=c)))(jnp.float32(clip))

    p, q = 1 / (1 + np.exp(-x[y == 0].astype(np.float64))), 1 / (1 + np.exp(x[y == 0], dtype=float))
    p_m, rest = np.maximum(p - np.float32(clip), 0), q + np.float32(clip)
    wanted = -np.where(p_m > 0, 4 * p_m**3 * -np.log(rest) + p_m**4 / rest, 0)
    np.testing.assert_allclose(found, np.sum(wanted), rtol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("detach_focus", [False, True])
def test_curvature_without_a_clip_in_an_array(dtype, detach_focus):
    x = np.concatenate([np.arange(38, 100), -np.arange(38, 100)]).astype(np.float32)[:, None]

    def curvature(y, clip):
        kwargs = {"clip": clip, "detach_focus": detach_focus, "reduction": "sum"}
        slope = jax.grad(lambda x: mll.asymmetric_loss(x, y, **kwargs))
        return jit_fully(lambda x: jax.jvp(slope, (x,), (jnp.ones_like(x),))[1])(x)

    for y in (np.zeros(x.shape, dtype), np.ones(x.shape, dtype)):
        by_array, by_constant = curvature(y, jnp.zeros(1)), curvature(y, 0)
        np.testing.assert_allclose(by_array, by_constant, rtol=1e-5, atol=1e-36)


@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, jnp.array(2.0)], ids=str)
def test_infinite_logits(dtype, gamma):
    x = jnp.array([-np.inf, np.inf, -np.inf, np.inf], jnp.float32)
    y = jnp.array([1, 1, 0, 0]).astype(dtype)
    asymmetric = functools.partial(mll.asymmetric_loss, gamma_neg=gamma, gamma_pos=gamma)
    for loss, highest, slope in (
        (mll.sigmoid_binary_cross_entropy, np.inf, 1),
        (functools.partial(mll.sigmoid_focal_loss, gamma=gamma), np.inf, 1),
        (functools.partial(asymmetric, clip=0), np.inf, 1),
        (asymmetric, -(0.95 ** float(gamma)) * np.log(0.05), 0),
    ):
        value = jit_fully(functools.partial(loss, reduction="none"))(x, y)
        np.testing.assert_allclose(value, [np.inf, 0, 0, highest], rtol=1e-6)
        gradient = jit_fully(jax.grad(lambda x, loss=loss: loss(x, y, reduction="sum")))(x)
        np.testing.assert_array_equal(gradient, [-1, 0, 0, slope])


if __name__ == "__main__":
    print(f"{'':44}" + "".join(f"{name:>20}" for name in Measured._fields))
    for row in ROWS:
        print(f"{row!s:44}" + "".join(f"{number:20.2g}" for number in measure(row)))
