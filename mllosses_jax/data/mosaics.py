"""The embedded data set: multi-label mosaics of real handwritten digits.

The digits are the test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
C. Kaynak (UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49), in the copy
that scikit-learn ships: 1797 images of 8 x 8 pixels with intensities 0 to 16. Licence: CC BY 4.0,
see DIGITS_LICENSE.md beside this file.

A mosaic is a grid of 2 x 2 places. One to four of them show a digit, moved sideways by at most one
pixel, and every pixel has a little noise. Label l says that digit l is in the picture. Digits
become rarer from 9 to 0, so the labels have a long tail; 8 and 9, the hardest to tell apart, are
frequent, and the tail can be learnt. The pictures of the training part and of the test part are
made from different images of digits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data.dataset import Dataset

_TRAIN_ROWS, _TEST_ROWS = 4000, 2000
_TRAIN_IMAGES = 1200  # out of 1797; the others make the test part
_DIGIT_WEIGHTS = (15, 22, 30, 45, 65, 90, 130, 180, 240, 300)
_COUNT_WEIGHTS = (20, 45, 25, 10)  # for one to four digits in a picture
_NOISE = 2
_BRIGHTEST = 16


def make_mosaics(seed: int = 0) -> Dataset:
    """Makes the mosaics; the same seed gives the same bytes on every machine.

    Args:
        seed: the seed of the pictures; compare results on the default.

    Returns:
        4000 training and 2000 test rows of 16 x 16 pixels (integers 0 to 16), and 10 labels.

    Example:
        >>> data = make_mosaics()
        >>> data.x_train.shape, data.y_test.shape, data.label_names[0]
        ((4000, 256), (2000, 10), 'digit 0')
    """
    images, digits = _load_digits()
    # Only the raw stream of a bit generator is the same in every version of NumPy; the rest is
    # integer arithmetic on it.
    stream = np.random.PCG64(seed)
    x_train, y_train = _mosaics(stream, images[:_TRAIN_IMAGES], digits[:_TRAIN_IMAGES], _TRAIN_ROWS)
    x_test, y_test = _mosaics(stream, images[_TRAIN_IMAGES:], digits[_TRAIN_IMAGES:], _TEST_ROWS)
    return Dataset(
        name="mosaics",
        label_names=tuple(f"digit {digit}" for digit in range(10)),
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
    )


def _load_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the (1797, 8, 8) images and the digits they show."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        return archive["images"].astype(np.int64), archive["digits"].astype(np.int64)


def _mosaics(
    stream: np.random.PCG64, images: NDArray[np.int64], digits: NDArray[np.int64], rows: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Makes (rows, 256) pictures and their (rows, 10) labels from the given images."""

    def draw(bound: int, *shape: int) -> NDArray[np.int64]:
        raw = stream.random_raw(int(np.prod(shape))).reshape(shape)
        return (raw % np.uint64(bound)).astype(np.int64)

    count = 1 + _pick(_COUNT_WEIGHTS, draw(sum(_COUNT_WEIGHTS), rows))
    shown = _pick(_DIGIT_WEIGHTS, draw(sum(_DIGIT_WEIGHTS), rows, 4))
    choice = draw(2**32, rows, 4)
    # The places are ranked at random, and the first `count` of them are filled.
    rank = draw(2**62, rows, 4).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    filled = rank < count[:, None]
    shift = draw(3, rows, 4)
    noise = draw(2 * _NOISE + 1, rows, 16, 16) - _NOISE

    labels = np.zeros((rows, 10), np.bool_)
    canvas = np.zeros((rows, 16, 18), np.int64)  # one column to spare on each side
    for place in range(4):
        top, left = 8 * (place // 2), 8 * (place % 2)
        for digit in range(10):
            pool = images[digits == digit]
            for moved in range(3):
                here = np.flatnonzero(
                    filled[:, place] & (shown[:, place] == digit) & (shift[:, place] == moved)
                )
                window = (here, slice(top, top + 8), slice(left + moved, left + moved + 8))
                tiles = pool[choice[here, place] % len(pool)]
                canvas[window] = np.maximum(canvas[window], tiles)
                labels[here, digit] = True
    pixels = np.clip(canvas[:, :, 1:17] + noise, 0, _BRIGHTEST)
    return pixels.reshape(rows, 256).astype(np.float32), labels


def _pick(weights: tuple[int, ...], draws: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turns draws below the sum of the weights into positions among the weights."""
    return np.searchsorted(np.cumsum(weights), draws, side="right").astype(np.int64)
