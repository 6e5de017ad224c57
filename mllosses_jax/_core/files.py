"""Files of results: whole or not there, and never written over by accident."""

from pathlib import Path


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
