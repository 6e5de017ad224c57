"""`mllosses predict`: what it writes, refuses and leaves as it is."""

import csv

import jax
import numpy as np
import pytest
from compare_inputs import BASELINE, OTHER, assert_refused

from mllosses_jax.compare import Predictor, compare
from mllosses_jax.data import load

TUNED = "asymmetric_loss(gamma_neg=2)"
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with a comparison, the CSV file it was made of, and its features by name."""
    folder = tmp_path_factory.mktemp("predict")
    generator = np.random.default_rng(2)
    table = {name: generator.normal(size=75) for name in ("height", "weight", "age")}
    labels = {"label:up, or": table["height"] > 0, "label:right": table["age"] > 0.3}
    labels |= {"label:down": table["height"] < 0.1, "label:left": table["age"] < 0}
    columns = table | {name: value.astype(int) for name, value in labels.items()}
    path = folder / "train.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    with jax.numpy_dtype_promotion("standard"):
        compare(path, losses=[BASELINE, TUNED], num_seeds=1, out=folder / "out")
    return folder / "out", path, load(path).x_train


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, np.array(rows, float)


def shuffled(path, target, drop=None):
    """Writes the columns of a CSV file in another order, without labels and with one more."""
    with path.open(newline="") as file:
        rows = [{**row, "id": "x1"} for row in csv.DictReader(file)]
    names = [name for name in ("id", "age", "height", "weight") if name != drop]
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_new_rows_get_labels_probabilities_and_scores(results, here, tmp_path):
    out, path, x = results
    new = shuffled(path, tmp_path / "new.csv")
    arguments = ["predict", out, new, "--out", "sets.csv", "--scores", "s.csv"]
    done = here(*arguments, "--probabilities", "p.csv")
    assert done.returncode == 0, done.stderr
    assert "75 rows, 4 labels, " in done.stdout
    assert "Written to sets.csv, p.csv, s.csv." in done.stdout
    expected = Predictor.load(out)
    for name, values in {
        "sets.csv": expected.predict(x),
        "s.csv": expected.scores(x),
        "p.csv": expected.probabilities(x),
    }.items():
        header, found = read(tmp_path / name)
        assert header == ["up, or", "right", "down", "left"]
        np.testing.assert_array_equal(found.astype(np.float32), values.astype(np.float32))
    _, sets = read(tmp_path / "sets.csv")
    truth = np.stack([x[:, 0] > 0, x[:, 2] > 0.3, x[:, 0] < 0.1, x[:, 2] < 0], axis=1)
    assert np.mean(sets == truth) > 0.9
    assert here("evaluate", "s.csv", "sets.csv", "--inputs", "logits").returncode == 0


def test_the_model_of_each_loss_can_be_asked_for(results, here, tmp_path):
    out, path, x = results
    done = here("predict", out, path, "--loss", TUNED)
    assert done.returncode == 0, done.stderr
    assert TUNED in done.stdout
    _, found = read(tmp_path / "labels.csv")
    np.testing.assert_array_equal(found, Predictor.load(out, loss=TUNED).predict(x))
    np.savez(tmp_path / "x.npz", X=x)
    again = here("predict", out / "predictor.npz", tmp_path / "x.npz", "--force")
    assert again.returncode == 0, again.stderr
    _, found = read(tmp_path / "labels.csv")
    np.testing.assert_array_equal(found, Predictor.load(out).predict(x))


def test_nothing_is_overwritten(results, here, tmp_path):
    out, path, _ = results
    for option, file in (("--out", "labels.csv"), ("--scores", "s.csv")):
        (tmp_path / file).write_text("mine")
        arguments = ["predict", out, path, "--out", "labels.csv", option, file]
        assert_refused(here(*arguments), f"{file} exists", option, "--force")
        assert (tmp_path / file).read_text() == "mine"
        (tmp_path / file).unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["OUT", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        (["nowhere", "TRAIN"], ["nowhere holds no predictor", "finished comparison"]),
        (["OUT", "TRAIN", "--loss", OTHER], [OTHER, "(--loss)", BASELINE]),
        (["OUT", "LACKING"], ["lacking.csv", "line 1", "feature 'weight'", "is missing"]),
        (["OUT", "WIDE"], ["(3, 4)", "(rows, 3)"]),
        (["OUT", "TRAIN", "--out", "labels.txt"], ["--out", ".csv", "labels.txt"]),
        (["OUT", "TRAIN", "--scores", "no/s.csv"], ["no/s.csv", "no such folder", "--scores"]),
        (["OUT", "TRAIN", "--scores", "labels.csv"], ["--out and --scores", "different"]),
        (["TRAIN", "TRAIN"], ["train.csv holds no predictor"]),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(arguments, words, results, here, tmp_path):
    out, path, _ = results
    (tmp_path / "given").mkdir()
    lacking = shuffled(path, tmp_path / "given" / "lacking.csv", drop="weight")
    np.savez(tmp_path / "given" / "wide.npz", X=np.zeros((3, 4)))
    real = {"OUT": out, "TRAIN": path, "LACKING": lacking}
    real["WIDE"] = tmp_path / "given" / "wide.npz"
    assert_refused(here("predict", *(real.get(word, word) for word in arguments)), *words)
    assert [file.name for file in tmp_path.iterdir()] == ["given"]
