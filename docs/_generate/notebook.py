"""Converts notebooks to Markdown, with their stored outputs."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any


def markdown(path: Path) -> tuple[str, dict[str, bytes]]:
    """Returns a notebook as Markdown, and its figures by file name."""
    parts: list[str] = []
    figures: dict[str, bytes] = {}
    heading = path.stem
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            heading = ([heading, *re.findall(r"^#+ (.*)", source, re.MULTILINE)])[-1]
            continue
        parts.append(f"```python\n{source}\n```")
        for output in _merged(cell["outputs"]):
            picture = output.get("data", {}).get("image/png")
            if picture:
                name = f"{path.stem}_{len(figures) + 1}.png"
                figures[name] = base64.b64decode(picture)
                parts.append(figure(f"../figures/{name}", f"Figure: {heading}"))
            elif _text(output):
                parts.append(f"```{{ .text .output }}\n{_text(output)}\n```")
    return "\n\n".join(parts), figures


def figure(address: str, said: str) -> str:
    """Returns the HTML of a picture, which scrolls if the page is narrow.

    Args:
        address: the address of the file, relative to the built page.
        said: the alternative text of the picture.
    """
    said = html.escape(said.replace("`", ""))
    picture = f'<img src="{address}" loading="lazy" alt="{said}">'
    return f'<div class="figure" tabindex="0">{picture}</div>'


def _merged(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins printed outputs that have no picture between them."""
    merged: list[dict[str, Any]] = []
    for output in outputs:
        if merged and output["output_type"] == merged[-1]["output_type"] == "stream":
            merged[-1] = {**output, "text": _text(merged[-1]) + "\n" + _text(output)}
        else:
            merged.append(output)
    return merged


def _text(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain") or ""
    return "".join(text).rstrip()
