"""The command line: `mllosses compare | show | predict | list | describe | check | ...`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mllosses_jax import __version__
from mllosses_jax._core.text import did_you_mean, printable, shown
from mllosses_jax.cli import (
    calibrate,
    check,
    compare,
    compilation,
    config_file,
    describe,
    doctor,
    evaluate,
    listing,
    predict,
    show,
    tune,
)
from mllosses_jax.cli.errors import UsageError, in_options
from mllosses_jax.compare.errors import ComparisonError

OK, USAGE, INTERRUPTED = 0, 2, 130
COMMANDS = (compare, show, predict, listing, describe, check, evaluate, tune, calibrate, doctor)


class _Parser(argparse.ArgumentParser):
    """A parser, also of a sub-command, that takes no flag by its prefix."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses what is not known at once, while this parser knows its flags."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            flags = [name for name in self._option_string_actions if name.startswith("--")]
            self.error(f"unrecognized argument {shown(unknown[0])}{did_you_mean(flag, flags)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Reports the problem in one line; argparse would print the usage before it."""
        raise UsageError(f"{message} (`{self.prog} --help` shows what it takes)")


def main(arguments: Sequence[str] | None = None, *, program: str = "mllosses") -> int:
    """Runs a sub-command and returns its exit status.

    Args:
        arguments: the arguments after `mllosses`; None takes them from the command line.
        program: the name by which the command was called, for its help.

    Returns:
        0; 2 if the user has something to fix, which one line on stderr explains; 130 if the user
        interrupted.
    """
    from mllosses_jax.data import DataError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack Greek letters
            stream.reconfigure(errors="replace")
    options = argparse.Namespace()
    try:
        options = _options(program, sys.argv[1:] if arguments is None else arguments)
        compilation.keep()
        options.run(options)
        sys.stdout.flush()
    except (UsageError, DataError, ComparisonError) as error:
        message = in_options(" ".join(str(error).split()))
        print(f"mllosses: {printable(message)}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        resumes = getattr(options, "run", None) is compare.run
        then = "; run the same command again to resume" if resumes else ""
        print(f"mllosses: interrupted{then}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # such as `mllosses list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # such as a full disk
        place = f"{error.filename}: " if error.filename else ""
        print(f"mllosses: {printable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        return USAGE
    return OK


def _options(program: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the parsed arguments, with those of a configuration file if one is given."""
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if getattr(options, "config", None) is None and getattr(options, "resume", None) is None:
        return options
    return parser.parse_args(config_file.with_file(arguments, options, options.parser))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=program, description="Losses for multi-label learning in JAX.")
    parser.add_argument("--version", action="version", version=f"mllosses {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
