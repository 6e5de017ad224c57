"""Checks that output files may be written, before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from mllosses_jax.cli.errors import UsageError


def check_free(path: Path, *, force: bool, option: str = "--out") -> None:
    """Raises if a file, which an option names, would be overwritten without `force`."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another {option}, or give --force to overwrite it")


def check_file(path: Path, *, force: bool, option: str = "--out") -> None:
    """Raises if a file, which an option names, must not or cannot be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; {option} must be a file")
    if not path.parent.is_dir():
        raise UsageError(
            f"cannot write {path}: no such folder; create it, or choose another {option}"
        )
    check_writable(path.parent, option=option)
    check_free(path, force=force, option=option)


def check_writable(folder: Path, *, option: str = "--out") -> None:
    """Raises if no file can be written to a folder."""
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write to {folder} (Permission denied); choose another {option}")
