"""What importing the package costs, and what its command says of itself."""

import subprocess
import sys

import mllosses_jax as mll

HEAVY = ("optax", "flax", "chex", "matplotlib", "rich", "sklearn", "torch", "pandas")


def _run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_import_brings_jax_and_numpy_alone():
    script = "import sys, mllosses_jax; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in _run("-c", script).split()}
    assert {"jax", "numpy"} <= loaded
    assert not loaded & set(HEAVY)


def test_command_tells_its_version():
    assert _run("-m", "mllosses_jax.compare.command", "--version") == (
        f"mllosses {mll.__version__}\n"
    )
