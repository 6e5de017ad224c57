"""What is the user's to mend: shown as one line, with exit status 2."""

from __future__ import annotations


class UsageError(Exception):
    """A request that cannot be met; the message says why and what would help."""
