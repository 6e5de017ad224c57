"""Errors that the user can fix: each is shown as one line, with exit status 2."""

from __future__ import annotations

import re

# These are arguments in the library's messages, for which the command has options.
_ARGUMENT = re.compile(
    r"\((?P<named>out|force|losses|metrics|loss|labels|drop|groups|model|ignore)\)"
    r"|\b(?P<left_out>labels|drop|groups|inputs)=(?= )"
    r"|\binputs=(?P<given>logits|probabilities)\b"
)


class UsageError(Exception):
    """A request that cannot be met; the message says why and what would help."""


def in_options(message: str) -> str:
    """Returns a message of the library with its arguments written as options."""
    return _ARGUMENT.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    if found["named"]:
        return f"(--{found['named']})"
    return f"--{found['left_out']}" if found["left_out"] else f"--inputs {found['given']}"
