"""What is the user's to mend: shown as one line, with exit status 2."""


class UsageError(Exception):
    """A request that cannot be met; the message says why and what would help."""
