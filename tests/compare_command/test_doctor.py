"""`mllosses doctor`: versions, devices, extras and the cache of compiled programs."""

import tomllib
from importlib import metadata
from pathlib import Path

import jax
import pytest

from mllosses_jax.cli import doctor

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def lines_of(done):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [line.split(maxsplit=1) for line in done.stdout.splitlines()]


def test_in_a_process_of_its_own(mllosses, environment):
    lines = lines_of(mllosses("doctor"))
    for name in ("jax", "jaxlib", "optax", "flax", "chex", "numpy"):
        assert [name, metadata.version(name)] in lines
    assert ["1", "x cpu (cpu)"] in lines
    assert ["in", f"{environment['XDG_CACHE_HOME']}/mllosses_jax"] in lines


def test_what_is_missing_is_named_with_the_remedy(here, monkeypatch):
    def version(name):
        if name in ("rich", "pyarrow", "chex"):
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    lines = lines_of(here("doctor"))
    assert ["chex", "missing"] in lines
    assert ["cli", "rich is missing; run pip install 'mllosses-jax[cli]'"] in lines
    assert ["parquet", "pyarrow is missing; run pip install 'mllosses-jax[parquet]'"] in lines


def test_devices_that_cannot_be_used_are_one_line(here, monkeypatch):
    def devices():
        raise RuntimeError("Unable to initialize backend:\n no driver")

    monkeypatch.setattr(jax, "devices", devices)
    assert ["JAX", "finds none: Unable to initialize backend: no driver"] in lines_of(
        here("doctor")
    )


@pytest.mark.parametrize("extra", sorted(doctor.EXTRAS))
def test_extras_are_those_of_the_project(extra):
    declared = [each.partition(">=")[0] for each in PROJECT["optional-dependencies"][extra]]
    assert list(doctor.EXTRAS[extra]) == declared


def test_what_is_needed_is_what_the_project_declares():
    assert set(doctor.NEEDED) == {each.partition(">=")[0] for each in PROJECT["dependencies"]}
