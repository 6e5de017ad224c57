"""The boundary around reading a file: whatever its content causes is one error, of one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mllosses_jax._core.text import cut
from mllosses_jax.data.errors import DataError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what reading a file raises into a `DataError` that names the file.

    Readers tell of the mistakes that they know. Beyond these, files can make the libraries below
    raise nearly anything, so that no list of exceptions would be whole; the cause stays attached.

    Raises:
        DataError: something was raised within.
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
