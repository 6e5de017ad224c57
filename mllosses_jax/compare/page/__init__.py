"""The page of a comparison: one HTML file that needs no network.

- `whole`: the whole page, and the compact table for notebooks.
- `verdict`, `losses`, `findings`, `labels`, `data`, `run_details`: its tabs.
- `elements`: tables, code to copy and other parts that tabs share; `figures`: plots as inline SVG.

`page.html` is the frame, `page.css` the style and `page.js` what moves.
"""

from __future__ import annotations
