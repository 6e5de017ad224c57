"""The boundary around reading a file: whatever its content raises becomes one error of one line."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from mllosses_jax._core.text import cut
from mllosses_jax.data._text_files import PACKED, ending
from mllosses_jax.data.errors import DataError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what reading a file raises into a `DataError` that names the file.

    Readers report the mistakes that they recognise. Other files can make the libraries below raise
    nearly anything, so no list of exceptions would be complete; the cause stays attached.

    Raises:
        DataError: the block raised an exception.
    """
    try:
        yield
    except DataError as error:
        error.path = error.path or path
        raise
    except OSError as error:
        reason = error.strerror or cut(str(error))
        raise DataError(f"cannot be read ({reason}); check it", path=path) from error
    except MemoryError as error:
        raise DataError("does not fit into memory; keep less in it", path=path) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {cut(str(error))}"
        raise DataError(f"cannot be read ({reason}); write it again", path=path) from error


def check_file(path: Path, suffixes: Collection[str], what: str, *, otherwise: str = "") -> None:
    """Raises unless a path is a file with one of the suffixes; messages say `what` to give."""
    if path.is_dir():
        raise DataError(f"is a folder; give the path of {what}{otherwise}")
    if ending(path) not in suffixes:
        known = ", ".join(suffix for suffix in suffixes if not suffix.endswith(PACKED))
        raise DataError(f"unknown kind of file; give one that ends in {known}{otherwise}")
    if not path.is_file():
        raise DataError(f"no such file; give the path of {what}{otherwise}")
