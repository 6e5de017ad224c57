"""The harness of the benchmarks runs; its figures are for people, not for tests."""

import jax
import numpy as np
import pytest


@pytest.mark.parametrize("name", ["hierarchy", "losses", "metrics", "scaling", "streaming"])
def test_quick_benchmark(name, monkeypatch):
    pytest.importorskip("sklearn")
    module = pytest.importorskip(f"benchmarks.{name}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without torch
    # The peers, unlike the package, rely on promotion.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        rows = module.run(quick=True)
    assert len(rows) >= 5
    key = "ours_ms" if name == "metrics" else "ms"
    times = [row[key] for row in rows if key in row]
    assert times
    assert all(time > 0 for time in times)


def test_quick_numerics(monkeypatch):
    numerics = pytest.importorskip("benchmarks.numerics")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # without keras and torch
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
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
