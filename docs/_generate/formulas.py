"""Converts formulas of docstrings from their Unicode notation to LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from formula_tokens import (
    ACCENTS,
    FUNCTIONS,
    OPERATORS,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    Token,
    is_text,
    tokens_of,
)

SYMBOLS = {
    "Σ": r"\sum", "Π": r"\prod", "∪": r"\bigcup", "√": r"\sqrt", "∂": r"\partial",
    "∅": r"\emptyset", "∞": r"\infty", "#": r"\#", "…": r"\dots", "...": r"\dots",
    "½": r"\tfrac{1}{2}", "%": r"\%", "ℓ": r"\ell",
}  # fmt: skip
GREEK = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau",
    "φ": r"\varphi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega", "Γ": r"\Gamma", "Δ": r"\Delta",
    "Θ": r"\Theta", "Λ": r"\Lambda", "Φ": r"\Phi", "Ψ": r"\Psi", "Ω": r"\Omega",
}  # fmt: skip
KNOWN_TO_LATEX = {"exp", "log", "max", "min", "tanh"}
BRACKETS = {
    "(": "(", ")": ")", "[": "[", "]": "]", "{": r"\{", "}": r"\}", "⌈": r"\lceil ",
    "⌉": r"\rceil ", "|": "|", "‖": r"\|",
}  # fmt: skip
CLOSING = {"(": ")", "[": "]", "{": "}", "⌈": "⌉"}
SPLITS_TERMS = {"+", "−", "-"}


@dataclass(frozen=True)
class Atom:
    """An item that can have scripts: a letter, name, number, symbol or group, with its scripts."""

    base: Token | Group
    sub: str = ""
    sup: str = ""
    argument: Atom | None = None  # the argument of a function, written without a space

    @property
    def binds(self) -> str:
        """The index of a sum, maximum or mean; empty for everything else."""
        if isinstance(self.base, Group) or self.base.text not in FUNCTIONS | {"Σ", "Π", "∪"}:
            return ""
        found = re.match(r"\(?\s*([A-Za-z])", self.sub)
        return found[1] if found else ""


@dataclass(frozen=True)
class Group:
    """Items in brackets."""

    left: str
    right: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Fraction:
    """One product over another."""

    above: tuple[Item, ...]
    below: tuple[Item, ...]


Item: TypeAlias = "Token | Atom | Fraction"


def latex(text: str) -> str:
    """Returns a line as LaTeX.

    Args:
        text: a formula in the notation of the docstrings.

    Raises:
        ValueError: the line contains a sign that the notation does not have.
    """
    return render(parse(tokens_of(text)))


def parse(tokens: Sequence[Token]) -> list[Item]:
    """Returns the items that tokens form: fractions, and atoms with their scripts."""
    return _Parser(tokens).items()


class _Parser:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def items(self) -> list[Item]:
        """Returns the items that the tokens form."""
        found: list[Item] = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            over = token.kind == "operator" and token.text == "/" and not token.space
            if over and found and isinstance(found[-1], Atom) and self.at + 1 < len(self.tokens):
                self.at += 1
                found[-1] = Fraction((found[-1],), tuple(self._below()))
            elif token.kind in ("word", "verbatim", "punctuation", "operator", "relation"):
                self.at += 1
                found.append(token)
            else:
                found.append(self._atom())
        return _with_spaced_fractions(found)

    def _below(self) -> Iterator[Item]:
        """Yields the denominator of a fraction without spaces: an atom, or a sum and its term."""
        atom = self._atom()
        yield atom
        prefix = isinstance(atom.base, Token) and atom.base.text == "Σ"
        if prefix and self._follows_tightly("letter", "name"):
            yield self._atom()

    def _follows_tightly(self, *kinds: str) -> bool:
        if self.at == len(self.tokens):
            return False
        return self.tokens[self.at].kind in kinds and not self.tokens[self.at].space

    def _atom(self) -> Atom:
        base = self._base()
        sub, sup = "", ""
        argument = None
        while self._follows_tightly("mark", "subscript", "superscript"):
            token = self.tokens[self.at]
            self.at += 1
            if token.kind == "subscript":
                sub += _small(token.text)
            elif token.kind == "superscript":
                sup += SUPERSCRIPTS.get(token.text, "*")
            elif token.text == "_":
                sub += self._script()
            else:
                sup += self._script()
        if isinstance(base, Token) and base.kind in ("letter", "name", "symbol"):
            taken = ("open", "letter", "name") if base.text == "∂" else ("open",)
            argument = self._atom() if self._follows_tightly(*taken) else None
        return Atom(base, sub, sup, argument)

    def _base(self) -> Token | Group:
        token = self.tokens[self.at]
        self.at += 1
        end = None if self._separates(self.at - 1) else self._end_of_group(token)
        if end is None:
            return token
        items = parse(self.tokens[self.at : end])
        self.at = end + 1
        return Group(token.text, self.tokens[end].text, tuple(items))

    def _end_of_group(self, opening: Token) -> int | None:
        """Returns where the group ends that a bracket or bar opens, or None if it opens none."""
        bar = opening.kind == "bar"
        depth = 0
        for at in range(self.at, len(self.tokens) if opening.kind in ("bar", "open") else 0):
            token = self.tokens[at]
            if depth == 0 and bar and token.text == opening.text:
                return None if at == self.at or self._separates(at) else at
            if depth == 0 and token.kind == "close":
                return at if token.text == CLOSING.get(opening.text) else None
            depth += {"open": 1, "close": -1}.get(token.kind, 0)
        return None

    def _separates(self, at: int) -> bool:
        """Returns whether a token is a bar between spaces: "L(x | y)"."""
        after = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
        return (
            self.tokens[at].kind == "bar" and self.tokens[at].space and bool(after and after.space)
        )

    def _script(self) -> str:
        token = self.tokens[self.at]
        self.at += 1
        if token.text in ("−", "-"):
            return "-" + self._script()
        end = self._end_of_group(token)
        if end is not None:
            inside = render(parse(self.tokens[self.at : end]), inline=True)
            subscript = self.tokens[self.at - 2].text == "_"
            self.at = end + 1
            return f"({inside})" if token.text == "(" and subscript else inside
        if token.kind == "name" and set(token.text) <= set("ijklmn"):
            return token.text
        script = _leaf(token)
        if self._follows_tightly("subscript"):
            script += "_" + _braced(_small(self.tokens[self.at].text))
            self.at += 1
        return script


def _small(text: str) -> str:
    signs = [SUBSCRIPTS[sign] if sign in SUBSCRIPTS else f" {RELATIONS[sign]} " for sign in text]
    return "".join(signs)


def _with_spaced_fractions(items: Sequence[Item]) -> list[Item]:
    """Joins the products around each " / " to a fraction."""
    found: list[Item] = []
    term: list[Item] = []
    for at, item in enumerate(items):
        if _ends_term(items, at):
            found += [*_quotient(term), item]
            term = []
        else:
            term.append(item)
    return found + _quotient(term)


def _is_slash(items: Sequence[Item], at: int) -> bool:
    item = items[at] if 0 <= at < len(items) else None
    return isinstance(item, Token) and item.text == "/"


def _ends_term(items: Sequence[Item], at: int) -> bool:
    item = items[at]
    if not isinstance(item, Token):
        return False
    if is_text(item):
        return not _is_slash(items, at - 1) and not _is_slash(items, at + 1)
    return item.kind in ("relation", "punctuation") or item.text in SPLITS_TERMS


def _quotient(term: list[Item]) -> list[Item]:
    at = next((at for at in range(len(term)) if _is_slash(term, at)), 0)
    if not 0 < at < len(term) - 1:
        return term
    above, below = term[:at], term[at + 1 :]
    under = render(below, inline=True)
    bound_below = set(re.findall(r"(?:sum|prod|mean\}|max|min)_\{?([A-Za-z])", under))
    start = 0
    for position, item in enumerate(above):
        # A sum goes before the fraction if the denominator depends on its index.
        index = item.binds if isinstance(item, Atom) else ""
        if index and index not in bound_below and re.search(rf"(?<![A-Za-z\\]){index}\b", under):
            start = position + 1
    return [*above[:start], Fraction(tuple(above[start:]), tuple(below))]


def render(items: Sequence[Item], *, inline: bool = False) -> str:
    """Returns items as LaTeX; `inline` writes fractions with a slash."""
    parts = []
    for at, item in enumerate(items):
        if isinstance(item, Fraction):
            parts.append(_fraction(item, inline=inline))
        elif isinstance(item, Atom):
            parts += [r"\;"] * _is_remark(items, at) + [_atom(item, inline=inline)]
            parts += [r"\,"] * _is_applied(items, at)
        elif is_text(item):
            ends = at == len(items) - 1 or _is_punctuation(items[at + 1])
            left, right = " " * (at > 0), " " * (not ends)
            parts.append(rf"\text{{{left}{item.text}{right}}}")
        else:
            parts.append(_sign(item))
    return " ".join(parts)


def _is_applied(items: Sequence[Item], at: int) -> bool:
    """Returns whether a function is followed by its argument without brackets: "log p"."""
    match items[at : at + 2]:
        case [Atom(Token(kind="name"), argument=None), Fraction() | Atom()]:
            return True
    return False


def _is_remark(items: Sequence[Item], at: int) -> bool:
    """Returns whether brackets follow a value with nothing in between: "y (PAL)"."""
    match items[max(at - 1, 0) : at + 1]:
        case [Fraction() | Atom(Token(kind="letter" | "number")), Atom(Group("("))]:
            return True
    return False


def _is_punctuation(item: Item) -> bool:
    return isinstance(item, Token) and item.kind == "punctuation"


def _sign(token: Token) -> str:
    if token.text == ":":
        return r"\;:\;"
    return OPERATORS.get(token.text) or RELATIONS.get(token.text) or token.text


def _fraction(fraction: Fraction, *, inline: bool) -> str:
    if inline:
        return f"{render(fraction.above, inline=True)} / {render(fraction.below, inline=True)}"
    above, below = (
        render(_without_brackets(part), inline=True) for part in (fraction.above, fraction.below)
    )
    return rf"\frac{{{above}}}{{{below}}}"


def _without_brackets(items: tuple[Item, ...]) -> tuple[Item, ...]:
    match items:
        case (Atom(Group("(", ")", inner), "", "", None),):
            return inner
    return items


def _atom(atom: Atom, *, inline: bool) -> str:
    match atom:
        case Atom(Group("(", ")", (Fraction() as fraction,)), "", "", None) if not inline:
            return _fraction(fraction, inline=False)
        case Atom(Token(text="√"), "", "", Atom(Group(items=items), "", "", None)):
            return rf"\sqrt{{{render(items, inline=inline)}}}"
    base = atom.base
    text = _group(base, inline=inline) if isinstance(base, Group) else _leaf(base)
    if atom.sub:
        text += "_" + _braced(atom.sub)
    if atom.sup:
        text += "^" + _braced(atom.sup)
    match atom.argument:
        case Atom(Group() as group, sub, sup, None):  # keeps its brackets
            text += _group(group, inline=inline)
            text += ("_" + _braced(sub) if sub else "") + ("^" + _braced(sup) if sup else "")
        case Atom() as argument:
            text += " " + _atom(argument, inline=inline)
    return text


def _group(group: Group, *, inline: bool) -> str:
    inside = render(group.items, inline=inline)
    left, right = BRACKETS[group.left], BRACKETS[group.right]
    if group.left in "|‖" or re.search(r"\\frac|\\sum|\\prod", inside):
        return rf"\left{left} {inside} \right{right}"
    return f"{left}{inside}{right}"


def _leaf(token: Token) -> str:
    """Returns a token that can have scripts as LaTeX."""
    text = token.text
    if token.kind == "name":
        return _upright(text)
    if token.kind == "letter":
        letter = GREEK.get(text[0]) or SYMBOLS.get(text[0]) or text[0]
        return f"{ACCENTS[text[1]]}{{{letter}}}" if len(text) > 1 else letter
    if token.kind == "number" and "e" in text:
        digits, exponent = text.split("e")
        power = f"10^{{{exponent}}}"
        return power if digits == "1" else rf"{digits} \cdot {power}"
    if token.kind == "bar":
        return r"\mid" if text == "|" else r"\parallel"
    return SYMBOLS.get(text) or BRACKETS.get(text) or text


def _upright(name: str) -> str:
    if name in KNOWN_TO_LATEX:
        return f"\\{name}"
    command = "text" if "-" in name else "operatorname" if name in FUNCTIONS else "mathrm"
    return rf"\{command}{{{name}}}"


def _braced(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"
