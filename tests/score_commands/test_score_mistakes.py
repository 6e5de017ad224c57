"""Files of scores and options that are wrong: one line on stderr, and exit status 2."""

import numpy as np
import pytest
from score_inputs import NAMES, assert_refused


def test_an_archive_that_lacks_something_is_refused(mllosses, compared, tmp_path):
    def save(name, **changed):
        arrays = {k: v for k, v in (compared | changed).items() if v is not None}
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    bare = save("bare.npz", labels=None)
    deep = save("deep.npz", scores=np.stack([compared["scores"]] * 2))
    odd = save("odd.npz", inputs=np.array("margins"))
    silent = save("silent.npz", inputs=None)
    features = save("features.npz", inputs=np.zeros((120, 3)))
    for command in ("evaluate", "tune", "calibrate"):
        assert_refused(
            mllosses(command, bare), "give LABELS, or an .npz that holds scores and labels"
        )
        assert_refused(mllosses(command, deep), deep, "(2, 120, 5)", "scores[0]", "mean")
        assert_refused(mllosses(command, odd), odd, "'margins'", "logits or probabilities")
        for file in (silent, features):
            assert_refused(mllosses(command, file), file, "give --inputs logits or --inputs prob")
        done = mllosses(command, "test.npz", "--inputs", "probabilities")
        assert_refused(done, "test.npz", "scores are logits", "says probabilities")
        assert_refused(mllosses(command, "x.npy", "--inputs", "logits"), "give LABELS")
    assert mllosses("evaluate", features, "--inputs", "logits")[0] == 0


MISTAKES = [
    (["evaluate", "nowhere.npy", "y.npy"], ["nowhere.npy", "no such file"]),
    (["evaluate", "x.npy", "y.txt"], ["y.txt", "unknown kind of file", ".csv"]),
    (["evaluate", "x.npy", "few.npy"], ["few.npy", "(100, 5)", "x.npy", "(120, 5)"]),
    (["evaluate", "x.npy", "minus.npy"], ["minus.npy", "-1", "row 0, column 2", "NaN"]),
    (["evaluate", "x.npz", "other.npz"], ["other.npz", "['fog']", "['none']", "same names"]),
    (["evaluate", "x.npz", "twice.npz"], ["twice.npz", "'sun' occurs twice"]),
    (["evaluate", "x.npy", "x.npy"], ["x.npy", "0 or 1"]),
    (["evaluate", "nan.npy", "y.npy"], ["nan.npy", "row 3, column 1", "missing", "unknown"]),
    (["evaluate", "broken.npy", "y.npy"], ["broken.npy", "cut short", "numpy.save"]),
    (["evaluate", "broken.npz", "y.npy"], ["broken.npz", "cut short", "numpy.savez"]),
    (["evaluate", "objects.npy", "y.npy"], ["objects.npy", "pickled objects"]),
    (["evaluate", "flat.npy", "y.npy"], ["flat.npy", "(5,)", "(samples, labels)"]),
    (["evaluate", "words.npy", "y.npy"], ["words.npy", "must be numbers"]),
    (["evaluate", "two.npz", "y.npy"], ["two.npz", "no array scores", "a, b"]),
    (["evaluate", "x.npy", "mask.npz"], ["mask.npz", "where has shape (120,)"]),
    (["evaluate", "bad.csv", "y.npy"], ["bad.csv, line 3", "'sea'", "not a number"]),
    (["evaluate", "ragged.csv", "y.npy"], ["ragged.csv, line 2", "1 cells", "header of 2"]),
    (["evaluate", "bare.csv", "y.npy"], ["bare.csv, line 1", "line of names"]),
    (["evaluate", "x.npy", "half.csv"], ["half.csv, line 2", "'0.5'", "0 or 1"]),
    (["evaluate", "x.npy", "y.npy", "--thresholds", "y.npy"], ["y.npy", "mllosses tune"]),
    (["evaluate", "x.npy", "y.npy", "--threshold", "high"], ["--threshold", "'high'"]),
    (["evaluate", "x.npy", "y.npy", "--force"], ["--force", "--out"]),
    (["evaluate", "x.npy", "y.npy", "--out", "FILE"], ["FILE"]),
    (["tune", "x.npy", "y.npy", "--beta", "2"], ["beta 2", "--objective fbeta"]),
    (["tune", "x.npy", "y.npy", "--folds", "121"], ["--folds", "120", "121"]),
    (["tune", "x.npy", "none.npy"], ["no label has a positive"]),
    (["tune", "x.npy", "y.npy", "--shrinkage", "1", "--scope", "global"], ["--shrinkage"]),
    (["tune", "x.npy", "y.npy", "--shrinkage", "-1"], ["--shrinkage", "at least 0"]),
    (["tune", "x.npy", "y.npy", "--out", "no/folder.json"], ["no/folder.json", "no such folder"]),
    (["calibrate", "x.npy"], ["LABELS", "--apply"]),
    (["calibrate", "x.npy", "y.npy", "--folds", "1"], ["--folds", "1"]),
    (["calibrate", "x.npy", "--apply", "none.json"], ["none.json", "No such file"]),
    (["calibrate", "x.npy", "--apply", "a.json", "--out", "a.csv"], [".npy", "a.csv"]),
]


@pytest.fixture(scope="module")
def broken(arrays, files):
    """Writes files with mistakes beside the valid ones."""
    x, y, _ = arrays
    np.save(files / "few.npy", y[:100])
    minus = y.astype(int)
    minus[0, 2] = -1
    np.save(files / "minus.npy", minus)
    np.savez(files / "other.npz", y, label_names=np.array([*NAMES[:4], "fog"]))
    np.savez(files / "twice.npz", y, label_names=np.array([*NAMES[:4], "sun"]))
    nan = x.copy()
    nan[3, 1] = np.nan
    np.save(files / "nan.npy", nan)
    (files / "broken.npy").write_bytes((files / "x.npy").read_bytes()[:900])
    (files / "broken.npz").write_bytes((files / "x.npz").read_bytes()[:900])
    np.save(files / "objects.npy", np.array([[{}]]), allow_pickle=True)
    np.save(files / "flat.npy", x[0])
    np.save(files / "words.npy", np.full(x.shape, "a"))
    np.save(files / "none.npy", np.zeros_like(y))
    np.savez(files / "two.npz", a=x, b=x)
    np.savez(files / "mask.npz", labels=y, where=y[:, 0])
    (files / "y.txt").write_text("0")
    (files / "bad.csv").write_text("sun,sea\n0.1,0.2\n0.1,high\n")
    (files / "ragged.csv").write_text("sun,sea\n0.1\n")
    (files / "bare.csv").write_text("0.1,0.2\n0.3,0.4\n")
    (files / "half.csv").write_text("sun,sea\n0,0.5\n")


@pytest.mark.parametrize(
    ("arguments", "words"), MISTAKES, ids=lambda value: " ".join(map(str, value))
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, words, mllosses, broken, tmp_path):
    (tmp_path / "FILE").write_text("mine")
    assert_refused(mllosses(*arguments, "--inputs", "logits"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]
    assert (tmp_path / "FILE").read_text() == "mine"


@pytest.mark.parametrize("command", ["evaluate", "tune", "calibrate"])
def test_a_folder_that_is_not_writable_is_refused_before_work(
    command, mllosses, broken, tmp_path, monkeypatch
):
    # The mode of a folder would not stop a superuser.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    out = str(tmp_path if command == "evaluate" else tmp_path / "out.json")
    arguments = [command, "x.npy", "y.npy", "--inputs", "logits", "--out", out]
    assert_refused(mllosses(*arguments), "cannot write", "--out")
    assert not list(tmp_path.iterdir())


def test_what_the_scores_are_is_not_guessed(mllosses):
    for command in ("evaluate", "tune", "calibrate"):
        assert_refused(mllosses(command, "x.npy", "y.npy"), "--inputs")
        done = mllosses(command, "x.npy", "y.npy", "--inputs", "probabilities")
        assert_refused(done, "x.npy", "not a probability", "--inputs logits")
