"""What is the user's to mend: shown as one line, with exit status 2."""

from __future__ import annotations

import re

# Arguments as the library's messages name them, which are options here.
_ARGUMENT = re.compile(r"\((out|force|losses|labels|model)\)|\blabels=(?= )")


class UsageError(Exception):
    """A request that cannot be met; the message says why and what would help."""


def in_options(message: str) -> str:
    """Returns a message of the library with its arguments as options."""
    return _ARGUMENT.sub(lambda found: f"(--{found[1]})" if found[1] else "--labels", message)
