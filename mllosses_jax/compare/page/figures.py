"""Plots as inline SVG whose colours are those of the page, light or dark."""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

from mllosses_jax.compare.page.elements import tag, text

SIZE = (3.7, 2.9)  # inches
# Colours that stand for variables of the style sheet.
_VARIABLES = {
    "#0a0b01": "--text",
    "#0a0b02": "--faint",
    "#0a0b03": "--rule",
    "#0a0b04": "--first",
    "#0a0b05": "--second",
    "#0a0b06": "--third",
}
_TEXT, _FAINT, _RULE, *_CYCLE = _VARIABLES


def drawable() -> bool:
    """Returns whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def figure(
    name: str,
    caption: str,
    description: str,
    draw: Callable[..., object],
    *,
    size: tuple[float, float] = SIZE,
) -> str:
    """Returns a figure, or "" without matplotlib.

    Args:
        name: its id.
        caption: what stands below it.
        description: what it shows, for those who do not see it.
        draw: draws on the Axes that it is given as `ax`.
        size: width and height in inches.
    """
    if not drawable():
        return ""
    picture = _themed(_svg(name, draw, size), name, description)
    return tag("figure", picture + tag("figcaption", text(caption)), id=name)


def plain(name: str) -> str:
    """Returns a name that matplotlib does not take for mathematics."""
    return name.replace("$", r"\$")


def _svg(name: str, draw: Callable[..., object], size: tuple[float, float]) -> str:
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "axes.edgecolor": _FAINT,
        "axes.facecolor": "none",
        "axes.labelcolor": _TEXT,
        "axes.linewidth": 0.6,
        "axes.prop_cycle": cycler(color=_CYCLE),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.dpi": 72,  # units of SVG
        "figure.facecolor": "none",
        "font.size": 8,
        "grid.color": _RULE,
        "grid.linewidth": 0.5,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.color": _TEXT,
        "path.simplify_threshold": 0.3,
        "xtick.color": _FAINT,
        "xtick.labelcolor": _TEXT,
        "xtick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.color": _FAINT,
        "ytick.labelcolor": _TEXT,
        "ytick.major.width": 0.6,
    }
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a browser has glyphs that matplotlib's font lacks
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        drawn = Figure(figsize=size, layout="constrained")
        draw(ax=drawn.subplots())
        file = io.BytesIO()
        # `savefig` would draw twice, once for the layout alone.
        FigureCanvasSVG(drawn).print_svg(file, metadata={"Date": None})
    return file.getvalue().decode()


def _themed(svg: str, name: str, description: str) -> str:
    """Returns an SVG without what a page does not need, with unique ids and the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style .*?</style>", "", svg, flags=re.S)
    [box] = re.findall(r'viewBox="([^"]*)"', svg)
    opening = f'<svg viewBox="{box}" role="img" aria-label="{text(description)}">'
    svg = opening + svg[svg.index(">") + 1 :]
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    svg = re.sub(r' (?:d|x|y|transform|width|height)="[^"]*"', _rounded, svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return re.sub(r">\s+<", "><", svg)


def _rounded(attribute: re.Match[str]) -> str:
    """Returns an attribute with coordinates of one decimal."""
    short = re.sub(
        r"-?\d+\.\d+", lambda m: f"{float(m[0]):.1f}".rstrip("0").rstrip("."), attribute[0]
    )
    return " " + " ".join(short.split())
