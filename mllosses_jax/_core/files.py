"""Files of results: whole or not there, never written over by accident, of a named format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_whole(path: str | Path, text: str, *, force: bool) -> None:
    """Writes text as UTF-8.

    Raises:
        FileExistsError: if the file exists, unless `force`.
    """
    path = Path(path)
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; choose another file, or force=True")
    content = text.encode()
    partial = path.with_name(f"{path.name}.partial")  # so that none is ever half-written
    partial.write_bytes(content)
    partial.replace(path)


def write_json(
    path: str | Path, content: Mapping[str, Any], *, format_name: str, force: bool
) -> None:
    """Writes an object that begins with the name of its format; floats are kept to the bit.

    Raises:
        FileExistsError: if the file exists, unless `force`.
    """
    whole = _encoded({"format": format_name, **content})
    text = json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(path, text + "\n", force=force)


def read_json(path: str | Path, *, format_name: str) -> dict[str, Any]:
    """Reads what `write_json` wrote in this format.

    Raises:
        ValueError: if the file is something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a JSON file: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != format_name:
        raise ValueError(f'{path} must hold "format": "{format_name}", got {found!r}')
    return dict(content)


def _encoded(value: Any) -> Any:
    """Returns the value with infinities and NaN as strings, which `float` reads: JSON has none."""
    if isinstance(value, dict):
        return {name: _encoded(entry) for name, entry in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
