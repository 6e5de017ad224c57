"""Text for messages: safe to show in a terminal, and suggestions for misspelled names."""

from __future__ import annotations

import re
from collections.abc import Iterable

# These change the direction of the text that follows, so that it reads as something else.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line breaks


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns text with control characters written as escapes, except those in `keep`.

    Example:
        >>> print(printable("sea\x1b[31m"))
        sea\x1b[31m
    """
    if text.isprintable():
        return text
    import unicodedata  # costs as much as all of this module

    return "".join(
        character.encode("unicode_escape").decode()
        if character not in keep
        and (character in _DIRECTIONS or unicodedata.category(character) in _CONTROL)
        else character
        for character in text
    )


def is_text(text: str) -> bool:
    """Returns whether a file can hold text: it has no lone surrogate (half of a character)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def cut(text: str, length: int = 120) -> str:
    """Returns text cut to a length that fits a one-line message."""
    return text if len(text) <= length else f"{text[:length]}..."


def shown(value: object) -> str:
    """Returns the repr of a value, cut if it is long."""
    length = 60
    start = value[: 2 * length] if isinstance(value, str | bytes | list | tuple) else value
    return cut(repr(start), length)


def did_you_mean(name: str, known: Iterable[str], *, most: int = 1) -> str:
    """Returns the end of a message that suggests the nearest known names, or "" if none is near."""
    import difflib  # only errors need it

    near = difflib.get_close_matches(name, list(known), n=most)
    return f"; did you mean {', '.join(near)}?" if near else ""


def broken(name: str, length: int) -> list[str]:
    """Returns a name over lines of at most some length.

    It is broken before an underscore, a bracket, a plus or a colon, or after a comma or a space,
    and elsewhere only if it must be.

    Example:
        >>> broken("asymmetric_loss(gamma_neg=2, clip=0)", 18)
        ['asymmetric_loss', '(gamma_neg=2,', 'clip=0)']
    """
    lines = [""]
    for piece in re.split(r"(?=[_(+:])|(?<=[ ,])(?! )", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > length:
            lines.append("")
        lines[-1] += piece
    return [
        line[start : start + length].rstrip()
        for line in lines
        for start in range(0, max(len(line.rstrip()), 1), length)
    ]
