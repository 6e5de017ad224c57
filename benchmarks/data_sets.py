"""Real data sets by name, and a tiny one of random numbers in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mllosses_jax import data

DATA = Path(__file__).parents[2] / "shared" / "data"


def named(sets: Sequence[str], quick: bool) -> Iterator[tuple[str, data.Dataset]]:
    """Yields data sets with their names, and says which are left out.

    Args:
        sets: the names.
        quick: whether to yield only the tiny one.
    """
    if quick:
        yield "tiny", _tiny()
        return
    for name in sets:
        path = DATA / f"{name}.npz"
        if path.is_file():
            yield name, data.load(path)
        else:
            print(f"{name} is left out: there is no {path}", flush=True)


def _tiny() -> data.Dataset:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(180, 8)).astype(np.float32)
    y = x @ generator.normal(size=(8, 6)) + generator.normal(scale=2, size=(180, 6)) > 1
    return data.Dataset(
        name="tiny",
        label_names=tuple("abcdef"),
        x_train=x[:120],
        y_train=y[:120],
        x_test=x[120:],
        y_test=y[120:],
    )
