"""The harness of the benchmarks runs; its figures are for people, not for tests."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

from mllosses_jax.catalogue import CATALOGUE

NAMES = [entry.name for entry in CATALOGUE]


@pytest.fixture
def promotion():
    """Lets peers and straight versions, unlike the package, rely on promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_every_loss_has_a_straight_version():
    straight = pytest.importorskip("benchmarks.straight")
    assert sorted(straight.LOSSES) == sorted(NAMES)


def test_kept_run_is_of_the_catalogue():
    file = Path(__file__).parent.parent / "benchmarks" / "results" / "losses-cpu.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert rows
    assert {row["loss"] for row in rows} <= set(NAMES)  # a new loss is in the next run
    # Differences of the Jaccard loss, as in the plain formula, cancel among 100,000 labels.
    differing = {(row["loss"], row["setting"]) for row in rows if "differs" in row}
    assert differing <= {("lovasz_hinge_loss", "(128, 100000)")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("promotion")
def test_straight_version_agrees(name):
    losses = pytest.importorskip("benchmarks.losses")
    settings = (
        losses.Setting((64, 40)),
        losses.Setting((64, 40), labels="float32", masked=True),
    )
    found = []
    for setting in settings:
        given = losses.inputs(name, setting)
        both = losses.implementations(name, given)
        found.append((given.logits, given.labels, both["ours"], both["straight"]))

    @jit
    def compare():
        return [
            jax.value_and_grad(of.loss)(logits, labels, of.arrays)
            for logits, labels, *both in found
            for of in both
        ]

    results = compare()
    for ours, straight in zip(results[::2], results[1::2], strict=True):
        np.testing.assert_allclose(straight[0], ours[0], rtol=1e-5)
        np.testing.assert_allclose(straight[1], ours[1], atol=1e-4 * jnp.max(jnp.abs(ours[1])))


@pytest.mark.usefixtures("promotion")
def test_quick_losses(monkeypatch):
    losses = pytest.importorskip("benchmarks.losses")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without torch
    rows = losses.run(quick=True)
    assert len(rows) == 2 * len(losses.QUICK_LOSSES)
    assert all(row[key] > 0 for row in rows for key in ("A ms", "memory floor", "ours", "straight"))
    assert not any("differs" in row for row in rows)
    assert "miss their goal" in losses.report(rows)
    with pytest.raises(KeyError, match="no_loss"):
        losses.run(quick=True, losses=["no_loss"])


def test_misses_of_goals():
    goals = pytest.importorskip("benchmarks.goals")
    row = {"loss": "lsep_loss", "setting": goals.MAIN, "ours": 0.7, "straight": 0.7}
    row |= {"compile s ours": 0.3, "compile s straight": 0.3}
    assert goals.misses([row]) == []
    for key, value in {"ours": 0.9, "straight": 0.5, "compile s ours": 0.5, "differs": 0.1}.items():
        assert goals.misses([row | {key: value}])
    assert goals.misses([row | {"setting": goals.SMALL, "ours": 0.83}]) == []
    assert set(goals.PASSES) <= set(NAMES)


@pytest.mark.usefixtures("promotion")
def test_quick_overhead():
    overhead = pytest.importorskip("benchmarks.overhead")
    rows = overhead.run(quick=True, losses=["sigmoid_focal_loss"])
    assert [row["implementation"] for row in rows] == ["ours", "straight", "optax"]
    assert all(row[key] > 0 for row in rows for key in overhead.WAYS)
    assert "miss their goal" in overhead.report(rows)


def test_names_of_the_command(monkeypatch, tmp_path, capsys):
    command = pytest.importorskip("benchmarks.__main__")
    ran = []

    class Fake:
        @staticmethod
        def run(quick, losses=()):
            ran.append((quick, list(losses)))
            return [{"loss": "a", "ms": 1.23456}]

    monkeypatch.setattr(command.importlib, "import_module", lambda name: Fake)
    arguments = ["losses", "overhead", "lsep_loss", "--quick", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    command.main()
    assert ran == [(True, ["lsep_loss"])] * 2
    kept = json.loads((tmp_path / f"overhead-{jax.default_backend()}.json").read_text("utf-8"))
    assert kept["rows"] == [{"loss": "a", "ms": 1.23}]
    assert kept["machine"]["jax"] == jax.__version__
    monkeypatch.setattr(sys, "argv", ["benchmarks", "losses", "metrics", "lsep_loss"])
    with pytest.raises(SystemExit):
        command.main()
    assert "'metrics' takes no names" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["heads", "hierarchy", "metrics", "scaling", "streaming"])
@pytest.mark.usefixtures("promotion")
def test_quick_benchmark(name, monkeypatch):
    pytest.importorskip("sklearn")
    module = pytest.importorskip(f"benchmarks.{name}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without torch
    rows = module.run(quick=True)
    assert len(rows) >= 5
    key = "ours_ms" if name == "metrics" else "ms"
    times = [row[key] for row in rows if key in row]
    assert times
    assert all(time > 0 for time in times)


@pytest.mark.usefixtures("promotion")
def test_quick_numerics(monkeypatch):
    numerics = pytest.importorskip("benchmarks.numerics")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without keras and torch
    rows = numerics.run(quick=True)
    ours = [row for row in rows if row["implementation"] == "ours"]
    errors = [row[key] for row in ours for key in row if key not in ("loss", "implementation")]
    assert len(errors) == 20
    assert max(errors) < 1e-5
    naive = [row["slope, wrong"] for row in rows if row["implementation"] == "log of sigmoid"]
    assert np.all(np.isnan(naive))


def test_quick_linear():
    pytest.importorskip("sklearn")
    linear = pytest.importorskip("benchmarks.linear")
    rows = linear.run(quick=True)
    models = ["one_c", "c_per_label", linear.BASELINE, *linear.OTHERS]
    assert [row["model"] for row in rows] == models
    assert all(row["CPU s"] > 0 for row in rows)
    # The solvers are independent of each other, yet agree.
    assert all(abs(row["off"]) < 1e-6 for row in rows[2:] if row["model"] in linear.CONVEX)
    assert all(row["slope"] < 1e-3 for row in rows[2:])
    with pytest.raises(ValueError, match="'flag'"):
        linear.run(quick=False, sets=["flag"])
