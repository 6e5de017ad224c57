"""The harness of the benchmarks runs; its figures are for people, not for tests."""

import functools
import importlib.util
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


def test_a_slow_call_leaves_rounds_to_a_fast_one(monkeypatch):
    timing = pytest.importorskip("benchmarks.timing")
    now, made = 0.0, []

    def call(name, duration):
        nonlocal now
        now += duration
        made.append(name)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    durations = {"fast": 1 / 64, "slow": 1.0}
    calls = {name: functools.partial(call, name, d) for name, d in durations.items()}
    assert timing.interleaved(calls, 1000, 2.0) == {"fast": 15.625, "slow": 1000.0}
    # One call of each is not timed. The fast one has half of the two seconds, the slow one three
    # rounds; fifty rounds at most in the second case.
    assert (made.count("fast"), made.count("slow")) == (1 + 64, 1 + 3)
    made.clear()
    timing.interleaved(calls, 50, 2.0)
    assert (made.count("fast"), made.count("slow")) == (1 + 50, 1 + 3)
    made.clear()
    timing.interleaved(calls, 50)
    assert (made.count("fast"), made.count("slow")) == (1 + 50, 1 + 50)
    made.clear()
    timing.interleaved({"fast": calls["fast"], "endless": functools.partial(call, "e", 60)}, 9, 2.0)
    assert made.count("e") == 1 + 1


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


def test_bars_of_heads():
    heads = pytest.importorskip("benchmarks.heads")
    size = {"labels": 1_000_000, "features": 128}

    def bars(asymmetric, dense, bfloat16, float8):
        times = {
            heads.PRODUCTS: 1.0,
            "binary cross-entropy, loss and gradients": 1.2,
            "asymmetric loss, loss and gradients": asymmetric,
            "softmax cross-entropy, loss and gradients": 9.0,
            heads.DENSE: dense,
        }
        rows = [
            size | {"what": what, "ms": 7 * of, "of the products": of} for what, of in times.items()
        ]
        rows += [
            size | {"what": heads.UPDATES[dtype], "bytes per parameter": held}
            for dtype, held in {"bfloat16": bfloat16, "float8": float8}.items()
        ]
        return [bar.met for bar in heads.bars_of(rows)], heads.report(rows)

    met, report = bars(1.4, 2.4, 2.15, 1.15)
    assert met == [True] * 5
    assert report.startswith("5 of 5 bars are met.")
    met, report = bars(1.41, 2.39, 2.16, 1.16)
    assert met == [True] + [False] * 4
    assert report.count("MISSED") == 4


def test_quick_guarantees():
    guarantees = pytest.importorskip("benchmarks.guarantees")
    rows = guarantees.run(quick=True)
    assert len(rows) == 2 * len(guarantees.PROMISES)
    assert guarantees.misses(rows) == []
    assert guarantees.report(rows).startswith("1 of 1 bars are met.")
    broken = rows[0] | {"found": 0.3, "at most": 0.2, "error": 0.03}
    assert guarantees.misses([broken, *rows]) == [broken]
    assert "MISSED" in guarantees.report([broken])


def test_quick_large_steps():
    large_steps = pytest.importorskip("benchmarks.large_steps")
    rows = large_steps.run(quick=True)
    assert [row["kernel"] for row in rows] == ["bfloat16", "float8"]
    assert all(row["last loss"] < row["first loss"] for row in rows)
    weights = [row["weights, GiB"] * 2**30 for row in rows]
    assert weights == [2 * 8 * 20_000, 8 * 20_000]
    assert all(row["peak, GiB"] > row["weights, GiB"] for row in rows)


def test_quick_worked_heads():
    worked_heads = pytest.importorskip("benchmarks.worked_heads")
    rows = worked_heads.run(quick=True)
    by = {(row["set"], row["by"]): row for row in rows}
    ours, constant = by["tiny", "ours"], by["tiny", worked_heads.FREQUENT]
    assert ours["P@1"] > constant["P@1"] + 0.1
    trained = [row for row in rows if "last loss" in row]
    assert all(row["last loss"] < row["first loss"] for row in trained)
    assert all(row["s"] > 0 and row["peak, GiB"] > 0 for row in trained)
    if importlib.util.find_spec("torch") is not None:
        peer = by["tiny", "PyTorch"]
        for key in ("first loss", "last loss", "P@1", "P@3", "P@5"):
            assert peer[key] == pytest.approx(ours[key], rel=1e-3), key
    # A label of rank r has the probability log(1 + 1/r) / log(L) in each of five draws.
    often = by["made on the fly", worked_heads.FREQUENT]["P@1"]
    assert often == pytest.approx(1 - (1 - np.log(2) / np.log(2000)) ** 5, abs=0.05)
    assert len(worked_heads.bars_of(rows)) >= 3
    assert "MISSED" not in worked_heads.report(rows)


def test_bars_of_worked_heads():
    worked_heads = pytest.importorskip("benchmarks.worked_heads")

    def row(name, by, precision, last=1.0):
        precisions = dict.fromkeys(("P@1", "P@3", "P@5"), precision)
        return {"set": name, "by": by, "first loss": 1.0, "last loss": last} | precisions

    def met(ours, peer, recipe, last):
        rows = [
            row("delicious", worked_heads.OURS, ours, last),
            row("delicious", worked_heads.PEER, peer),
            row("made on the fly", worked_heads.RECIPE, recipe),
            row("made on the fly", worked_heads.FREQUENT, 0.2),
        ]
        return [bar.met for bar in worked_heads.bars_of(rows)]

    assert all(met(0.64, 0.644, 0.3, 0.5))
    assert met(0.639, 0.645, 0.1, 1.5).count(False) == 4


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


def test_quick_linear_head():
    """The two solvers share no code but the loss, yet find the same model."""
    linear_head = pytest.importorskip("benchmarks.linear_head")
    rows = linear_head.run(quick=True)
    assert [row["by"] for row in rows] == ["all scores", "head", "head, same strength"]
    all_scores, _, same = rows
    assert all_scores["P@1"] > 0.5
    assert all_scores["residual"] <= 1e-4
    assert same["strength"] == pytest.approx(12 * all_scores["strength"])
    assert same["apart"] < 0.02  # on 300 rows
    assert len(linear_head.bars_of(rows)) == 2


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


def test_bars_of_the_whole_command():
    command = pytest.importorskip("benchmarks.whole_command")

    def bars(cold, warm, ours, peer):
        rows = [
            {"run": "embedded, cold cache", "seconds": cold},
            {"run": "embedded, warm cache", "seconds": warm},
            {"run": "sparse words", "CPU s": ours},
            {"run": "scikit-learn on sparse words", "CPU s": peer},
        ]
        return [line.endswith(": missed") for line in command.report(rows).splitlines()]

    assert bars(90, 45, 180, 10) == [False, False, False]
    assert bars(90.1, 45.1, 180.1, 10) == [True, True, True]


@pytest.mark.usefixtures("promotion")
def test_quick_grid():
    """The loops, which share no code with ours, end at the same validation scores."""
    grid = pytest.importorskip("benchmarks.grid")
    rows = grid.run(quick=True)
    assert [(row["by"], row["state"]) for row in rows] == [
        ("ours", "cold"),
        ("ours", "warm"),
        ("user's loop", "cold"),
        ("best loop", "cold"),
        ("best loop", "warm"),
    ]
    means = [row["mean score"] for row in rows]
    assert max(means) - min(means) < 0.03  # The starts are drawn otherwise.
    assert means[2] == pytest.approx(means[3], abs=1e-3)
    assert "goal: 2" in grid.report(rows)
