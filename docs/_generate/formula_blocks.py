"""Renders the formula section of a docstring as HTML: aligned rows, tables of cases, and prose."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Literal

from formula_tokens import Token, is_text, tokens_of
from formulas import Item, parse, render
from latex2mathml.converter import convert

WRAPPED_AT = 92  # width at which docstrings wrap, less the indentation of a section
LONG = 48  # a longer row is broken at each of its equals signs
FEW_WORDS, MANY_WORDS = 3, 6  # A line with more is prose; a line that begins "x = " may have many.
_CASE = re.compile(r'("[^"]*":?|[a-z][a-z -]*:?)\s{2,}(?=\S)')


def section_html(text: str) -> str:
    """Returns a formula section as HTML that Markdown passes through.

    Args:
        text: the body of the section, without its indentation.

    Raises:
        ValueError: a line contains a sign that the notation does not have.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    parts = []
    for kind, group in groupby(_joined(_unwrapped(lines)), key=_kind):
        parts.append({"cases": _table, "prose": _prose, "rows": _rows}[kind](list(group)))
    return "\n\n".join(parts)


def _unwrapped(lines: Sequence[str]) -> list[str]:
    """Joins the lines that are separate only because of the width of the docstring."""
    joined: list[str] = []
    before = ""
    for line in lines:
        first = line.split(maxsplit=1)[0]
        full = len(before) + len(first) >= WRAPPED_AT and not _is_case(line)
        if joined and (full or (_runs_on(joined[-1]) and not _begins_anew(line))):
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
        before = line
    return joined


def _runs_on(line: str) -> bool:
    """Returns whether a line of prose ends before its sentence does."""
    return _kind(line) == "prose" and bool(re.search(r"([a-z]{2,}|[,;])$", line))


def _begins_anew(line: str) -> bool:
    """Returns whether a line begins a definition or a case."""
    return _is_case(line) or _begins_statement(parse(tokens_of(line)))


def _is_case(line: str) -> bool:
    return bool(_CASE.match(line)) or line.startswith(" ")


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Joins indented lines to the line that they continue, with a line break."""
    current = ""
    for line in lines:
        if line.startswith(" ") and current:
            current += "\n" + line.strip()
        else:
            if current:
                yield current
            current = line
    if current:
        yield current


def _kind(line: str) -> str:
    if _CASE.match(line):
        return "cases"
    if '{"' in line or "`" in line or ". " in line:
        return "prose"
    words = sum(len(token.text.split()) for token in tokens_of(line) if token.kind == "word")
    most = MANY_WORDS if _begins_statement(parse(tokens_of(line))) else FEW_WORDS
    return "prose" if words > most else "rows"


def _table(lines: Sequence[str]) -> str:
    rows = []
    for line in lines:
        head, *cells = re.split(r"\s{2,}", line.replace("\n", " "))
        cells = [f"<td>{_inline(cell)}</td>" for cell in cells]
        head = html.escape(head.strip(":").replace('"', ""), quote=False)
        rows.append(f'<tr><th scope="row">{head}</th>{"".join(cells)}</tr>')
    return f'<table class="formula-cases">{"".join(rows)}</table>'


def _prose(lines: Sequence[str]) -> str:
    return "\n".join(f'<p class="formula-prose">{_inline(line)}</p>' for line in lines)


def _rows(lines: Sequence[str]) -> str:
    rows = [row for line in lines for row in _aligned(line)]
    body = r" \\ ".join(rows)
    latex = rf"\begin{{align*}} {body} \end{{align*}}"
    return f'<div class="formula" tabindex="0">{_mathml(latex, display="block")}</div>'


def _aligned(line: str) -> Iterator[str]:
    """Yields the rows of a line, each with its first relation marked for alignment."""
    for number, part in enumerate(line.split("\n")):
        for statement in _statements(parse(tokens_of(part))):
            if number:
                yield rf"& \quad {render(statement)}"
            else:
                yield from _broken(statement, long=len(part) > LONG)


def _statements(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Separates "y = f(x), x = g(z)" at the commas that end a statement."""
    current: list[Item] = []
    for at, item in enumerate(items):
        comma = isinstance(item, Token) and item.text in (",", ";")
        if comma and _begins_statement(items[at + 1 :]):
            yield [*current, item]
            current = []
        else:
            current.append(item)
    yield current


def _begins_statement(items: Sequence[Item]) -> bool:
    for at, item in enumerate(items):
        if isinstance(item, Token) and is_text(item):
            return at == 0 and item.text == "with"
        if isinstance(item, Token) and item.kind == "punctuation":
            return False
        if isinstance(item, Token) and item.kind == "relation":
            return item.text in "=←∝"
    return False


def _broken(items: list[Item], *, long: bool) -> Iterator[str]:
    if isinstance(items[0], Token) and is_text(items[0]):
        yield f"& {render(items)}"
        return
    cuts: list[int] = []
    for at, item in enumerate(items):
        if isinstance(item, Token) and is_text(item):
            break
        if isinstance(item, Token) and item.kind == "relation" and (long or not cuts):
            cuts.append(at)
    cuts = [*(cuts or [0]), len(items)]
    for number, (start, end) in enumerate(pairwise(cuts)):
        left = render(items[:start]) if number == 0 else ""
        yield f"{left} & {render(items[start:end])}"


def _inline(text: str) -> str:
    """Returns prose as HTML, with the mathematics in it as MathML."""
    if '{"' in text:
        return _escaped(text)
    text = text.replace("\n", " ")
    pieces: list[str] = []
    tokens = tokens_of(text)
    for is_prose, group in groupby(_placed(tokens), key=lambda placed: placed[1]):
        run = [token for token, _ in group]
        space = " " if run[0].space else ""
        if is_prose:
            pieces += [f"{' ' * token.space}{_escaped(token.text)}" for token in run]
        else:
            pieces.append(space + _mathml(render(parse(run)), display="inline"))
    return "".join(pieces)


def _placed(tokens: Sequence[Token]) -> Iterator[tuple[Token, bool]]:
    """Yields each token with whether it is prose: words and punctuation outside brackets."""
    end = -1
    asides: list[int] = []
    for at, token in enumerate(tokens):
        if at > end and token.kind == "open":
            if _is_aside(tokens, at):
                asides.append(_closing(tokens, at))
            else:
                end = _closing(tokens, at)
        prose = is_text(token) or token.kind == "punctuation"
        bracket = token.kind == "open" or at in asides
        yield token, at > end and (prose or bracket)


def _is_aside(tokens: Sequence[Token], at: int) -> bool:
    """Returns whether a bracket opens a remark: a word follows, and no formula leads to it."""
    if not at or not tokens[at].space or tokens[at - 1].kind in ("operator", "relation"):
        return False
    return tokens[at].text == "(" and at + 1 < len(tokens) and is_text(tokens[at + 1])


def _closing(tokens: Sequence[Token], start: int) -> int:
    """Returns the position at which a bracket is closed, or the end if it never is."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += {"open": 1, "close": -1}.get(tokens[at].kind, 0)
        if depth == 0:
            return at
    return len(tokens)


def _escaped(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped)


def _mathml(latex: str, *, display: Literal["block", "inline"]) -> str:
    """Returns LaTeX as MathML that Markdown passes through, with each name in one piece."""
    mathml: str = convert(latex, display=display)
    mathml = re.sub(
        r'<mrow>((?:<mi mathvariant="normal">\w</mi>){2,})</mrow>',
        lambda letters: f"<mi>{re.sub('<.*?>', '', letters[1])}</mi>",
        mathml,
    )
    mathml = re.sub(r"<mo(?: [^>]*)?>([A-Za-z]{2,})</mo>", r"<mi>\1</mi>", mathml)
    # A minus that follows another operator is a prefix, and takes no space.
    mathml = re.sub(
        r"(<mo(?: [^>]*)?>(?!&#x00029;|&#x0005D;|&#x0007C;|&#x0007D;)[^<]*</mo>)<mo>&#x02212;</mo>",
        r'\1<mo form="prefix">&#x02212;</mo>',
        mathml,
    )
    return re.sub(r"[*_`\[\]]", lambda sign: f"&#{ord(sign[0])};", mathml)
