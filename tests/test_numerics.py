"""Element losses against a reference of 50 digits.

The bars are those of the package: value and slope within 8 ulp x (1 + condition number) over
all finite float32 logits, binary cross-entropy within 3. `python tests/test_numerics.py` prints
how close they come.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import LOGITS, Numbers, Terms, excess, mp, ulps

import mllosses_jax as mll

GAMMAS = (0.0, 0.5, 1.0, 2.0, 2.5, 4.0)
CLIPS = (0.0, float(np.float32(0.05)))
HARD = (False, True)
SOFT = tuple(float(np.float32(y)) for y in (0, 1, 0.9, 0.25, 1e-3))


def logits_at(probability: float) -> np.ndarray:
    """Returns the logit of a probability, and eight floats on either side of it."""
    centre = np.float32(np.log(probability) - np.log1p(-probability))
    return centre + np.arange(-8, 9, dtype=np.float32) * np.spacing(centre)


BOUNDARY = logits_at(CLIPS[1])
PROBABILITIES = np.concatenate(
    [
        [0, 1e-37, 1e-30, 1e-13, 1.2e-12, 1e-8, 1e-3],
        np.linspace(0.01, 0.99, 41),
        [1 - 1e-3, 1 - 2**-24, 1],
    ]
).astype(np.float32)


# The reference, with the bounds that it sets


@functools.cache
def expected(
    terms: Callable[..., Terms], x: float, y: float, column: tuple[float, ...]
) -> tuple[Numbers, Numbers, Numbers]:
    """Returns the lowest and the highest number allowed before rounding, and condition numbers.

    Low and high differ at the clip boundary only, where a float next to it may be on either
    side: there they enclose the results of all logits within 8 ulp. The condition number is that
    in the logit, plus that in the label where it is soft.
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


# The rows: losses with their parameters


class Row(NamedTuple):
    """A loss of (x, y, detach, gamma), its reference, and the columns of parameters it sees."""

    name: str
    loss: Callable[..., jax.Array]
    terms: Callable[..., Terms]
    labels: tuple[float, ...] | tuple[bool, ...]
    columns: tuple[tuple[float, ...], ...] = ((),)
    gamma: jax.Array | None = None
    bar: float = 8.0
    points: np.ndarray = LOGITS

    def __str__(self) -> str:
        parameters = (
            "arrays" if len(self.columns) > 1 else ",".join(f"{p:.3g}" for p in self.columns[0])
        )
        return f"{self.name}, {'hard' if self.labels == HARD else 'soft'}, [{parameters}]"


def _plain(loss, x, y, detach, gamma, **kwargs):
    del detach, gamma
    return loss(x, y, reduction="none", **kwargs)


def _focal(constant, x, y, detach, gamma):
    del detach
    gamma = constant if gamma is None else gamma
    return mll.sigmoid_focal_loss(x, y, gamma=gamma, reduction="none")


def _asymmetric(gamma_neg, gamma_pos, clip, x, y, detach, gamma):
    return mll.asymmetric_loss(
        x,
        y,
        gamma_neg=gamma_neg if gamma is None else gamma,
        gamma_pos=gamma_pos,
        clip=clip,
        detach_focus=detach,
        reduction="none",
    )


def rows_of(labels: tuple) -> list[Row]:
    of = functools.partial
    bce = of(_plain, mll.sigmoid_binary_cross_entropy)
    weighted = of(_plain, mll.sigmoid_binary_cross_entropy, pos_weight=2.5)
    balanced = of(_plain, mll.balanced_binary_cross_entropy, alpha=0.25)
    of_p = of(_plain, mll.binary_cross_entropy)
    rows = [
        Row("cross-entropy", bce, exact.cross_entropy, labels, bar=3),
        Row("pos_weight", weighted, exact.weighted_cross_entropy, labels, ((2.5, 1.0),)),
        Row("balanced", balanced, exact.weighted_cross_entropy, labels, ((0.25, 0.75),)),
        Row("of p", of_p, exact.cross_entropy_of_probability, labels, points=PROBABILITIES),
    ]
    for gamma in GAMMAS:
        rows.append(Row("focal", of(_focal, gamma), exact.focal, labels, ((gamma,),)))
    columns, gammas = tuple((gamma,) for gamma in GAMMAS), jnp.array(GAMMAS)
    rows.append(Row("focal", of(_focal, None), exact.focal, labels, columns, gammas))

    points = np.concatenate([LOGITS, BOUNDARY])
    pairs = list(zip(GAMMAS, GAMMAS[::-1], strict=True))
    columns = tuple((*gammas, clip) for gammas, clip in itertools.product(pairs, CLIPS))
    for column in columns:
        if column[0] != 0.5:  # traced, as 2.5 is
            loss = of(_asymmetric, *column)
            row = Row("asymmetric", loss, exact.asymmetric, labels, (column,), points=points)
            rows.append(row)
    gamma_neg, gamma_pos, clip = map(jnp.array, zip(*columns, strict=True))
    loss = of(_asymmetric, None, gamma_pos, clip)
    row = Row("asymmetric", loss, exact.asymmetric, labels, columns, gamma_neg, points=points)
    return [*rows, row]


ROWS = [*rows_of(HARD), *rows_of(SOFT)]


# Ours, and the comparison


def computed(row: Row, x: np.ndarray, y: np.ndarray) -> Numbers:
    """Returns what one compiled program gives for all logits, labels and columns."""

    @jax.jit
    def program(x, y):
        def slope_and_curvature(detach):
            slope = jax.grad(lambda x: jnp.sum(row.loss(x, y, detach, row.gamma)))
            return jax.jvp(slope, (x,), (jnp.ones_like(x),))

        value, by_gamma = row.loss(x, y, False, row.gamma), jnp.zeros_like(x)
        if row.gamma is not None:
            at, towards = (row.gamma,), (jnp.ones_like(row.gamma),)
            by_gamma = jax.jvp(lambda g: row.loss(x, y, False, g), at, towards)[1]
        parts = (*slope_and_curvature(False), *slope_and_curvature(True))
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
        """The worst relative error; at the clip boundary, where some diverge, only NaN counts."""
        got, truth = getattr(found, name), getattr(low, name)
        error = np.maximum(excess(got, truth, truth) - tolerated, 0)
        worst = np.max(np.where(smooth, error / np.maximum(np.abs(truth), 1e-30), 0))
        return np.nan if np.any(np.isnan(got)) else worst

    result = Measured(
        worst_ulps("value"), worst_ulps("slope"), curvature=worst_relative("curvature", cancelling)
    )
    if row.terms is exact.asymmetric:
        result = result._replace(
            detached_slope=worst_ulps("detached_slope"),
            detached_curvature=worst_relative("detached_curvature", cancelling),
        )
    if row.gamma is not None:
        # log u has the rounding error of u, which is all of it where u is next to 1
        by_gamma = worst_relative("by_gamma", 4 * epsilon * low.value)
        result = result._replace(by_gamma=by_gamma)
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
    program = jax.jit(lambda x, y: row.loss(x, y, True, row.gamma))
    np.testing.assert_array_equal(program(x, y.astype(np.int8)), program(x, y))


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
        value = jax.jit(functools.partial(loss, reduction="none"))(x, y)
        np.testing.assert_allclose(value, [np.inf, 0, 0, highest], rtol=1e-6)
        gradient = jax.jit(jax.grad(lambda x, loss=loss: loss(x, y, reduction="sum")))(x)
        np.testing.assert_array_equal(gradient, [-1, 0, 0, slope])


if __name__ == "__main__":
    print(f"{'':44}" + "".join(f"{name:>20}" for name in Measured._fields))
    for row in ROWS:
        print(f"{row!s:44}" + "".join(f"{number:20.2g}" for number in measure(row)))
