"""Every relative link of the pages leads to a file, and every anchor to a heading."""

import re
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "tests" / "README.md",
]
# These folders of the site are generated; the build of the site checks the links to them.
GENERATED = tuple(ROOT / "docs" / name for name in ("recipes", "reference", "tutorials"))
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def _anchors(page: Path) -> set[str]:
    """Returns the anchors of the headings of a page, as GitHub forms them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = sum(
            re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in anchors
        )
        anchors.add(f"{name}-{number}" if number else name)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_resolve(page):
    text = CODE.sub("``", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        address = urllib.parse.urlsplit(link)
        if address.scheme:
            continue
        target = (page.parent / urllib.parse.unquote(address.path)) if address.path else page
        if any(folder in target.resolve().parents for folder in GENERATED):
            continue
        assert target.exists(), f"{page.name} links to {link}, which does not exist"
        if address.fragment:
            assert address.fragment in _anchors(target), f"{page.name}: no heading {link}"
