"""Writes what the pages take from the code and from the kept benchmarks: tables and counts.

    python docs/write_tables.py

replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->` in README.md and in `docs/*.md`;
`tests/test_docs.py` fails where a page is not current.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the package of this checkout, whichever is installed

from benchmarks import tables  # noqa: E402
from mllosses_jax import catalogue, metrics  # noqa: E402
from mllosses_jax.compare.checks import CHECKS  # noqa: E402

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def table_of_losses() -> str:
    """Returns the catalogue as a Markdown table."""
    rows = ["| loss | family | unreduced | what it is | reference |", "|---|---|---|---|---|"]
    for entry in catalogue.CATALOGUE:
        rows.append(
            f"| `{entry.name}` | {entry.family} | `{catalogue.UNREDUCED_SHAPE[entry.kind]}` "
            f"| {entry.summary} | {entry.reference} |"
        )
    return "\n\n" + "\n".join(rows) + "\n\n"


def list_of_checks() -> str:
    """Returns a section for each check of a comparison."""
    sections = [
        f"## {check.code}: {check.title}\n\n*{check.kind.capitalize()}.* {check.why}\n\n"
        f"**What to do:** {check.remedy}"
        for check in CHECKS.values()
    ]
    return "\n\n" + "\n\n".join(sections) + "\n\n"


def current(page: str) -> str:
    """Returns the text of a page with everything between markers as it is now."""
    functions = (inspect.unwrap(getattr(metrics, name)) for name in metrics.__all__)
    values = {
        "number of losses": str(len(catalogue.CATALOGUE)),
        "number of families": str(len({entry.family for entry in catalogue.CATALOGUE})),
        "number of metrics": str(sum(map(inspect.isfunction, functions))),
        "table of losses": table_of_losses(),
        "list of checks": list_of_checks(),
        **tables.tables(),
    }
    for name, value in values.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(f"(?<={re.escape(start)}).*?(?={re.escape(end)})", re.DOTALL)
        page = pattern.sub(lambda _, value=value: value, page)
    return page


if __name__ == "__main__":
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if (new := current(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
