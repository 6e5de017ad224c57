"""`python -m mllosses_jax` is the command `mllosses`."""

from __future__ import annotations

import sys

from mllosses_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(program="python -m mllosses_jax"))
