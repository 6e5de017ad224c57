"""Splits, standardised features, and what a data set checks about itself."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

from mllosses_jax.data import DataError, Dataset, split, standardize


def long_tail(rows: int, labels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frequency = 0.5 / np.arange(1, labels + 1)
    return rng.random((rows, labels)) < frequency


@pytest.mark.parametrize("fraction", [0.1, 1 / 3, 0.5, 0.8])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_once_sizes_exact_and_rare_labels_in_both(fraction: float, seed: int) -> None:
    y = long_tail(400, 60, seed)
    rest, part = split(y, fraction, seed=seed)
    assert sorted([*rest, *part]) == list(range(400))
    assert (np.diff(rest) > 0).all()
    assert (np.diff(part) > 0).all()
    assert len(part) == round(400 * fraction)
    several = y.sum(0) >= 2
    assert y[rest].any(0)[several].all()
    assert y[part].any(0)[several].all()


def test_labels_keep_their_share() -> None:
    """The bound fails if frequent labels go first (0.8), or twins are not parted early (0.4)."""
    y = long_tail(1000, 100, 3)
    _, part = split(y, 0.25, seed=0)
    error = np.abs(y[part].sum(0) - 0.25 * y.sum(0)).mean()
    rows = np.random.default_rng(0).permutation(1000)[:250]
    at_random = np.abs(y[rows].sum(0) - 0.25 * y.sum(0)).mean()
    assert error < 0.35 < 0.4 * at_random


def test_rows_moved_to_make_sizes_exact_are_those_with_labels_in_excess() -> None:
    """Moving arbitrary rows would leave a mean error of 1.4."""
    rng = np.random.default_rng(0)
    frequency = np.minimum(0.9, 6 / np.arange(1, 301))
    y = rng.random((500, 300)) < frequency * rng.random((500, 1))
    _, part = split(y, 0.2, seed=0)
    assert len(part) == 100
    assert np.abs(y[part].sum(0) - 0.2 * y.sum(0)).mean() < 1.2


@pytest.mark.parametrize("seed", [0, 4, 11, 12, 14, 18])
def test_lost_labels_are_brought_back(seed: int) -> None:
    """The labels are so tangled that stratification alone leaves one of them in a single part."""
    y = np.random.default_rng(seed).random((60, 50)) < 0.05
    rest, part = split(y, 0.3, seed=0)
    several = y.sum(0) >= 2
    assert (y[rest].any(0) & y[part].any(0))[several].all()


def test_small_part_grows_to_hold_every_label() -> None:
    y = np.repeat(np.eye(30, dtype=int), 2, axis=0)
    rest, part = split(y, 0.1, seed=0)
    assert len(part) == 30
    assert y[part].sum(0).tolist() == y[rest].sum(0).tolist() == [1] * 30


def test_twins_are_parted() -> None:
    """Plain iterative stratification would leave both positives in the larger part."""
    y = np.repeat(np.eye(20, dtype=int), 2, axis=0)
    rest, part = split(np.concatenate([y, np.zeros((160, 20), int)]), 0.1, seed=0)
    assert len(part) == 20
    assert y[part].sum(0).tolist() == [1] * 20
    assert len(rest) == 180


def test_labels_that_contradict_each_other_do_not_stop_it() -> None:
    triangle = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    rest, part = split(triangle, 0.5, seed=0)
    assert sorted([*rest, *part]) == [0, 1, 2]
    assert len(rest) in (1, 2)


def test_seed_decides() -> None:
    y = long_tail(200, 10, 0)
    first, again, other = (split(y, 0.3, seed=seed)[1].tolist() for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_unknown_labels_do_not_count() -> None:
    """Label 1 is positive everywhere but known only twice, so those two rows are parted."""
    y = np.stack([np.arange(100) % 2, np.ones(100, int)], axis=1)
    mask = np.ones((100, 2), bool)
    mask[2:, 1] = False
    for seed in range(5):
        rest, part = split(y, 0.2, seed=seed, mask=mask)
        assert len({0, 1} & set(rest.tolist())) == len({0, 1} & set(part.tolist())) == 1


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (np.nan, "from_nan"),
        (-1, "from_minus_one_unknown"),
        (-0.5, "where"),
        (2, "where"),
        (255, "where"),
    ],
)
def test_invalid_labels_are_refused_or_masked(value: float, remedy: str) -> None:
    """If unknown labels counted as positives, both positives of a label could go to one part."""
    rng = np.random.default_rng(0)
    truth = np.zeros((40, 3))
    truth[:2, 0], truth[:, 1:] = 1, rng.random((40, 2)) < 0.4
    y, known = truth.copy(), np.ones(truth.shape, bool)
    known[2:20, 0] = False
    y[~known] = value
    for given in (y, y.tolist(), y.astype(np.float32)):
        with pytest.raises(ValueError, match=rf"split: labels must .*\(2, 0\).*{remedy}"):
            split(given, 0.5, seed=0)
    with pytest.raises(ValueError, match=remedy):
        split(y, 0.5, seed=0, mask=~known)
    for mask in (known, known.tolist(), known.astype(int)):
        rest, part = split(y, 0.5, seed=0, mask=mask)
        assert truth[rest, 0].sum() == truth[part, 0].sum() == 1
        expected = split(truth, 0.5, seed=0, mask=known)
        np.testing.assert_array_equal(part, expected[1])


def test_large_label_sets_are_quick() -> None:
    rng = np.random.default_rng(0)
    y = rng.random((12920, 983)) < 0.02
    start = time.perf_counter()
    split(y, 0.2, seed=0)
    assert time.perf_counter() - start < 5


def test_rows_without_labels() -> None:
    rest, part = split(np.zeros((10, 3)), 0.3, seed=0)
    assert (len(rest), len(part)) == (7, 3)


@pytest.mark.parametrize(
    ("y", "fraction", "mask", "words"),
    [
        ([1, 0, 1], 0.5, None, "(N, L)"),
        ([[1, 0]], 0.5, None, "2 rows"),
        ([[1], [0]], 1.0, None, "between 0 and 1"),
        ([[1], [0]], 0.5, [True, False], "mask (2,)"),
    ],
)
def test_bad_arguments_of_split(y: Any, fraction: float, mask: Any, words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        split(y, fraction, seed=0, mask=mask)
    assert words in str(error.value)


def test_standardize_by_the_training_part() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(1e4, 3, (50, 4))
    train[:, 2] = 0.1
    assert train[:, 2].std() > 0  # rounding: the deviation does not reveal a constant
    test = rng.normal(1e4, 3, (20, 4)).astype(np.float32)
    out, out_test = standardize(train, test)
    assert out.dtype == out_test.dtype == np.float32
    vary = [0, 1, 3]
    mean, std = train[:, vary].mean(0), train[:, vary].std(0)
    np.testing.assert_allclose(out[:, vary].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(out[:, vary].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(out_test[:, vary], (test[:, vary] - mean) / std, rtol=1e-5)
    assert not out[:, 2].any()
    assert not out_test[:, 2].any()
    with pytest.raises(ValueError, match=r"\(20, 3\)"):
        standardize(train, test[:, :3])


def toy(**changes: Any) -> Dataset:
    y = long_tail(40, 3, 0)
    x = np.arange(80.0).reshape(40, 2)
    fields = {"name": "toy", "label_names": ("a", "b", "c"), "x_train": x, "y_train": y}
    return Dataset(**(fields | changes))


def test_with_test_cuts_rows_labels_and_masks_alike() -> None:
    mask = np.random.default_rng(0).random((40, 3)) < 0.8
    whole = toy(mask_train=mask)
    cut = whole.with_test(0.25, seed=0)
    rest, part = split(whole.y_train, 0.25, seed=0, mask=mask)
    for kind in ("x", "y", "mask"):
        values = getattr(whole, f"{kind}_train")
        np.testing.assert_array_equal(getattr(cut, f"{kind}_train"), values[rest])
        np.testing.assert_array_equal(getattr(cut, f"{kind}_test"), values[part])
    assert toy().with_test(0.25, seed=0).mask_test is None
    with pytest.raises(DataError, match="has a test part already"):
        cut.with_test(0.25, seed=0)


def test_standardized_only_rescales_sparse_features() -> None:
    dense = toy().with_test(0.5, seed=0).standardized()
    assert abs(dense.x_train.mean()) < 1e-6
    assert dense.x_test is not None
    assert abs(dense.x_test).max() < 5
    sparse = toy(sparse=True)
    largest = np.abs(sparse.x_train).max()
    for factor in (1e-20, 1.0, 3e30):
        scaled = dataclasses.replace(sparse, x_train=sparse.x_train * np.float32(factor))
        found = scaled.standardized()
        assert 0.7 < np.abs(found.x_train).max() < 1.5
        ratio = found.x_train[scaled.x_train != 0] / scaled.x_train[scaled.x_train != 0]
        assert np.all(ratio == ratio[0])
        assert np.log2(ratio[0]) % 1 == 0  # nothing is rounded
    assert largest > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.zeros(40)}, "x_train has shape (40,)"),
        ({"x_train": np.zeros((40, 0))}, "x_train has shape (40, 0)"),
        ({"x_train": np.zeros((39, 2))}, "39 rows but y_train has 40"),
        ({"x_train": np.full((40, 2), np.nan)}, "NaN or infinite at row 0, column 0"),
        ({"x_train": np.full((40, 2), 1e300)}, "NaN or infinite"),
        ({"x_train": np.full((40, 2), "1")}, "features must be numbers"),
        ({"y_train": np.full((40, 3), 2)}, "y_train has 2 at row 0, column 0"),
        ({"y_train": np.full((40, 3), -1)}, "unknown label is NaN or has 0 in mask_train"),
        ({"y_train": np.full((40, 3), 0.5)}, "y_train has 0.5"),
        ({"y_train": np.full((40, 3), "1")}, "y_train holds"),
        ({"y_train": np.zeros(40)}, "y_train has shape (40,)"),
        ({"y_train": np.zeros((40, 2))}, "3 label names for the 2 columns"),
        ({"y_train": None}, "give both or neither"),
        ({"mask_train": np.ones((40, 1), bool)}, "mask_train (40, 1) and y_train (40, 3)"),
        ({"mask_train": np.full((40, 3), 7)}, "mask_train has 7"),
        ({"x_test": np.zeros((1, 2))}, "x_test and y_test go together"),
        ({"x_test": np.zeros((1, 9)), "y_test": np.zeros((1, 3))}, "but x_test has 9"),
        ({"mask_test": np.ones((1, 3))}, "mask_test without"),
        ({"label_names": ("a", "b", "a")}, "'a' occurs twice"),
        ({"label_names": ()}, "no labels"),
    ],
)
def test_dataset_checks(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as error:
        toy(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_mask_that_knows_everything_is_no_mask() -> None:
    assert toy(mask_train=np.ones((40, 3), int)).mask_train is None
