"""Folds: which rows validate, and that rows left out count nowhere."""

import jax
import numpy as np
import pytest

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.compare import parts
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset


def rows_of(y, mask=None, groups=None):
    names = tuple(f"label {j}" for j in range(y.shape[1]))
    x = np.zeros((len(y), 1))
    return Dataset(
        name="toy", label_names=names, x_train=x, y_train=y, mask_train=mask, groups_train=groups
    )


@pytest.mark.parametrize(("rows", "count"), [(60, 5), (999, 5), (1000, 3)])
def test_each_row_validates_once(rows, count):
    generator = np.random.default_rng(0)
    y = generator.random((rows, 3)) < [0.5, 0.2, 0.1]
    mask = generator.random(y.shape) < 0.9
    for known in (None, mask):
        folds = parts.folds(rows_of(y & mask, known))
        assert len(folds) == count
        validated = np.concatenate([part.validation for part in folds])
        np.testing.assert_array_equal(np.sort(validated), np.arange(rows))
        for train, validation in folds:
            assert set(train) == set(range(rows)) - set(validation)
            assert abs(len(validation) - rows / count) <= 0.1 * rows / count + 1
        positives = np.array([(y & mask)[part.validation].sum(0) for part in folds])
        assert np.all(np.ptp(positives, axis=0) <= 2)


def test_seeds_draw_parts_of_their_own():
    y = np.random.default_rng(0).random((1000, 3)) < [0.5, 0.2, 0.1]
    draws = parts.draws(rows_of(y), 4)
    drawn = np.concatenate([part.validation for part in draws])
    assert len(set(drawn)) == len(drawn)  # no row counts twice when thresholds are tuned
    for train, validation in draws:
        assert len(validation) == pytest.approx(200, abs=2)
        np.testing.assert_array_equal(np.sort([*train, *validation]), np.arange(1000))
        assert np.all(np.abs(y[validation].sum(0) - y.sum(0) / 5) < 1)
    assert (
        len(np.unique(np.concatenate([p.validation for p in parts.draws(rows_of(y), 9)]))) == 1000
    )
    few = parts.draws(rows_of(y[:999]), 4)
    assert len(few) == parts.FOLDS_OF_FEW


@pytest.mark.parametrize("rows", [300, 1500])
def test_a_group_is_held_out_whole(rows):
    generator = np.random.default_rng(0)
    y = generator.random((rows, 3)) < [0.5, 0.2, 0.1]
    groups = generator.integers(40, size=rows)
    dataset = rows_of(y, groups=[f"patient {group}" for group in groups])
    for found in (parts.folds(dataset), parts.draws(dataset, 5)):
        validated = np.concatenate([part.validation for part in found])
        np.testing.assert_array_equal(np.sort(validated), np.arange(rows))
        for train, validation in found:
            assert not set(groups[train]) & set(groups[validation])
            assert len(train) + len(validation) == rows
            assert len(validation) == pytest.approx(rows / len(found), rel=0.1)


@pytest.mark.parametrize(
    ("model", "rows", "needed"),
    [("linear", 300, 5), ("linear", 1500, 3), ("mlp", 1500, 5), ("linear_head", 300, 2)],
)
def test_too_few_groups_are_refused(model, rows, needed):
    y = np.random.default_rng(0).random((rows, 3)) < 0.5
    settings = Settings(model=model)
    parts.check_groups(rows_of(y), settings)
    parts.check_groups(rows_of(y, groups=np.arange(rows) % needed), settings)
    few = rows_of(y, groups=np.arange(rows) % (needed - 1))
    with pytest.raises(ComparisonError, match=rf"toy has {needed - 1} groups?.*{needed} parts"):
        parts.check_groups(few, settings)


def make_dataset(masked):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(12, 2))
    y = x @ generator.normal(size=(2, 4)) > [0.0, 0.5, 1.0, 1.0]
    mask = generator.random(y.shape) < 0.8 if masked else None
    return Dataset(name="toy", label_names=tuple("abcd"), x_train=x, y_train=y, mask_train=mask)


MASKED = ("hinge_loss", "zlpr_loss", "soft_f1_loss", "two_way_loss", "large_loss_rejection")


@pytest.mark.parametrize(
    ("name", "masked"),
    [*((entry.name, False) for entry in CATALOGUE), *((name, True) for name in MASKED)],
)
def test_rows_are_left_out_as_if_they_were_deleted(name, masked):
    """Fits to folds rely on this, because they leave rows out by `where`."""
    dataset = make_dataset(masked)
    bound = bind(name, dataset)
    generator = np.random.default_rng(3)
    kept = generator.permutation(12) < 8
    outputs = generator.normal(size=(12, bound.num_outputs)).astype(np.float32)
    y, known = dataset.y_train, dataset.mask_train
    where = kept[:, None] if known is None else kept[:, None] & known
    some = [outputs[kept], y[kept], None if known is None else known[kept]]
    slopes = jax.value_and_grad(lambda z, labels, counts: bound.loss(z, labels, where=counts))

    @jax.jit  # one program for both, because compilation takes most of the time
    def both(among_all, alone):
        return slopes(*among_all), slopes(*alone)

    (value, slope), (expected, slope_alone) = both([outputs, y, where], some)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope[kept], slope_alone, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(slope[~kept], 0)
