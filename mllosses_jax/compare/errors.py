"""What is the caller's to mend."""

from __future__ import annotations


class ComparisonError(ValueError):
    """A comparison that cannot be made; one line says why and what would help.

    Where it names an argument of `compare`, it does so in brackets: "choose another folder (out)".
    """
