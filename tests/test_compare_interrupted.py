"""A run that goes on: after a full disk, and after the user's own code has changed."""

import contextlib
import functools
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own_models import init

from mllosses_jax.compare import compare, judgment
from mllosses_jax.compare.folder import Folder, Occupied
from mllosses_jax.compare.own_code_hash import code_hash
from mllosses_jax.data import Dataset

LOSSES = ("sigmoid_binary_cross_entropy", "squared_hinge_loss")
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)


def make_data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 4)).astype(np.float32)
    y = x[:, :3] + generator.normal(size=(90, 3)) > 0.5
    parts = {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}
    return Dataset(name="toy", label_names=("a", "b", "c"), **parts)


# A full disk.


@functools.cache
def without_a_folder():
    return compare(make_data(), losses=LOSSES)


@pytest.fixture
def disk(tmp_path):
    """Mounts a file system of a size, and returns what changes its size."""

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    try:
        mounted = mount("size=1m")
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system cannot be mounted here")
    yield lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("first", ["16k", "48k", "120k"])
def test_a_run_goes_on_once_there_is_space(first, disk, tmp_path, monkeypatch):
    """The space ends with the first files, within a loss, or in the report."""
    out, data = tmp_path / "out", make_data()
    assert disk(first)
    with pytest.raises(Exception, match="No space left on device"):
        compare(data, losses=LOSSES, out=out, run_file="data = 'toy'\n")
    assert not list(out.rglob(".*.partial"))
    finished = {path.parent.name for path in out.glob("losses/*/model.npz")}
    assert disk("20m")
    trained = []
    save = Folder.save

    def count(self, what, *rest):
        trained.append(str(what))
        save(self, what, *rest)

    monkeypatch.setattr(Folder, "save", count)
    comparison = compare(data, losses=LOSSES, out=out, run_file="data = 'toy'\n")
    assert not finished & set(trained)
    assert (out / "report.md").exists()
    alone = without_a_folder()
    for loss in LOSSES:
        assert comparison.results[loss]["map"] == alone.results[loss]["map"]


# The user's own code.


def squared(scale):
    def loss(logits, labels):
        return scale * jnp.mean((logits - labels.astype(logits.dtype)) ** 2)

    return loss


def test_a_loss_that_has_changed_is_refused(tmp_path):
    data, mine = make_data(), {"mine": squared(1.0)}
    compare(data, losses=mine, out=tmp_path)
    compare(data, losses={"mine": squared(1.0)}, out=tmp_path)  # the same code
    with pytest.raises(Occupied, match=r"mine has changed since the run in .*, whose figures"):
        compare(data, losses={"mine": squared(2.0)}, out=tmp_path)
    changed = {
        "mine": lambda logits, labels: jnp.mean(jnp.abs(logits - labels.astype(logits.dtype)))
    }
    with pytest.raises(Occupied, match="mine has changed"):
        compare(data, losses=changed, out=tmp_path)
    assert compare(data, losses={"mine": squared(2.0)}, out=tmp_path, force=True)


def test_the_code_of_a_model_is_in_the_identity(tmp_path):
    """A folder is made of an identity alone; no model is trained."""
    identity = {"config": {"model": "own"}, "data": {"sha256": "0"}}
    code = {"net": code_hash((init, squared(1.0)))}
    Folder(tmp_path, identity, (), False, model_code=code)
    Folder(tmp_path, identity, (), False, model_code=code)
    other = {"net": code_hash((init, squared(2.0)))}
    with pytest.raises(Occupied, match="net has changed since"):
        Folder(tmp_path, identity, (), False, model_code=other)


RATE = 0.5


def helper(x):
    return RATE * x


def calls_helper(logits, labels):
    return helper(logits).mean()


def test_the_hash_covers_what_a_function_calls(monkeypatch):
    before = code_hash(calls_helper)
    assert before == code_hash(calls_helper)
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "RATE", 0.25)
        assert code_hash(calls_helper) != before
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "helper", lambda x: x)
        assert code_hash(calls_helper) != before
    assert code_hash(calls_helper) == before
    assert code_hash(jax.jit(calls_helper)) == before


def test_the_hash_ignores_where_code_stands():
    texts = ["def f(x):\n    return x + 1\n", "\n\n# Adds.\ndef f(x):  # one\n    return x + 1\n"]
    texts.append("def f(x):\n    return x + 2\n")
    hashes = []
    for text in texts:
        scope = {}
        exec(compile(text, "mine.py", "exec"), scope)
        hashes.append(code_hash(scope["f"]))
    assert hashes[0] == hashes[1] != hashes[2]


def test_classes_and_recursion_are_hashed():
    class Net:
        width = 3

        def __call__(self, x):
            return self.width * x

    class Wider(Net):
        width = 4

    def again(x):
        return again(x - 1) if x else x

    hashes = {code_hash(each) for each in (Net, Wider(), again)}
    assert len(hashes) == 3
    Net.width = 5
    hashes.add(code_hash(Net()))
    assert len(hashes) == 4
    with contextlib.suppress(AttributeError):
        Net.__call__ = lambda self, x: x
    assert code_hash(Net) not in hashes
