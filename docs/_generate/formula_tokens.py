"""Cuts the notation of formulas in docstrings into tokens: words and mathematics."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "word",  # English
    "verbatim",  # in quotes or backticks
    "name",  # several letters, upright in a formula
    "letter",
    "number",
    "symbol",
    "subscript",  # Unicode's small digits and letters
    "superscript",
    "mark",  # introduces a subscript (_) or a superscript (^)
    "operator",
    "relation",
    "open",
    "close",
    "bar",  # opens, closes or separates
    "punctuation",
]


@dataclass(frozen=True)
class Token:
    """A token; `space` says whether there is a space before it."""

    kind: Kind
    text: str
    space: bool


FUNCTIONS = {
    "Var", "argmax", "argmin", "exp", "log", "logit", "max", "mean", "min", "softmax", "softplus",
    "sparsemax", "tanh",
}  # fmt: skip
ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar"}
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₕᵢⱼₖₗₘₙₚₛₜ", "0123456789+-()hijklmnpst", strict=True))
SUPERSCRIPTS = {"²": "2", "³": "3", "⁴": "4", "⁺": "+", "⁻": "-", "ᵀ": r"\top", "'": r"\prime"}
RELATIONS = {
    "=": "=", "≠": r"\neq", "≤": r"\leq", "≥": r"\geq", "<": "<", ">": ">", "∈": r"\in",
    "∉": r"\notin", "⊆": r"\subseteq", "∝": r"\propto", "←": r"\leftarrow",
}  # fmt: skip
OPERATORS = {"+": "+", "±": r"\pm", "−": "-", "-": "-", "·": r"\cdot", "/": "/", "∩": r"\cap"}

_SMALL = f"[{''.join(SUBSCRIPTS)}]"
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("verbatim", r'"[^"]*"|`[^`]*`'),
    ("name", r"\d\.\d-[a-z]+"),
    ("number", r"\d+(?:\.\d+)?(?:e-?\d+)?"),
    ("word", r"(?:[A-Za-z]{2,}\d?(?:-[A-Za-z]+)*|[A-Za-z](?:-[A-Za-z]+)+)(?:'s?)?|[A-Z]\d"),
    ("letter", f"[A-Za-zα-ωΑ-ΟΡΤ-Ωℓ][{''.join(ACCENTS)}]?"),
    ("subscript", f"{_SMALL}+(?:[≤≠∈=]{_SMALL}+)*"),
    ("superscript", f"[{''.join(SUPERSCRIPTS)}*]"),
    ("symbol", r"[ΣΠ∪√∂∅∞#…½%]|\.\.\."),
    ("mark", r"[_^]"),
    ("relation", f"[{''.join(RELATIONS)}]"),
    ("operator", f"[{re.escape(''.join(OPERATORS))}]"),
    ("open", r"[(\[{⌈]"),
    ("close", r"[)\]}⌉]"),
    ("bar", r"[|‖]"),
    ("punctuation", r"[,;:.]"),
)
_ARTICLE_OF = re.compile(r"(?!(?:the|and|is|or|of|in)\b)[A-Za-z]")
_ABBREVIATION = re.compile(r"[A-Z]+\d?(?:-[A-Z])?|[A-Za-z]*[a-z][A-Z][A-Za-z]*")


def tokens_of(text: str) -> list[Token]:
    """Cuts a line into tokens.

    Raises:
        ValueError: the line contains a sign that the notation does not have.
    """
    found: list[Token] = []
    text, at, space = _decomposed(text), 0, False
    while at < len(text):
        if text[at].isspace():
            at, space = at + 1, True
            continue
        for kind, pattern in _PATTERNS:
            match = re.compile(pattern).match(text, at)
            if match:
                found.append(Token(kind, match[0], space))
                at, space = match.end(), False
                break
        else:
            raise ValueError(f"a formula contains {text[at]!r}, which the notation does not have")
    return _with_names(found)


def is_text(token: Token) -> bool:
    """Returns whether a token is set as text."""
    return token.kind in ("word", "verbatim")


def _decomposed(text: str) -> str:
    """Separates hats, tildes and bars from their letters."""
    signs = []
    for sign in text.replace("\u0305", "\u0304"):
        parts = unicodedata.normalize("NFD", sign)
        signs.append(parts if parts[-1] in ACCENTS else sign)
    return "".join(signs)


def _with_names(tokens: Sequence[Token]) -> list[Token]:
    """Distinguishes names in a formula from English words, and the article a from the letter."""
    named = [
        replace(token, kind="name") if token.kind == "word" and _is_name(tokens, at) else token
        for at, token in enumerate(tokens)
    ]
    told = [
        replace(token, kind="word") if _is_article(named, at) else _alone(named, at)
        for at, token in enumerate(named)
    ]
    joined: list[Token] = []
    for token in told:
        if joined and token.kind == joined[-1].kind == "word":
            joined[-1] = replace(joined[-1], text=f"{joined[-1].text} {token.text}")
        else:
            joined.append(token)
    return joined


def _is_name(tokens: Sequence[Token], at: int) -> bool:
    token, after = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else None
    if after and not after.space and after.kind in ("mark", "subscript", "open"):
        return True
    if at and (tokens[at - 1].kind == "mark" or tokens[at - 1].text == "∂"):
        return True
    if token.text in FUNCTIONS:
        return after is not None and (after.kind != "word" or _is_name(tokens, at + 1))
    beside = [tokens[near].kind for near in (at - 1, at + 1) if 0 <= near < len(tokens)]
    in_prose = all(kind in ("word", "punctuation") for kind in beside)  # "TensorFlow, timm"
    return bool(_ABBREVIATION.fullmatch(token.text)) and not in_prose


def _is_article(tokens: Sequence[Token], at: int) -> bool:
    if tokens[at].text not in ("a", "A") or at + 1 == len(tokens):
        return False
    return tokens[at + 1].kind == "word" and bool(_ARTICLE_OF.match(tokens[at + 1].text))


def _alone(tokens: Sequence[Token], at: int) -> Token:
    """Returns a single word next to an operator as the name of a quantity: "margin − x"."""
    token = tokens[at]
    beside = [tokens[near] for near in (at - 1, at + 1) if 0 <= near < len(tokens)]
    if token.kind != "word" or any(is_text(other) for other in beside):
        return token
    operated = any(other.kind in ("operator", "relation") for other in beside)
    signed = at + 2 < len(tokens) and tokens[at + 1].space and not tokens[at + 2].space
    if signed:  # "else −1"
        return token
    return replace(token, kind="name") if operated else token
