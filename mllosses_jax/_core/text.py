"""Text of messages: from files as a terminal can show it, and what a misspelled name may mean."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# They turn the direction of what follows, so that it reads as something else.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, breaks of lines


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns text whose control characters, save those to keep, are written as escapes.

    Example:
        >>> print(printable("sea\x1b[31m"))
        sea\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if character not in keep
        and (character in _DIRECTIONS or unicodedata.category(character) in _CONTROL)
        else character
        for character in text
    )


def is_text(text: str) -> bool:
    """Whether a file can hold text: it has no half of a character (a lone surrogate)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def cut(text: str, length: int = 120) -> str:
    """Returns text cut where it is long: messages are one line."""
    return text if len(text) <= length else f"{text[:length]}..."


def shown(value: object) -> str:
    """Returns a value as Python writes it, cut where it is long."""
    length = 60
    start = value[: 2 * length] if isinstance(value, str | bytes | list | tuple) else value
    return cut(repr(start), length)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns the end of a message that says which known name is meant, "" if none is near."""
    import difflib  # only errors need it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
