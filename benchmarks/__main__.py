"""`python -m benchmarks NAME ... [--quick] [--out FOLDER]`: prints tables of ratios."""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.timing import keep_memory

# The benchmarks, each with the keyword for the names of what it measures, if it takes any.
BENCHMARKS = {
    "grid": "",
    "guarantees": "",
    "heads": "",
    "hierarchy": "",
    "intervals": "",
    "large_steps": "",
    "linear": "sets",
    "linear_head": "losses",
    "losses": "losses",
    "metrics": "",
    "mlp": "sets",
    "numerics": "",
    "overhead": "losses",
    "own_model": "sets",
    "scaling": "",
    "streaming": "",
    "whole_command": "",
    "worked_heads": "",
}


def main() -> None:
    """Runs the named benchmarks, prints their tables and writes their rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help=f"one or more of {', '.join(BENCHMARKS)}; then what they measure, if not all: "
        "data sets for `linear`, `mlp` and `own_model`, losses for `linear_head`, `losses` and "
        "`overhead`",
    )
    parser.add_argument(
        "--quick", action="store_true", help="use tiny arrays, to check the harness"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write the rows to BENCHMARK-PLATFORM.json"
    )
    arguments = parser.parse_args()
    benchmarks = [name for name in arguments.names if name in BENCHMARKS]
    chosen = [name for name in arguments.names if name not in BENCHMARKS]
    if not benchmarks:
        parser.error(f"no benchmark among {arguments.names}; there are {', '.join(BENCHMARKS)}")
    for benchmark in benchmarks:
        if chosen and not BENCHMARKS[benchmark]:
            parser.error(f"the benchmark {benchmark!r} takes no names, but {chosen} are given")
    keep_memory()
    for benchmark in benchmarks:
        _run(benchmark, chosen, arguments.quick, arguments.out)


def _run(benchmark: str, chosen: list[str], quick: bool, out: Path | None) -> None:
    module = importlib.import_module(f"benchmarks.{benchmark}")
    selection = {BENCHMARKS[benchmark]: chosen} if chosen else {}
    rows: list[dict[str, Any]] = module.run(quick=quick, **selection)
    where = machine()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    title = f"{benchmark} ({where['device']}, {where['cores']} cores, jax {where['jax']})"
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=180).print(table)
    if hasattr(module, "report"):
        print(module.report(rows))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"{benchmark}-{where['platform']}.json"
        file.write_text(_as_json(where, rows), encoding="utf-8")


def _as_json(where: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """Returns one line per row, so that a change of figures is a change of lines."""
    lines = ",\n".join("  " + json.dumps(_rounded(row)) for row in rows)
    return f'{{"machine": {json.dumps(where)},\n "rows": [\n{lines}\n]}}\n'


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with three digits of each figure, which is more than a run repeats."""
    return {
        key: float(f"{value:.3g}") if isinstance(value, float) else value
        for key, value in row.items()
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    main()
