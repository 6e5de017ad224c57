"""Result files: written whole or not at all, never overwritten by accident, in a named format.

JSON has neither NaN nor infinity. In every JSON file of this package NaN, which means undefined, is
null, and infinity is "inf" or "-inf", which `float` reads.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mllosses_jax._core.text import cut, shown

LEFTOVERS = ".*.partial"  # files that only a killed process leaves behind


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file that replaces `path` once it is complete; a failure leaves no trace.

    Until then each writer uses a unique file name, so that two writers do not collide.

    Raises:
        OSError: if the file cannot be written; the error holds its name and the reason.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    is_device = target.exists() and not target.is_file()  # such as /dev/null, which is not replaced
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with target.open("wb") if is_device else partial.open("xb") as file:
            yield file
        if not is_device:
            partial.replace(target)
    except OSError as error:  # numpy raises it without the system's number and text
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Writes text as UTF-8 and replaces an existing file."""
    content = text.encode()
    with replacing(path) as file:
        file.write(content)


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows under a header with their names and replaces an existing file."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, table.getvalue())


def write_npz(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Writes an archive of named arrays and replaces an existing file."""
    with replacing(path) as file:
        np.savez(file, **arrays)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes an object with exact floats and replaces an existing file."""
    text = json.dumps(_encoded(content), indent=1, allow_nan=False, ensure_ascii=False)
    with replacing(path) as file:
        # A path may hold a lone surrogate, which UTF-8 cannot encode but JSON can escape.
        file.write(f"{text}\n".encode(errors="backslashreplace"))


def write_format(
    path: str | Path, content: Mapping[str, Any], *, format_name: str, force: bool
) -> None:
    """Writes an object as JSON, beginning with the name of its format.

    Raises:
        FileExistsError: if the file exists, unless `force`.
    """
    if Path(path).exists() and not force:
        raise FileExistsError(f"{path} exists; choose another file, or force=True")
    write_json(path, {"format": format_name, **content})


def read_format(path: str | Path, *, format_name: str) -> dict[str, Any]:
    """Reads a file that `write_format` wrote with this format name.

    Raises:
        ValueError: if the file is anything else.
    """
    try:
        content = json.loads(
            Path(path).read_bytes().decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError, MemoryError) as error:  # ValueError: also huge integers
        reason = cut(str(error)) or "it does not fit into memory"
        raise ValueError(f"{path} must be a JSON file: {reason}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != format_name:
        raise ValueError(f'{path} must hold "format": "{format_name}", got {shown(found)}')
    return dict(content)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f"{shown(twice)} is there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _encoded(value: Any) -> Any:
    """Returns the value with NaN as None and infinities as text."""
    if isinstance(value, Mapping):
        return {name: _encoded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
