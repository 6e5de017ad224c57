"""Text for messages: safe to show in a terminal, and suggestions for misspelled names; lists."""

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


def with_commas(names: Iterable[str]) -> str:
    """Returns names separated by commas, as `from_commas` reads them.

    A name with a comma or a quotation mark stands in quotation marks, as in a CSV file.

    Example:
        >>> print(with_commas(["sea", "sand, dry"]))
        sea,"sand, dry"
    """
    import csv  # only lists of columns need it
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def from_commas(text: str) -> list[str]:
    """Returns names that are separated by commas.

    Example:
        >>> from_commas('sea, "sand, dry"')
        ['sea', 'sand, dry']
    """
    import csv

    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""])]


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
