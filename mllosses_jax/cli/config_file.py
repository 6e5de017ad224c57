"""The options of a command as a TOML file, so that a run can be repeated and sent on.

A key is an option without its dashes; `data` is the positional argument. Lists stand for values
separated by commas. Options on the command line take precedence.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mllosses_jax._core.text import cut, did_you_mean, shown
from mllosses_jax.cli.errors import UsageError

ABOUT_THE_RUN = (
    "config",
    "resume",
    "force",
    "distributed",
    "help",
)  # options that say how, not what


def with_file(
    arguments: Sequence[str], options: argparse.Namespace, parser: argparse.ArgumentParser
) -> list[str]:
    """Returns the arguments of a command with those of its file before them.

    Args:
        arguments: what was given, of which the first is the command.
        options: the same, parsed; `config` is the file, or `resume` a folder with one.
        parser: the parser of the command.

    Raises:
        UsageError: the file cannot be read, or a key or a value is no option.
    """
    from mllosses_jax.compare.folder import OPTIONS

    path = options.config if options.resume is None else options.resume / OPTIONS
    if options.resume is not None and not path.exists():
        raise UsageError(
            f"{options.resume} holds no run of this command, as {OPTIONS} is not there"
        )
    content = _read(path)
    flags, command = [], list(arguments)
    actions = _actions(parser)
    for key, value in content.items():
        if key == "data":
            if options.data not in command:  # the default was taken, as none was given
                command.append(_text(path, key, value))
            continue
        if key not in actions:
            known = [*actions, "data"]
            raise UsageError(
                f"{path}: {key!r} is no option; known: {', '.join(known)}{did_you_mean(key, known)}"
            )
        if actions[key].nargs == 0:
            if not isinstance(value, bool):
                raise UsageError(f"{path}: {key} must be true or false, got {value!r}")
            flags += [f"--{key}"] * value
        else:
            flags += [f"--{key}={_text(path, key, value)}"]
    if options.resume is not None:
        flags.append(f"--out={options.resume}")
    return [command[0], *flags, *command[1:]]


def text_of(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """Returns the TOML of the data and of all options that differ from their defaults."""
    data = Path(options.data)
    lines = [f"data = {_toml(data.resolve() if data.exists() else options.data)}"]
    for key, action in _actions(parser).items():
        value = getattr(options, action.dest)
        if value not in (action.default, None):
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join([*lines, ""])


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Returns the options that a file may hold, by name."""
    return {
        name.removeprefix("--"): action
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and action.dest not in ABOUT_THE_RUN
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} must be a TOML file: {cut(str(error))}") from None


def _text(path: Path, key: str, value: object) -> str:
    """Returns a value as the command line takes it."""
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(e, str | int | float) and not isinstance(e, bool) for e in entries):
        raise UsageError(f"{path}: {key} must be text, a number or a list, got {shown(value)}")
    return ",".join(map(str, entries))


def _toml(value: object) -> str:
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and lists are written alike
