"""Rules checked on the source: who may import whom, maps of folders and lengths of files.

Each rule is a function of a folder, so that it can be seen to fail on small broken trees as well.
"""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mllosses_jax"
LONGEST = 400

# What each module or package directly below mllosses_jax may import; "__init__" is the package
# itself.
EVERYTHING = {
    "_core",
    "calibration",
    "catalogue",
    "data",
    "decisions",
    "heads",
    "labels",
    "losses",
    "metrics",
    "plots",
    "pseudo_labels",
    "training",
    "weighting",
}
MAY_IMPORT = {
    "_core": set(),
    **{part: {"_core"} for part in EVERYTHING - {"_core", "catalogue"}},
    "catalogue": {"_core", "losses"},
    "heads": {"_core", "catalogue", "losses", "metrics"},  # the catalogue says what is separable
    "plots": {"_core", "metrics"},
    "pseudo_labels": {"_core", "losses"},  # loss families define their corrections
    "compare": (EVERYTHING | {"__init__"}) - {"labels", "pseudo_labels", "training"},
    "cli": EVERYTHING | {"__init__", "compare"},
    "__init__": EVERYTHING,
    "__main__": {"cli"},
}
# Packages whose docstrings list their modules, and packages whose docstrings list their exports.
MAPS_OF_MODULES = (
    "benchmarks",
    "mllosses_jax",
    "mllosses_jax/_core",
    "mllosses_jax/cli",
    "mllosses_jax/compare",
    "mllosses_jax/compare/checks",
    "mllosses_jax/compare/large",
    "mllosses_jax/data",
    "mllosses_jax/training",
)
MAPS_OF_NAMES = (
    "mllosses_jax/decisions",
    "mllosses_jax/heads",
    "mllosses_jax/metrics",
    "mllosses_jax/plots",
    "mllosses_jax/weighting",
)


def read(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(tree):
    """Returns the dotted names that a syntax tree imports, at any depth."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def at_once(tree):
    """Returns the dotted names that a module imports at load time, except those for types only."""
    found, nodes = [], list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += imported(node)
        else:
            nodes += ast.iter_child_nodes(node)
    return found


def module_of(package, file):
    """Returns the dotted name of a file of a package."""
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(package, name):
    """Returns the part of a package that contains a dotted name, or None if it is elsewhere."""
    parts = name.split(".")
    if parts[0] != package.name:
        return None
    is_part = len(parts) > 1 and (
        (package / parts[1]).is_dir() or (package / f"{parts[1]}.py").is_file()
    )
    return parts[1] if is_part else "__init__"


def wrong_arrows(package):
    """Returns the imports that `MAY_IMPORT` does not allow."""
    found = []
    for file in sorted(package.rglob("*.py")):
        room = room_of(package, module_of(package, file))
        targets = {room_of(package, name) for name in imported(read(file))}
        allowed = MAY_IMPORT.get(room, set()) | {room, None}
        found += [
            f"{file.relative_to(package)} imports {t}" for t in sorted(targets - allowed, key=str)
        ]
    return found


def families_that_know_others(package):
    """Returns the imports of public loss modules by other loss modules."""
    found = []
    for file in sorted((package / "losses").glob("*.py")):
        if file.stem == "__init__":
            continue
        prefix = f"{package.name}.losses."
        names = [n.removeprefix(prefix) for n in imported(read(file)) if n.startswith(prefix)]
        others = {name.split(".")[0] for name in names} - {file.stem}
        found += [f"{file.name} imports {o}" for o in sorted(others) if not o.startswith("_")]
    return found


def circle(package):
    """Returns modules that import each other in a circle at load time, or an empty list."""
    files = {module_of(package, file): file for file in package.rglob("*.py")}
    graph = {}
    for module, file in files.items():
        names = at_once(read(file))
        nearest = {name if name in files else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in nearest if name in files and name != module}
    return _circle(graph)


def circle_of_rooms(package):
    """Returns parts that import each other, even in functions or for types only."""
    graph = {}
    for file in package.rglob("*.py"):
        room = room_of(package, module_of(package, file))
        targets = {room_of(package, name) for name in imported(read(file))}
        if room != "__init__":  # it re-exports, on demand, what imports it
            graph.setdefault(room, set()).update(targets - {room, None, "__init__"})
    return _circle(graph)


def _circle(graph):
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def long_files(files):
    """Returns the files that are longer than allowed."""
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    return [f"{file.name}: {count}" for file, count in counts.items() if count > LONGEST]


def entries(docstring):
    """Returns the list items of a docstring, each on one line."""
    blocks = re.findall(r"^- (.+(?:\n  .+)*)", docstring, re.MULTILINE)
    return [" ".join(block.split()) for block in blocks]


def errors_in_map_of_modules(package):
    """Returns listed modules that do not exist, and existing modules that are not mentioned."""
    docstring = ast.get_docstring(read(package / "__init__.py"))
    listed = []
    for part in [part for entry in entries(docstring) for part in entry.split("; ")]:
        names = re.match(r"(?:`[\w.]+`(?:, (?:and )?| and )?)*", part)[0]
        listed += re.findall(r"`([\w.]+)`", names)
    paths = {name: package.joinpath(*name.split(".")) for name in listed}
    missing = [n for n, p in paths.items() if not (p.is_dir() or p.with_suffix(".py").is_file())]
    there = {file.parent.name for file in package.glob("*/__init__.py")}
    there |= {file.stem for file in package.glob("*.py")}
    mentioned = re.findall(rf"`(?:{package.name}\.)?(\w+)`", docstring)
    unnamed = {name for name in there if not name.startswith("_")} - set(mentioned)
    return [f"no {name}" for name in missing] + [f"unnamed {name}" for name in sorted(unnamed)]


def errors_in_map_of_names(package):
    """Returns the names after the colons of a docstring's list that the package does not export."""
    tree = read(package / "__init__.py")
    [public] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    named = [
        name
        for entry in entries(ast.get_docstring(tree))
        for name in re.findall(r"`(\w+)`", entry.partition(": ")[2])
    ]
    assert named, "the docstring has no list"
    return [f"no {name}" for name in named if name not in public]


def choices_by_platform(package):
    """Returns the files outside `_core/platforms.py` that make a choice by platform."""
    return [
        f"{file.relative_to(package).as_posix()} asks for the platform"
        for file in sorted(package.rglob("*.py"))
        if file != package / "_core" / "platforms.py"
        for node in ast.walk(read(file))
        if isinstance(node, ast.Attribute | ast.Name | ast.alias)
        and {"platform_dependent", "default_backend"} & set(ast.unparse(node).split("."))
    ]


# The rules, applied to this repository.


def test_parts_import_what_is_below_them():
    assert wrong_arrows(PACKAGE) == []


def test_no_loss_family_imports_another():
    assert families_that_know_others(PACKAGE) == []


def test_no_import_goes_round_in_a_circle():
    assert circle(PACKAGE) == []
    assert circle_of_rooms(PACKAGE) == []


def test_choices_by_platform_stand_in_one_file():
    assert choices_by_platform(PACKAGE) == []


@pytest.mark.parametrize("folder", MAPS_OF_MODULES)
def test_docstrings_name_the_existing_modules(folder):
    assert errors_in_map_of_modules(ROOT / folder) == []


@pytest.mark.parametrize("folder", MAPS_OF_NAMES)
def test_docstrings_name_what_packages_export(folder):
    assert errors_in_map_of_names(ROOT / folder) == []


@pytest.mark.parametrize("folder", ["mllosses_jax", "benchmarks", "recipes", "tests", ".ci"])
def test_no_file_is_long(folder):
    files = list((ROOT / folder).rglob("*.py"))
    if folder == ".ci":
        files += [file for file in (ROOT / folder).iterdir() if not file.suffix]
    assert files
    assert long_files(files) == []


# The rules fail where they should.

SOUND = {
    "__init__.py": '"""A package.\n\n- `losses`: the losses.\n- `metrics`: metrics.\n'
    '- `cli`, `compare`:\n  the program; `_core`: the rest.\n"""\nfrom pkg import losses\n',
    "__main__.py": "from pkg.cli.main import main\n",
    "_core/__init__.py": "",
    "_core/checks.py": "import jax\n",
    "losses/__init__.py": "from pkg.losses.focal import focal\n",
    "losses/_focus.py": "from pkg._core import checks\n",
    "losses/focal.py": "from pkg.losses._focus import focus\n",
    "losses/binary.py": "from pkg._core.checks import check\n",
    "metrics/__init__.py": '"""Metrics.\n\n- Of sets: `f1`,\n  `recall`.\n"""\n'
    '__all__ = ["f1", "recall"]\n',
    "cli/__init__.py": "",
    "cli/main.py": "def run():\n    from pkg.compare import compare\n    import pkg\n",
    "compare/__init__.py": "from pkg.compare.report import text\n",
    "compare/report.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    from pkg.compare.run import Run\n",
    "compare/run.py": "from pkg.compare import report\nfrom pkg.losses import focal\n",
}


def make_package(folder, changed=()):
    package = folder / "pkg"
    for name, text in {**SOUND, **dict(changed)}.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return package


def test_a_sound_package_breaks_no_rule(tmp_path):
    package = make_package(tmp_path)
    assert wrong_arrows(package) == []
    assert families_that_know_others(package) == []
    assert circle(package) == circle_of_rooms(package) == []
    assert choices_by_platform(package) == []
    assert errors_in_map_of_modules(package) == []
    assert errors_in_map_of_names(package / "metrics") == []
    assert long_files(package.rglob("*.py")) == []


@pytest.mark.parametrize(
    ("name", "line", "error"),
    [
        ("_core/checks.py", "from pkg.losses import focal", "_core/checks.py imports losses"),
        ("losses/focal.py", "import pkg.metrics", "losses/focal.py imports metrics"),
        (
            "losses/focal.py",
            "def f():\n    import pkg.data as d",
            "losses/focal.py imports data",
        ),
        ("losses/focal.py", "if TYPE_CHECKING:\n    import pkg.cli", "losses/focal.py imports cli"),
        ("metrics/__init__.py", "import pkg", "metrics/__init__.py imports __init__"),
        ("compare/run.py", "from pkg.cli.main import run", "compare/run.py imports cli"),
        ("__main__.py", "from pkg.compare import compare", "__main__.py imports compare"),
        ("__init__.py", "from pkg.compare import compare", "__init__.py imports compare"),
        ("new.py", "import pkg._core", "new.py imports _core"),
    ],
)
def test_wrong_arrows_are_found(name, line, error, tmp_path):
    package = make_package(tmp_path, {"data.py": "", name: f"{line}\n"})
    assert wrong_arrows(package) == [error]


def test_a_family_that_knows_another_is_found(tmp_path):
    for line in ("from pkg.losses.binary import bce", "from pkg.losses import _focus, binary"):
        package = make_package(tmp_path, {"losses/focal.py": f"{line}\n"})
        assert families_that_know_others(package) == ["focal.py imports binary"]


@pytest.mark.parametrize("line", ["from pkg.compare.run import Run", "import pkg.compare.run"])
def test_circles_are_found(line, tmp_path):
    package = make_package(tmp_path, {"compare/report.py": f"{line}\n"})
    assert {"pkg.compare.run", "pkg.compare.report"} <= set(circle(package))
    make_package(tmp_path, {"losses/focal.py": "def f():\n    import pkg.compare.run\n"})
    assert {"losses", "compare"} <= set(circle_of_rooms(package))


@pytest.mark.parametrize(
    "line", ["import jax\njax.default_backend()", "from jax.lax import platform_dependent"]
)
def test_choices_by_platform_elsewhere_are_found(line, tmp_path):
    text = {"_core/platforms.py": f"{line}\n", "losses/focal.py": f"{line}\n"}
    assert choices_by_platform(make_package(tmp_path, text)) == [
        "losses/focal.py asks for the platform"
    ]


def test_maps_that_are_wrong_are_found(tmp_path):
    package = make_package(tmp_path, {"training.py": "", "weighting/__init__.py": ""})
    assert errors_in_map_of_modules(package) == ["unnamed training", "unnamed weighting"]
    text = SOUND["__init__.py"].replace("`losses`:", "`loss`, `losses`:")
    package = make_package(tmp_path / "second", {"__init__.py": text})
    assert errors_in_map_of_modules(package) == ["no loss"]
    text = SOUND["metrics/__init__.py"].replace("`recall`", "`recoil`")
    package = make_package(tmp_path / "third", {"metrics/__init__.py": text})
    assert errors_in_map_of_names(package / "metrics") == ["no recoil"]


def test_long_files_are_found(tmp_path):
    package = make_package(tmp_path, {"losses/focal.py": "\n" * (LONGEST + 1)})
    assert long_files(package.rglob("*.py")) == ["focal.py: 401"]
