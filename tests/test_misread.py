"""Files are not misread: headers, numbers, unknown labels, and arrays that fit into memory."""

import numpy as np
import pytest

from mllosses_jax import data
from mllosses_jax._core.memory import available_memory
from mllosses_jax.cli import argument_types
from mllosses_jax.cli.main import main
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data._text import is_unknown, to_float, to_whole
from mllosses_jax.data.scores import read_scores, read_scores_and_labels

NAMES = ("sea", "sun", "sand")
LABELS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
SCORES = np.array([[0.5, 1, -2], [3, 4, 5], [-1, 0, 1]])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def table(names, rows):
    return "\n".join(",".join(map(str, row)) for row in (names, *rows)) + "\n"


# The header of a CSV file.


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ("0,1,2", "0,1,2"),  # the header that our own writers use
        ("0,1,2", "sea,sun,sand"),
        ("7,2021,10", "2021,7,10"),  # numbers that are label names
        ("sea,0.5,sand", "sea,sand,0.5"),
    ],
)
def test_headers_that_are_names(scores, labels, tmp_path):
    given = write(tmp_path / "x.csv", table(scores.split(","), SCORES))
    truth = write(tmp_path / "y.csv", table(labels.split(","), LABELS))
    if set(scores.split(",")) != set(labels.split(",")):
        truth = tmp_path / "y.npy"
        np.save(truth, LABELS)
    found = read_scores_and_labels(given, truth, inputs="logits")
    assert found.label_names == tuple(scores.split(","))
    np.testing.assert_array_equal(found.scores, SCORES)
    order = range(3)
    if truth.suffix == ".csv":
        order = [labels.split(",").index(name) for name in scores.split(",")]
    np.testing.assert_array_equal(found.labels, LABELS[:, order])


@pytest.mark.parametrize(
    "header", ["0.93,1e-05,0.2", "0,1,0.2", "7,2021,10", "2,1,0", "1,2,3", "-0.5,nan,NA", "inf,1,2"]
)
def test_a_header_that_is_a_row_of_scores(header, tmp_path):
    path = write(tmp_path / "x.csv", table(header.split(","), SCORES))
    np.savez(tmp_path / "y.npz", LABELS, label_names=np.array(NAMES))
    for read in (
        lambda: read_scores_and_labels(path, tmp_path / "y.npz", inputs="logits"),
        lambda: read_scores(path, inputs="logits"),
    ):
        with pytest.raises(DataError, match=r"x\.csv, line 1: the header reads like a row of sc"):
            read()


@pytest.mark.parametrize("header", ["0,1,?", "1,0,NA", "true,0,?", "1.0,0.0,nan"])
def test_a_header_that_is_a_row_of_labels(header, tmp_path):
    np.save(tmp_path / "x.npy", SCORES)
    path = write(tmp_path / "y.csv", table(header.split(","), LABELS))
    with pytest.raises(DataError, match=r"y\.csv, line 1: the header reads like a row of labels"):
        read_scores_and_labels(tmp_path / "x.npy", path, inputs="logits")


@pytest.mark.parametrize("header", ["0.93,1e-05,1,0", "5,7,0,1", "5,?,0,1", "3,2,1,0"])
def test_a_header_that_is_a_row_of_data(header, tmp_path):
    path = write(tmp_path / "a.csv", table(header.split(","), [(1, 2, 0, 1)] * 3))
    with pytest.raises(DataError, match=r"line 1: the header reads like a row of numbers"):
        load(path, labels=2)
    # Whoever names the labels has seen the header.
    names = header.split(",")[2:]
    assert load(path, labels=names).label_names == tuple(names)
    path = write(tmp_path / "b.csv", table("0123", [(1, 2, 0, 1)] * 3))
    assert load(path, labels=2).label_names == ("2", "3")


@pytest.mark.parametrize("header", ["a,label:,label:b", "a,label_ ,label:b"])
def test_columns_without_a_name(header, tmp_path):
    path = write(tmp_path / "a.csv", header + "\n1,0,1\n1,1,0\n")
    with pytest.raises(DataError, match=r"line 1: .* has no name; give it one"):
        load(path)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_separator_other_than_a_comma(separator, tmp_path):
    rows = [("label:b", "a", "label:c"), ("1", "-2.5", "0")]
    path = write(tmp_path / "a.csv", "".join(separator.join(row) + "\n" for row in rows))
    found = load(path)
    assert (found.x_train.tolist(), found.y_train.tolist()) == ([[-2.5]], [[True, False]])
    assert read_scores(path, inputs="logits").scores.tolist() == [[1, -2.5, 0]]


def test_decimal_commas_stand_between_semicolons_only(tmp_path):
    rows = [("a", "b", "label:c"), ("1,5", "-,5e1", "0"), ("+2", "3,25", "1")]
    expected = [[1.5, -5], [2, 3.25]]
    for separator, name in ((";", "a.csv"), (";", "b.csv"), ("\t", "c.tsv"), ("|", "d.csv")):
        path = write(tmp_path / name, "".join(separator.join(row) + "\n" for row in rows))
        if separator == ";":
            assert load(path).x_train.tolist() == expected
            scores = read_scores(path, inputs="logits").scores
            assert scores[:, :2].tolist() == expected
            continue
        # "1,234" is a thousand elsewhere.
        with pytest.raises(DataError, match="line 2: feature 'a' is '1,5', not a number"):
            load(path)
    path = write(tmp_path / "e.csv", "a;label:b\n1,5;0\n2.5;1\n")
    with pytest.raises(DataError, match=r"decimal commas \(1,5\) and decimal points \(2\.5\)"):
        load(path)


def test_a_label_whose_name_has_a_semicolon(tmp_path):
    path = write(tmp_path / "a.csv", "sea;sun\n0.5\n1\n")
    assert read_scores(path, inputs="logits").label_names == ("sea;sun",)


def test_blank_lines_around_a_single_column(tmp_path):
    """A blank line above the header is skipped; one below it is an empty cell."""
    path = write(tmp_path / "y.csv", "\nsea\n1\n\n0\n")
    np.save(tmp_path / "x.npy", np.ones((3, 1)))
    found = read_scores_and_labels(tmp_path / "x.npy", path, inputs="logits")
    assert found.label_names == ("sea",)
    assert found.labels.tolist() == [[True], [False], [False]]
    assert found.where.tolist() == [[True], [False], [True]]


# Numbers.


@pytest.mark.parametrize("text", ["2021_05", "1_0", "1_0.5", "1e1_0", "١٢", "½", "１", "0x10", ""])
def test_text_that_is_not_a_number(text, tmp_path):
    with pytest.raises(ValueError, match=r"number|convert"):
        to_float(text)
    assert to_whole(text) is None
    for read in (argument_types.finite, argument_types.positive, argument_types.seed):
        with pytest.raises(argument_types.argparse.ArgumentTypeError, match="must be"):
            read(text)
    if not text:
        return
    label_last = write(tmp_path / "a.csv", f"a,label:b\n1,0\n{text},1\n")
    with pytest.raises(DataError, match=r"line 3: feature 'a' is .*, not a number"):
        load(label_last)
    rows = write(tmp_path / "a.svm", f"1 1:1\n1 1:{text}\n")
    with pytest.raises(DataError, match=r"line 2: feature '1' is .*, not a number"):
        load(rows)
    scores = write(tmp_path / "x.csv", f"sea,sun\n1,2\n{text},2\n")
    with pytest.raises(DataError, match=r"line 3: score 'sea' is .*, not a number"):
        read_scores(scores, inputs="logits")


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 19, "1" + "0" * 30])
def test_whole_numbers_beyond_any_array(digits, tmp_path):
    assert to_whole(digits) is None
    assert to_whole("0" * 5000 + "12") == 12
    for read in (argument_types.positive, argument_types.seed, argument_types.columns):
        with pytest.raises(argument_types.argparse.ArgumentTypeError, match="2147483647"):
            read(digits)
    for line in (f"{digits} 1:1", f"1 {digits}:1"):
        with pytest.raises(DataError, match=r"a\.svm, line 1: .{10,300}$"):
            load(write(tmp_path / "a.svm", line + "\n"))


def test_numbers_that_are_numbers():
    for text, value in (("1e3", 1000.0), (" 2 ", 2.0), ("-.5", -0.5), ("+7", 7.0)):
        assert to_float(text) == value
    assert [to_whole(text) for text in ("0", "007", "2147483648")] == [0, 7, 2**31]
    assert argument_types.positive(str(2**31 - 1)) == 2**31 - 1


@pytest.mark.parametrize(
    "flag", [["--min-positives", str(10**30)], ["--folds", "1_0"], ["--seed", "9" * 5000]]
)
def test_flags_beyond_any_number(flag, capsys):
    assert main(["tune", "x.npz", *flag]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert flag[0] in error
    assert len(error) < 300


# One rule for unknown labels.


@pytest.mark.parametrize("word", ["", "?", "nan", "NaN", "NA", "na", " NA "])
def test_unknown_labels_are_the_same_everywhere(word, tmp_path):
    assert is_unknown(word)
    expected = [[True, False], [True, True]]
    text = write(tmp_path / "a.csv", f"f,label:a,label:b\n1,1,{word}\n2,0,1\n")
    assert load(text).mask_train.tolist() == expected
    if word.strip():
        arff = "@relation r\n@attribute a {0,1}\n@attribute b {0,1}\n@attribute f real\n@data\n"
        text = write(tmp_path / "a.arff", f"{arff}1,{word},1\n0,1,2\n")
        assert load(text, labels=["a", "b"]).mask_train.tolist() == expected
        rows = write(tmp_path / "a.svm", f"0,1 1:1\n{word.strip()} 1:2\n")
        assert load(rows).mask_train.tolist() == [[True, True], [False, False]]
    cells = [
        f'{{"f": {j}, "label:a": {j}, "label:b": "{each}"}}' for j, each in ((1, word), (0, 1))
    ]
    assert load(write(tmp_path / "a.jsonl", "\n".join(cells))).mask_train.tolist() == expected
    names = write(tmp_path / "b.csv", f"f,labels\n1,a;b\n2,{word}\n")
    assert load(names).mask_train.tolist() == [[True, True], [False, False]]
    np.save(tmp_path / "x.npy", SCORES[:2, :2])
    text = write(tmp_path / "y.csv", f"a,b\n1,{word}\n0,1\n")
    found = read_scores_and_labels(tmp_path / "x.npy", text, inputs="logits")
    assert found.where.tolist() == expected
    scores = write(tmp_path / "x.csv", f"a,b\n1,{word}\n0,1\n")  # an unknown label needs no score
    found = read_scores_and_labels(scores, text, inputs="logits")
    assert found.where.tolist() == expected


@pytest.mark.parametrize("masked", [False, True])
def test_nan_is_an_unknown_label_in_arrays(masked, tmp_path):
    labels = np.array([[1, np.nan, 0], [np.nan, 1, 1]])
    mask = {"mask_train": np.array([[1, 1, 0], [1, 1, 1]])} if masked else {}
    np.savez(tmp_path / "a.npz", X_train=np.ones((2, 1)), Y_train=labels, **mask)
    found = load(tmp_path / "a.npz")
    assert found.mask_train.tolist() == [[True, False, not masked], [False, True, True]]
    assert found.y_train.tolist() == [[True, False, False], [False, True, True]]
    pieces = {
        "Y_train_indptr": [0, 2, 4],
        "Y_train_indices": [0, 1, 1, 2],
        "Y_train_data": [1, np.nan, 1, 1],
        "Y_train_shape": [2, 3],
    }
    np.savez(tmp_path / "b.npz", X_train=np.ones((2, 1)), **pieces)
    found = load(tmp_path / "b.npz")
    assert found.mask_train.tolist() == [[True, False, True], [True, True, True]]
    assert found.y_train.tolist() == [[True, False, False], [False, True, True]]


# Arrays from callers, and memory.


def test_sparse_matrices_are_named():
    sparse = pytest.importorskip("scipy.sparse")
    dense = {"x_train": np.ones((3, 2)), "y_train": LABELS, "mask_train": np.ones_like(LABELS)}
    for kind in (sparse.csr_matrix, sparse.coo_array):
        with pytest.raises(ValueError, match=r"y is a sparse c.*; give y\.toarray\(\)"):
            data.split(kind(LABELS), 0.5, seed=0)
        with pytest.raises(ValueError, match=r"mask is a sparse"):
            data.split(LABELS, 0.5, seed=0, mask=kind(LABELS))
        with pytest.raises(ValueError, match=r"features is a sparse"):
            data.standardize(kind(LABELS))
        for name, array in dense.items():
            with pytest.raises(DataError, match=rf"{name} is a sparse .*give {name}\.toarray"):
                Dataset(name="a", label_names=NAMES, **dense | {name: kind(array)})


def test_arrays_that_are_not_used_are_not_read(tmp_path, monkeypatch):
    """An unused array may be large, even one named `inputs` that holds features."""
    monkeypatch.setattr("mllosses_jax.data._archive.available_memory", lambda: 10_000)
    large = np.zeros(10**5)
    np.savez(tmp_path / "x.npz", scores=SCORES, inputs=large, labels=LABELS, other=large)
    assert read_scores_and_labels(tmp_path / "x.npz", inputs="logits").scores.shape == (3, 3)
    np.savez(tmp_path / "a.npz", X_train=SCORES, Y_train=LABELS, other=large)
    assert load(tmp_path / "a.npz").x_train.shape == (3, 3)
    np.savez(tmp_path / "b.npz", X_train=large[:, None], Y_train=LABELS)
    with pytest.raises(DataError, match=r"b\.npz: array X_train takes 0\.0 GiB, more than half"):
        load(tmp_path / "b.npz")


def test_memory_is_known():
    assert 2**28 < available_memory() < 2**50


def test_messages_name_options_on_the_command_line(tmp_path, capsys):
    """The library's own messages name its arguments instead."""
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    for arguments, words in (
        (["check", str(tmp_path / "data.csv")], "or give --labels with their names"),
        (["check", "mosaics", "--labels", "3"], "leave --labels out"),
        (["check", str(tmp_path)], "is a folder; give the path of a data file"),
        (["evaluate", str(tmp_path)], "is a folder; give the path of a file of scores"),
        (["compare", "mosaics", "--losses", "zlpr"], "did you mean zlpr_loss"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
