"""Text files, plain or packed with gzip: their endings, their names and their text."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from mllosses_jax._core.memory import available_memory
from mllosses_jax.data.errors import DataError

PACKED = ".gz"
_CHUNK = 2**24


def ending(path: Path) -> str:
    """Returns the ending of a file in lower case; that of a packed one has two parts.

    Example:
        >>> ending(Path("a.CSV")), ending(Path("b.1.csv.gz"))
        ('.csv', '.csv.gz')
    """
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == PACKED else last


def stem(path: Path) -> str:
    """Returns the name of a file without its ending.

    Example:
        >>> stem(Path("b.1.csv.gz"))
        'b.1'
    """
    return path.name[: len(path.name) - len(ending(path))]


def read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file without its byte order mark; raises if it is empty."""
    raw = _unpacked(path) if ending(path).endswith(PACKED) else path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8; save it as UTF-8", path=path, line=line) from None
    if not text.strip():
        raise DataError("the file is empty; it needs a header and rows", path=path)
    return text


def _unpacked(path: Path) -> bytes:
    room = available_memory() // 4  # The cells of a text take several times its size.
    raw = bytearray()
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                raw += chunk
                if len(raw) > room:
                    raise DataError(
                        f"unpacks to more than {room / 2**30:.2g} GiB, a quarter of the memory "
                        "that is left; keep fewer rows or columns"
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError("is not a gzip file, or is cut short; pack it again") from None
    return bytes(raw)
