"""The options of `mllosses compare` in a file, a first look, and runs that are killed."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from compare_inputs import BASELINE, OTHER, assert_refused, passes, results_of

LOSSES = f"{BASELINE},{OTHER}"
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


def test_options_come_from_a_file_and_flags_take_precedence(data, here, tmp_path):
    file, out = tmp_path / "run.toml", tmp_path / "out"
    file.write_text(
        f'data = "{data}"\nlosses = ["{OTHER}", "asymmetric_loss(gamma_neg=2, clip=0.1)"]\n'
        f'seeds = 3\nout = "{tmp_path / "other"}"\n'
    )
    done = here("compare", "--config", file, "--seeds", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    found = results_of(out)["config"]
    assert found["losses"] == [OTHER, "asymmetric_loss(gamma_neg=2, clip=0.1)"]
    assert found["num_seeds"] == 2
    assert not (tmp_path / "other").exists()
    kept = tomllib.loads((out / "run.toml").read_text())
    assert kept == {
        "data": str(data),
        "losses": f"{OTHER},asymmetric_loss(gamma_neg=2, clip=0.1)",
        "seeds": 2,
        "out": str(out),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("seed = 3", ["run.toml", "'seed' is no option", "did you mean seeds"]),
        ("seeds = [", ["run.toml", "must be a TOML file"]),
        ('seeds = "many"', ["--seeds", "whole number", "'many'"]),
        ("seeds = {a = 1}", ["run.toml", "seeds must be text, a number or a list"]),
        ("seeds = true", ["run.toml", "seeds must be text, a number or a list"]),
        ("quick = 1", ["run.toml", "quick must be true or false, got 1"]),
        ("force = true", ["run.toml", "'force' is no option"]),
        ('losses = ["no_such_loss"]', ["no_such_loss", "mllosses list"]),
    ],
)
def test_mistakes_in_the_file_are_named(content, words, data, here, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(content)
    assert_refused(here("compare", data, "--config", file), *words)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_not_there_is_named(here, tmp_path):
    assert_refused(here("compare", "--config", tmp_path / "none"), "none", "No such file")
    assert_refused(here("compare", "--resume", tmp_path), str(tmp_path), "holds no run")


def test_config_and_resume_exclude_each_other(here, tmp_path):
    done = here("compare", "--config", tmp_path, "--resume", tmp_path)
    assert_refused(done, "--resume", "not allowed with", "--config")


def test_a_first_look_takes_the_advised_losses_and_few_rows(here, tmp_path, monkeypatch):
    from mllosses_jax.cli import compare

    monkeypatch.setattr(compare, "QUICK_ROWS", 60)
    x = np.random.default_rng(0).normal(size=(160, 5)).astype(np.float32)
    y = x[:, :4] + np.array([0, 0.2, -0.2, 0]) > 0
    parts = {"X_train": x[:80], "Y_train": y[:80], "X_test": x[80:], "Y_test": y[80:]}
    np.savez(tmp_path / "signs.npz", **parts)
    done = here("compare", tmp_path / "signs.npz", "--quick", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = results_of(tmp_path / "out")
    assert found["config"]["losses"] == [BASELINE, "two_way_loss", "zlpr_loss"]
    assert found["config"]["num_seeds"] == 2
    assert (found["data"]["training_rows"], found["data"]["test_rows"]) == (60, 60)


# A process that is killed when it has moved so many finished files into place: run.toml and
# results.json (if its folder has none), validation.npz, test.npz, model.npz and so on. It neither
# draws pictures nor fits models of scikit-learn, which take seconds.
KILLED = """
import os, signal, sys
from pathlib import Path
left, replace = int(sys.argv[1]), Path.replace
def count(path, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(path, target)
Path.replace = count
from mllosses_jax.cli.main import main
import pytest
from comparison_inputs import draw_nothing, fit_prior_alone
for quicker in (draw_nothing, fit_prior_alone):
    quicker(pytest.MonkeyPatch())
sys.exit(main(sys.argv[2:]))
"""


def test_a_run_that_is_killed_at_several_moments_loses_nothing_finished(
    data, environment, here, tmp_path
):
    """The run that ends and the one that nothing disturbs share the programs of this process."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = ["compare", str(data), "--losses", LOSSES, "--seeds", "2"]
    begin = [*arguments, "--out", str(out)]
    places = os.pathsep.join([environment["PYTHONPATH"], str(Path(__file__).parents[1])])

    def killed(moment, command):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", KILLED, str(moment), *map(str, command)],
            env=environment | {"PYTHONPATH": places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        return {path: path.read_bytes() for path in out.rglob("*.npz")}

    assert killed(1, begin) == {}
    assert [path.name for path in out.glob("[!.]*") if path.is_file()] == ["run.toml"]
    first = killed(4, begin)  # the model of the first loss is written, and not yet in place
    assert not list(out.rglob("model.npz"))
    assert {path.name for path in first} == {"validation.npz", "test.npz"}
    second = killed(9, ["compare", "--resume", out])
    assert out / "losses" / BASELINE / "model.npz" in second
    done = here("compare", "--resume", out)
    assert done.returncode == 0, done.stderr
    assert passes(done)[0] == f"finished before: {BASELINE}"
    after = {path: path.read_bytes() for path in second}
    assert after == second
    assert not list(out.rglob(".*.partial"))

    assert here(*arguments, "--out", whole).returncode == 0
    found, expected = results_of(out)["results"], results_of(whole)["results"]
    for loss, of_loss in expected.items():
        for metric in of_loss.keys() - {"seconds", "cpu_seconds"}:
            assert found[loss][metric] == of_loss[metric]


def test_a_folder_that_cannot_be_written_is_named(data, here, tmp_path):
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "out"
    assert_refused(here("compare", data, "--out", place), str(place), "--out")
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_of_options_is_not_overwritten(data, here, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.toml").write_text("seeds = 3")
    done = here("compare", data, "--config", out / "run.toml", "--out", out)
    assert_refused(done, "run.toml exists, but results.json does not", "--force")
    assert (out / "run.toml").read_text() == "seeds = 3"
