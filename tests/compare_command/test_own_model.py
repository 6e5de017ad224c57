"""`mllosses compare --model` and `predict` with a module of the user's in the current folder."""

import jax
import numpy as np
import pytest
from compare_inputs import BASELINE, assert_refused, passes, results_of

from mllosses_jax.compare import Predictor, steps_attempts, steps_search

pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")

MODULE = """
from flax import nnx
import jax.numpy as jnp

class Net(nnx.Module):
    def __init__(self, num_features, num_outputs, rngs):
        self.hidden = nnx.Linear(num_features, 16, rngs=rngs)
        self.output = nnx.Linear(16, num_outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(nnx.relu(self.hidden(x)))

def broken(num_features, num_outputs, rngs):
    net = Net(num_features, num_outputs, rngs)
    return net.no_such_layer

def squared(logits, labels, where=None):
    return jnp.mean((nnx.sigmoid(logits) - labels) ** 2, where=where)

def wide(num_features, num_outputs, rngs):
    return Net(num_features, 7, rngs)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the current folder, under a name of its own as Python keeps modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, value in (("ROUNDS", 3), ("STEPS", 10)):
        monkeypatch.setattr(steps_attempts, name, value)
    monkeypatch.setattr(steps_search, "FIRST", [(0, 0)])
    monkeypatch.setattr(steps_search, "THEN", ())
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield name


def test_from_training_to_new_rows(module, data, here, tmp_path):
    arguments = ["compare", data, "--model", f"{module}:Net", "--seeds", 2, "--out", "out"]
    done = here(*arguments, "--losses", BASELINE)
    assert done.returncode == 0, done.stderr
    assert f"Model: {module}:Net. Step size" in " ".join(done.stdout.split())
    assert results_of(tmp_path / "out")["config"]["own_model"] == f"{module}:Net"
    own_loss = f"{module}:squared"
    again = here(*arguments, "--losses", own_loss)
    assert again.returncode == 0, again.stderr
    assert passes(again) == [f"finished before: {BASELINE}", f"training: {own_loss}"]
    done = here("predict", "out", data, "--loss", own_loss, "--scores", "s.csv")
    assert done.returncode == 0, done.stderr
    assert f"by the {module}:Net model trained with {own_loss}" in " ".join(done.stdout.split())
    with np.load(data) as arrays:
        expected = Predictor.load(tmp_path / "out", loss=own_loss).scores(arrays["X_test"])
    found = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(found.astype(np.float32), expected)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", ["(--model)", ".py, line 15", "no_such_layer"]),
        ("wide", ["(3, 7)", "(3, 4)", "(--model)"]),
        ("Nett", ["no 'Nett'", "did you mean Net"]),
    ],
)
def test_mistakes_are_told_in_one_line(name, words, module, data, here, tmp_path):
    done = here("compare", data, "--model", f"{module}:{name}", "--losses", BASELINE)
    assert_refused(done, *words)
    assert not (tmp_path / "mllosses-out").exists()
