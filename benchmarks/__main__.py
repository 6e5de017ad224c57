"""`python -m benchmarks BENCHMARK [--quick] [--out FILE]`: prints a table of ratios."""

import argparse
import importlib
import json
import platform
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table


def main() -> None:
    """Runs one benchmark, prints its table and writes its rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "benchmark",
        choices=(
            *("hierarchy", "linear", "losses", "metrics", "mlp", "numerics", "scaling"),
            "streaming",
        ),
    )
    parser.add_argument(
        "sets", nargs="*", metavar="SET", help="data sets that `linear` and `mlp` fit"
    )
    parser.add_argument(
        "--quick", action="store_true", help="use tiny arrays, to check the harness"
    )
    parser.add_argument("--out", type=Path, help="also write the rows to this JSON file")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.{arguments.benchmark}")
    if arguments.sets and arguments.benchmark not in ("linear", "mlp"):
        parser.error("only the benchmarks `linear` and `mlp` take names of data sets")
    chosen = {"sets": arguments.sets} if arguments.sets else {}
    rows: list[dict[str, Any]] = module.run(quick=arguments.quick, **chosen)
    machine = f"{platform.machine()}, {jax.devices()[0].device_kind}, jax {jax.__version__}"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, title=f"{arguments.benchmark} ({machine})")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=140).print(table)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    main()
