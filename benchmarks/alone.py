"""Runs a benchmark in a process of its own, so that its peak of resident memory is its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def alone(module: str, *arguments: object) -> dict[str, Any]:
    """Returns the row that `python -m MODULE ARGUMENTS ...` prints as JSON."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def peak_gib() -> float:
    """Returns the most memory that this process has held, with Python and all libraries.

    It is the figure of Linux for this program. That of `resource.getrusage` starts from the memory
    of the process that has started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20
