"""The command, in a process of its own or in this one, and a small data file.

Most of a comparison's time is that of its programs, which depend on the numbers of rows, features
and labels: tests whose data have those of `data` (60, 5 and 4) share them.
"""

import os
import subprocess

import numpy as np
import pytest
from compare_inputs import COMMAND, NAMES

from mllosses_jax.cli import compilation
from mllosses_jax.cli.main import main


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of a user with a cache of compiled programs, which all runs share."""
    cache = str(tmp_path_factory.mktemp("cache"))
    here = {"PYTHONPATH": os.getcwd(), "XDG_CACHE_HOME": cache}
    return os.environ | {"COLUMNS": "80", "JAX_PLATFORMS": "cpu"} | here


@pytest.fixture(scope="session")
def mllosses(environment):
    """Runs the command in a process of its own."""

    def run(*arguments, **variables):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment | variables,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def here(monkeypatch, capfd, tmp_path):
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compilation, "keep", lambda: None)

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 5)).astype(np.float32)
    y = x @ generator.normal(size=(5, 4)) + generator.normal(size=(90, 1)) > 0.5
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(
        path,
        X_train=x[:60],
        Y_train=y[:60],
        X_test=x[60:],
        Y_test=y[60:],
        mask_train=generator.random((60, 4)) < 0.9,
        mask_test=generator.random((30, 4)) < 0.9,
        label_names=np.array(NAMES),
    )
    return path
