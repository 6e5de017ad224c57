"""Prints the lowest version of each dependency that pyproject.toml allows, as pip constraints."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
groups = [project["dependencies"], *project["optional-dependencies"].values()]
for requirement in sorted({requirement for group in groups for requirement in group}):
    if requirement.startswith(f"{project['name']}["):
        continue
    lowest = requirement.split(",<")[0]
    if lowest.count(">=") != 1 or "," in lowest:
        raise SystemExit(f"{requirement}: dependencies must be written as NAME>=VERSION[,<VERSION]")
    print(lowest.replace(">=", "=="))
