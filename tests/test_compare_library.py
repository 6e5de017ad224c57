"""The experiment as a library: what `compare` takes, returns, tells, writes and refuses."""

import json

import jax
import numpy as np
import pytest

from mllosses_jax import compare as library
from mllosses_jax.compare import Comparison, compare
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.data import DataError, Dataset

LOSSES = ("sigmoid_binary_cross_entropy", "zlpr_loss")


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_dataset(**parts):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 5)).astype(np.float32)
    y = x @ generator.normal(size=(5, 4)) + generator.normal(size=(90, 1)) > 0.5
    return Dataset(name="toy", label_names=tuple("abcd"), x_train=x, y_train=y, **parts)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A comparison, what it told, and the folder it was written to."""
    told, out = [], tmp_path_factory.mktemp("library") / "out"
    comparison = compare(
        make_dataset(),
        losses=LOSSES,
        num_seeds=2,
        out=out,
        on_progress=lambda *now: told.append(now),
    )
    return comparison, told, out


def test_the_package_names_what_it_holds():
    assert set(library.__all__) == {"Comparison", "compare"} <= set(dir(library))
    with pytest.raises(AttributeError, match="no attribute 'comparision'"):
        library.comparision  # noqa: B018


def test_what_is_returned(done):
    comparison, _, _ = done
    assert isinstance(comparison, Comparison)
    assert comparison.baseline == LOSSES[0]
    assert tuple(comparison.results) == tuple(comparison.thresholds) == LOSSES
    assert list(comparison.differences) == ["zlpr_loss"]
    assert comparison.best in LOSSES
    assert comparison.dataset.y_test.shape == (18, 4)  # a fifth of the rows


def test_progress_is_told_from_the_first_pass_to_the_last(done):
    comparison, told, _ = done
    total = 2 * comparison.settings.passes
    assert [passes for passes, _, _ in told] == sorted(passes for passes, _, _ in told)
    assert told[0] == (0, total, "training: sigmoid_binary_cross_entropy")
    assert told[-1] == (total, total, "training: zlpr_loss")


def test_the_folder_holds_what_is_returned_and_is_not_taken_twice(done):
    comparison, _, out = done
    written = json.loads((out / "results.json").read_text())
    assert written["results"] == comparison.results
    assert {file.name for file in out.iterdir()} == {
        *("results.json", "results.csv", "report.txt", "thresholds.json", "thresholds", "scores")
    }
    with pytest.raises(Occupied, match=r"complete; .*\(out\), or .*\(force\)"):
        compare(make_dataset(), losses=LOSSES, num_seeds=2, out=out)


def test_nothing_is_printed_and_without_a_folder_nothing_written(
    done, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    again = compare(make_dataset(), losses="zlpr_loss", num_seeds=2)
    assert again.results["zlpr_loss"]["map"] == done[0].results["zlpr_loss"]["map"]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"losses": "zlpr"}, "did you mean zlpr_loss"),
        ({"losses": ()}, "no loss is named"),
        ({"model": "forest"}, "'forest'.*linear, mlp"),
        ({"num_seeds": 0}, "num_seeds"),
        ({"force": True}, "force.*out"),
        ({"labels": 2}, "toy names its labels itself"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ComparisonError, match=words):
        compare(make_dataset(), **options)


def test_a_part_without_a_known_label_is_refused():
    unknown = make_dataset(mask_train=np.zeros((90, 4), bool))
    with pytest.raises(DataError, match="no label of the training part is known"):
        compare(unknown)
