"""Takes the picture of a report that README.md and the site show.

    mllosses compare --out results && python docs/picture_of_report.py results

opens the report in Chromium (with the extra `browser`) and writes docs/report.png.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "report.png"


def main() -> None:
    """Takes the picture of the report in the folder that the command line names."""
    address = (Path(sys.argv[1]) / "report.html").resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme="light")
        page.goto(f"{address}#losses")
        page.select_option("[data-kinds=losses-table]", "tuned")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
