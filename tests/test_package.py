"""What importing the package costs, and what its command says of itself.

`python tests/test_package.py` prints how long the import takes beyond that of jax.
"""

import statistics
import subprocess
import sys

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


def test_command_tells_its_version():
    assert _run("-m", "mllosses_jax.compare.command", "--version") == (
        f"mllosses {mll.__version__}\n"
    )


if __name__ == "__main__":
    measured = (
        "import jax, time; wall, cpu = time.perf_counter(), time.process_time();"
        "import mllosses_jax; print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    _, *runs = (map(float, _run("-c", measured).split()) for _ in range(11))
    walls, cpus = zip(*runs, strict=True)
    print(f"{statistics.median(walls):.3f} s, of CPU time {statistics.median(cpus):.3f} s")
