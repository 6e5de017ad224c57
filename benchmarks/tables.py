"""Makes the tables of docs/speed.md from the kept runs of benchmarks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import goals

RESULTS = Path(__file__).parent / "results"

Row = Mapping[str, Any]


def tables() -> dict[str, str]:
    """Returns Markdown by the name of the marker that it stands between."""
    losses, metrics = _kept("losses"), _kept("metrics")
    heads, large, worked = _kept("heads"), _kept("large_steps"), _kept("worked_heads")
    rows = {(row["loss"], row["setting"]): row for row in losses["rows"]}
    names = list(dict.fromkeys(row["loss"] for row in losses["rows"]))
    return {
        "machine of loss times": _machine(losses["machine"]),
        "table of loss times": _times([rows[name, goals.MAIN] for name in names]),
        "table of loss ratios": _ratios(names, rows),
        "machine of metric times": _machine(metrics["machine"]),
        "table of metric ratios": _metrics(metrics["rows"]),
        "machine of head times": _machine(heads["machine"]),
        "table of head times": _head_times(heads["rows"]),
        "table of head memory": _head_memory(heads["rows"]),
        "machine of large steps": _machine(large["machine"]),
        "table of large steps": _large_steps(large["rows"]),
        "machine of worked heads": _machine(worked["machine"]),
        "table of worked heads": _worked_heads(worked["rows"]),
    }


def _kept(benchmark: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        (RESULTS / f"{benchmark}-cpu.json").read_text(encoding="utf-8")
    )
    return result


def _machine(machine: Mapping[str, str]) -> str:
    libraries = {
        "mllosses-jax": "mllosses_jax",
        "jax": "jax",
        "optax": "optax",
        "rax": "rax",
        "torch": "PyTorch",
        "scikit-learn": "scikit-learn",
    }
    versions = [f"{title} {machine[key]}" for key, title in libraries.items() if key in machine]
    return f"{machine['device']}, {machine['cores']} cores, {', '.join(versions)}"


def _times(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        goal = goals.PASSES.get(row["loss"])
        lines.append(
            [
                f"`{row['loss']}`",
                _figure(row["ours"]),
                "" if goal is None else f"{goal:g}",
                _figure(row["straight"] / row["ours"]),
                _fastest(row, ("optax", "rax")),
                _fastest(row, ("torch", "torch.compile")),
                f"{row['compile s ours']:.2f}",
                _figure(row["compile s ours"] / row["compile s straight"]),
                f"{row['temporaries ours']:.1f}",
            ]
        )
    head = "loss|passes|goal|straight / ours|optax, rax / ours|PyTorch / ours"
    return _table(f"{head}|compile, s|ours / straight|temporaries", lines)


def _ratios(losses: Sequence[str], rows: Mapping[tuple[str, str], Row]) -> str:
    settings = list(dict.fromkeys(setting for _, setting in rows))
    lines = []
    for name in losses:
        found = [rows.get((name, setting)) for setting in settings]
        cells = ["" if row is None else _figure(row["straight"] / row["ours"]) for row in found]
        lines.append([f"`{name}`", *cells])
    return _table("|".join(["straight / ours", *settings]), lines)


def _metrics(rows: Sequence[Row]) -> str:
    ratios: dict[str, dict[str, str]] = {}
    for row in rows:
        ratios.setdefault(f"{row['name']}, {row['shape']}", {})[row["path"]] = _figure(
            row["x scikit-learn"]
        )
    lines = [[name, of.get("host", ""), of.get("traced", "")] for name, of in ratios.items()]
    return _table("scikit-learn / ours|on the host|inside `jit`", lines)


def _head_times(rows: Sequence[Row]) -> str:
    timed = [row for row in rows if "ms" in row]
    unit = timed[0]["what"]  # the products, in whose time the others are measured
    found: dict[str, list[Row]] = {}
    for row in timed:
        found.setdefault(row["what"], []).append(row)
    sizes = [f"{row['labels']:,} x {row['features']}" for row in found[unit]]
    lines = [[unit, "3", *(f"{row['ms']:,.0f} ms" for row in found.pop(unit))]]
    for what, of in found.items():
        cells = [_figure(row["of the products"]) for row in of]
        lines.append([what, str(of[0]["matrix products"]), *cells])
    return _table("|".join(["what", "products", *sizes]), lines)


def _head_memory(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["what"],
            f"{row['labels']:,} x {row['features']}",
            f"{row['temporary MiB']:.1f}",
            f"{row['bytes per parameter']:.2f}",
        ]
        for row in rows
        if "bytes per parameter" in row
    ]
    return _table("what|labels x features|temporary arrays, MiB|bytes per parameter", lines)


def _large_steps(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['labels']:,} x {row['features']}, {row['kernel']}",
            str(row["batch"]),
            *(f"{row[key]:.1f}" for key in ("weights, GiB", "peak, GiB")),
            *(f"{row[key]:.0f}" for key in ("start, s", "first step, s", "step, s")),
        ]
        for row in rows
    ]
    return _table("head|batch|weights, GiB|peak, GiB|start, s|first step, s|next step, s", lines)


def _worked_heads(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['set']}, {row['labels']:,} labels",
            row["by"],
            *(f"{row[f'P@{k}']:.3f}" for k in (1, 3, 5)),
            *(f"{row[key]:.3g}" if key in row else "" for key in ("first loss", "last loss")),
            str(row.get("steps", "")),
            *(f"{row[key]:.3g}" if key in row else "" for key in ("s", "peak, GiB")),
        ]
        for row in rows
    ]
    return _table("set|by|P@1|P@3|P@5|first loss|last loss|steps|s|peak, GiB", lines)


def _fastest(row: Row, implementations: Sequence[str]) -> str:
    """Returns the least time of some implementations over ours."""
    times = [row[implementation] for implementation in implementations if implementation in row]
    return _figure(min(times) / row["ours"]) if times else ""


def _figure(number: float) -> str:
    """Returns two digits."""
    return (
        f"{number:.0f}" if number >= 9.95 else f"{number:.1f}" if number >= 2 else f"{number:.2f}"
    )


def _table(head: str, lines: Sequence[Sequence[str]]) -> str:
    titles = head.split("|")
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n"
