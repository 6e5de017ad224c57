"""`mllosses doctor`: says what is installed, which devices there are, and what is missing."""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from mllosses_jax import __version__
from mllosses_jax._core.text import cut
from mllosses_jax.cli.console import definitions, paragraph, say
from mllosses_jax.cli.shared_arguments import add_command

NEEDED = ("jax", "jaxlib", "optax", "flax", "chex", "numpy")
EXTRAS = {"cli": ("matplotlib", "rich"), "parquet": ("pyarrow",)}  # those that the package imports


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "doctor", "show versions and devices, and what is missing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command, which has no options."""
    del options
    say("\n".join(examination()))


def examination() -> Iterator[str]:
    """Yields the lines to print."""
    yield "Versions"
    yield from definitions(
        {"mllosses_jax": __version__, "python": platform.python_version()}
        | {name: _version(name) or "missing" for name in NEEDED},
        indent="  ",
    )
    yield from ("", "Devices")
    for device in _devices():
        yield from paragraph(device, "  ")
    yield from ("", "Extras", *definitions({name: _state(name) for name in EXTRAS}, indent="  "))
    yield from ("", "Compiled programs", *paragraph(_cache(), "  "))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _state(extra: str) -> str:
    versions = {name: _version(name) for name in EXTRAS[extra]}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return f"{' and '.join(missing)} {verb} missing; run pip install 'mllosses-jax[{extra}]'"
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _devices() -> list[str]:
    import jax

    try:
        found = Counter((device.platform, device.device_kind) for device in jax.devices())
    except RuntimeError as error:  # such as a driver that does not fit
        return [f"JAX finds none: {cut(' '.join(str(error).split()), 300)}"]
    return [f"{count} x {platform} ({kind})" for (platform, kind), count in found.items()]


def _cache() -> str:
    import jax

    folder = jax.config.values["jax_compilation_cache_dir"]
    return "not kept: the cache folder cannot be written to" if folder is None else f"in {folder}"
