"""The embedded data set: its source, its bytes and its statistics."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mllosses_jax.data import Dataset, load, make_mosaics, mosaics

SHA256 = "418a3bc2872b6990eb3beb459fb01ad74c34682add3b8fd12af3d835258e44e8"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("mosaics")


def test_digits_are_those_of_scikit_learn() -> None:
    peer = pytest.importorskip("sklearn.datasets").load_digits()
    images, digits = mosaics._load_digits()
    np.testing.assert_array_equal(images, peer.images)
    np.testing.assert_array_equal(digits, peer.target)


def test_bytes_are_the_same_everywhere(data: Dataset) -> None:
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(np.asarray(array).astype(np.uint8).tobytes())
    assert digest.hexdigest() == SHA256


def test_seeds_differ(data: Dataset) -> None:
    assert (make_mosaics(1).y_train != data.y_train).any()


def test_labels_have_a_long_tail(data: Dataset) -> None:
    assert data.label_names == tuple(f"digit {digit}" for digit in range(10))
    assert data.y_test is not None
    for y in (data.y_train, data.y_test):
        frequency = y.mean(0)
        assert 0.45 <= frequency.max() <= 0.52
        assert 0.02 <= frequency.min() <= 0.04
        assert (np.diff(frequency) > 0).all()
        assert 1.8 <= y.sum(1).mean() <= 2.1
        assert set(y.sum(1)) == {1, 2, 3, 4}


def test_pixels_are_intensities(data: Dataset) -> None:
    assert not data.sparse
    assert data.mask_train is None
    for x in (data.x_train, data.x_test):
        assert x is not None
        assert x.dtype == np.float32
        assert set(np.unique(x)) == set(range(17))


def test_no_image_is_in_both_parts(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the images of one part blanked, the pictures of the other stay as they are."""
    images, digits = mosaics._load_digits()
    first, last = images[: mosaics._TRAIN_IMAGES], images[mosaics._TRAIN_IMAGES :]
    assert not {image.tobytes() for image in first} & {image.tobytes() for image in last}
    for blanked, same, other in (
        (np.concatenate([first, 0 * last]), "x_train", "x_test"),
        (np.concatenate([0 * first, last]), "x_test", "x_train"),
    ):
        monkeypatch.setattr(mosaics, "_load_digits", lambda blanked=blanked: (blanked, digits))
        made = make_mosaics()
        np.testing.assert_array_equal(getattr(made, same), getattr(data, same))
        assert getattr(made, other).max() <= mosaics._NOISE  # nothing but noise is left


def test_labels_say_what_the_picture_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits painted in intensities of their own, without noise, give the labels back."""
    _, digits = mosaics._load_digits()
    painted = np.broadcast_to((digits + 1)[:, None, None], (len(digits), 8, 8)).copy()
    monkeypatch.setattr(mosaics, "_load_digits", lambda: (painted, digits))
    monkeypatch.setattr(mosaics, "_NOISE", 0)
    made = make_mosaics()
    # Moved digits overlap by two columns at most, so columns 2 to 5 of a place show its own digit.
    tiles = made.x_train.reshape(-1, 2, 8, 2, 8)[:, :, 0, :, 3].reshape(-1, 4)
    shown = (tiles[:, :, None] == np.arange(1, 11)).any(1)
    np.testing.assert_array_equal(shown, made.y_train)
    filled = (tiles > 0).mean(0)
    np.testing.assert_allclose(filled, filled.mean(), atol=0.03)  # places are filled equally often
    assert (tiles > 0).sum(1).max() == 4
