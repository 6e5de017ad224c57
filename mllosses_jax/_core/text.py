"""Text for messages: safe to show in a terminal, and suggestions for misspelled names."""

from __future__ import annotations

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
