"""Hooks of MkDocs for building the site: generated pages, the navigation, and checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import docstrings  # noqa: F401  # griffe finds its extension among the modules
import notebook
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
FIRST = ("index", "quickstart")  # in each folder; the other pages follow by name
MOVED = (  # the places on the site of files outside docs/
    (r"\.\./README\.md", "index.md"),
    (r"\.\./CHANGELOG\.md", "changelog.md"),
    (r"\.\./notebooks/(\w+)\.ipynb", r"tutorials/\1.md"),
    (r"\.\./recipes/(\w+)\.py", r"recipes/\1.md"),
)
_LINK = re.compile(r"\[([^\]\[]*(?:\[[^\]]*\])?[^\]\[]*)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_LOADED = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?(?:https?:)?//[^>]*>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, and completes the navigation."""
    for path, content in _generated().items():
        files.append(File.generated(config, path, content=content))
    pages = [file.src_uri for file in files.documentation_pages()]
    config.nav = _expanded(config.nav, pages, named=set(_named(config.nav)))
    return files


def _generated() -> dict[str, str | bytes]:
    found: dict[str, str | bytes] = {page.path: page.markdown for page in reference.pages()}
    for name, picture in reference.pictures().items():
        found[f"reference/losses/pictures/{name}.png"] = picture
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[f"tutorials/{path.stem}.md"], figures = notebook.markdown(path)
        found |= {f"tutorials/figures/{name}": figure for name, figure in figures.items()}
    for path in sorted((ROOT / "recipes").glob("*.py")):
        title = path.stem.replace("_", " ").capitalize()
        code = path.read_text(encoding="utf-8")
        found[f"recipes/{path.stem}.md"] = f"# {title}\n\n```python\n{code}```\n"
    found["changelog.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return found


def _named(nav: Any) -> list[str]:
    """Returns the pages that the navigation names individually."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in _named(entry)]


def _expanded(nav: Any, pages: list[str], named: set[str]) -> Any:
    """Replaces the name of a folder by its pages, and "*" by the remaining pages of docs/."""
    if isinstance(nav, dict):
        return {title: _expanded(entry, pages, named) for title, entry in nav.items()}
    if not isinstance(nav, list):
        return nav
    found: list[Any] = []
    for entry in nav:
        if entry == "*":
            found += [page for page in sorted(pages) if "/" not in page and page not in named]
        elif isinstance(entry, str) and entry.endswith("/"):
            inside = [page for page in pages if page.startswith(entry) and page not in named]
            inside = [page for page in inside if "/" not in page.removeprefix(entry)]
            found += sorted(inside, key=lambda page: (Path(page).stem not in FIRST, page))
        else:
            found.append(_expanded(entry, pages, named))
    return found


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turns links to files outside docs/ into links to their pages, or to the repository."""
    depth = page.file.src_uri.count("/")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = project.get("urls", {})
    repository = source.get("Repository") or source.get("Source")

    def moved(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        for pattern, place in MOVED:
            at = re.fullmatch(rf"(?:\.\./){{{depth}}}{pattern}", target)
            if at:
                return f"[{text}]({'../' * depth}{at.expand(place)}{anchor})"
        if not target.startswith("../" * (depth + 1)):
            return match[0]
        path = target.removeprefix("../" * (depth + 1))
        return f"[{text}]({repository}/blob/main/{path}{anchor})" if repository else text

    return _LINK.sub(moved, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Raises if a public name is missing or if a page loads something from the network."""
    site = Path(config.site_dir)
    for page in reference.pages():
        built = site / page.path.removesuffix("index.md").removesuffix(".md") / "index.html"
        ids = set(re.findall(r'id="([^"]+)"', built.read_text(encoding="utf-8")))
        missing = set(page.objects) - ids
        if missing:
            raise PluginError(f"{page.path} lacks {', '.join(sorted(missing))}")
    for path in site.rglob("*.html"):
        loaded = [
            tag
            for tag in _LOADED.findall(path.read_text(encoding="utf-8"))
            if 'rel="canonical"' not in tag
        ]
        if loaded:
            raise PluginError(f"{path.relative_to(site)} loads from the network: {loaded[0]}")
