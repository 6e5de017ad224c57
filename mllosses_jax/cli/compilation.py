"""Keeps compiled programs between runs, because compilation would dominate a small run."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "mllosses_jax"


def keep() -> None:
    """Makes JAX keep compiled programs in the user's cache folder, unless the user chose another.

    Nothing is kept if that folder cannot be written to.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    home = os.environ.get("XDG_CACHE_HOME")
    folder = Path(home) if home else Path("~/.cache").expanduser()
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder / FOLDER, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder / FOLDER))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
