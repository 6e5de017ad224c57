"""What importing the package costs, and what its command says about itself.

`python tests/test_package.py` prints how long the import takes beyond that of jax.
"""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mllosses_jax as mll

HEAVY = ("optax", "flax", "chex", "matplotlib", "rich", "sklearn", "torch", "pandas")


def _run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_import_brings_jax_numpy_and_the_losses_alone():
    script = "import sys, mllosses_jax; print(*sys.modules)"
    loaded = _run("-c", script).split()
    packages = {name.split(".")[0] for name in loaded}
    assert {"jax", "numpy"} <= packages
    assert not packages & set(HEAVY)
    ours = {name.split(".")[1] for name in loaded if name.startswith("mllosses_jax.")}
    assert ours == {"_core", "losses"}


def test_submodules_are_imported_when_they_are_used():
    script = "import mllosses_jax as m; print(*dir(m)); print(m.metrics.average_precision.__name__)"
    names, function = _run("-c", script).splitlines()
    assert set(mll.__all__) <= set(names.split())
    assert function == "average_precision"
    with pytest.raises(AttributeError, match="'mllosses_jax' has no attribute 'metric'"):
        mll.metric  # noqa: B018


def test_the_package_is_the_command():
    usage, *_ = _run("-m", "mllosses_jax", "--help").splitlines()
    assert usage.startswith("usage: python -m mllosses_jax ")
    done = subprocess.run(
        [sys.executable, "-m", "mllosses_jax", "list", "more"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "mllosses: unrecognized argument 'more' (`python -m mllosses_jax list --help` shows what "
        "it takes)\n"
    )


def test_command_tells_its_version():
    assert _run("-m", "mllosses_jax", "--version") == (f"mllosses {mll.__version__}\n")


def test_what_only_tells_of_losses_loads_no_experiment():
    script = (
        "import sys; from mllosses_jax.cli.main import main\n"
        "for arguments in (['--version'], ['list'], ['describe', 'zlpr_loss']):\n"
        "    try: main(arguments)\n    except SystemExit: pass\n"
        "    print('loaded:', *sys.modules)"
    )
    lines = [line for line in _run("-c", script).splitlines() if line.startswith("loaded: ")]
    assert len(lines) == 3
    for line in lines:
        _, *loaded = line.split()
        assert not {name.split(".")[0] for name in loaded} & set(HEAVY)
        ours = {name for name in loaded if name.startswith("mllosses_jax.")}
        assert "mllosses_jax.metrics" not in ours
        assert {name for name in ours if name.startswith("mllosses_jax.compare")} == {
            "mllosses_jax.compare",
            "mllosses_jax.compare.errors",
        }


def test_the_experiment_prints_nothing_and_knows_no_terminal():
    for file in (Path(mll.__file__).parent / "compare").glob("*.py"):
        assert not {name.split(".")[0] for name in _imports(file)} & {"argparse", "rich"}, file
        calls = [node for node in ast.walk(_tree(file)) if isinstance(node, ast.Call)]
        assert "print" not in {getattr(call.func, "id", "") for call in calls}, file


def _tree(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def _imports(file):
    """Yields every module or name that a file imports, anywhere in the file."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


if __name__ == "__main__":
    measured = (
        "import jax, time; wall, cpu = time.perf_counter(), time.process_time();"
        "import mllosses_jax; print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    _, *runs = (map(float, _run("-c", measured).split()) for _ in range(11))
    walls, cpus = zip(*runs, strict=True)
    print(f"{statistics.median(walls):.3f} s, of CPU time {statistics.median(cpus):.3f} s")
