"""Several processes that share a comparison, on one machine or more, as `jax.distributed` has them.

Each trains every n-th loss or reference into the one folder, which the first process reserves and
prepares. Then each reads what the others have trained; only the first writes what concerns all
losses. They wait for files, because a collective that waits for hours is ended by its library.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from mllosses_jax._core import files
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Folder, alone

FAILED = "failed-{}.txt"  # in the folder, what a process has failed with
SECONDS = 0.2  # between two looks at the folder

_T = TypeVar("_T")


def several() -> bool:
    """Returns whether there are processes besides this one."""
    return bool(jax.process_count() > 1)


def is_first() -> bool:
    """Returns whether this process writes what concerns all losses."""
    return bool(jax.process_index() == 0)


def share(items: Sequence[_T]) -> Sequence[_T]:
    """Returns the items that this process trains."""
    return items[jax.process_index() :: jax.process_count()]


@contextlib.contextmanager
def opened(path: Path, make: Callable[[], Folder]) -> Iterator[Folder]:
    """Reserves a folder for this run, and yields it once the first process has prepared it.

    Args:
        path: the folder.
        make: prepares the folder in the first process, and joins it in the others.

    Raises:
        ComparisonError: another process has failed.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        try:
            if is_first():
                stack.enter_context(alone(path))
                for old in path.glob(FAILED.format("*")):
                    old.unlink()
                folder = make()
        finally:
            ready = _said_by_the_first(folder is not None)
        if not ready:
            raise ComparisonError(f"the first process cannot use {path}; its message says why")
        try:
            yield make() if folder is None else folder
        except BaseException as error:
            if several():
                text = f"process {jax.process_index()}: {error or type(error).__name__}\n"
                files.write_text(path / FAILED.format(jax.process_index()), text)
            raise


def wait_for(load: Callable[[], _T | None], path: Path) -> _T:
    """Returns what `load` returns once it is not None.

    Raises:
        ComparisonError: another process has failed, and has said so in the folder `path`.
    """
    while (found := load()) is None:
        for file in path.glob(FAILED.format("*")):
            raise ComparisonError(f"another process has failed: {file.read_text('utf-8').strip()}")
        time.sleep(SECONDS)
    return found


def _said_by_the_first(value: bool) -> bool:
    """Returns the value that the first process has given."""
    if not several():
        return value
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.array(value)))
