"""Errors that the caller can fix."""

from __future__ import annotations


class ComparisonError(ValueError):
    """An error for a comparison that cannot be made; one line says why and what would help.

    Arguments of `compare` are named in brackets, as in "choose another folder (out)".
    """
