"""Errors of broken files: one line that says where, what is wrong and how to mend it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mllosses_jax.data import DataError, load


def check(path: Path, line: int | None, words: str, **options: Any) -> None:
    """Loads the file, which must fail with its name, the line and the words."""
    with pytest.raises(DataError) as error:
        load(path, **options)
    message = str(error.value)
    place = f"{path}: " if line is None else f"{path}, line {line}: "
    assert message.startswith(place)
    assert words in message
    assert "\n" not in message
    assert ";" in message, "the message must say how to mend it"


# --- any file


def test_one_row_has_no_test_part(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("f,label:a\n1,1\n")
    with pytest.raises(DataError, match="has one row, so no test part can be split off; add rows"):
        load(path).with_test(0.2, seed=0)


def test_labels_of_strings_with_a_mask(tmp_path: Path) -> None:
    path, ones = tmp_path / "a.npz", np.ones((3, 1))
    np.savez(path, X_train=ones, Y_train=np.array([["1"]] * 3), mask_train=ones)
    with pytest.raises(DataError, match="holds <U1 values; they must be 0 or 1"):
        load(path)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.svm", "a.arff"])
def test_missing_file_and_folder(tmp_path: Path, name: str) -> None:
    check(tmp_path / name, None, "no such file")
    (tmp_path / name).mkdir()
    check(tmp_path / name, None, "is a folder")


KNOWN = (
    "ends in .csv, .tsv, .jsonl, .arff, .parquet, .npz, .libsvm, .svm, .svmlight, .txt (text also "
    "as .gz), or 'mosaics'"
)


@pytest.mark.parametrize("name", ["a.xlsx", "mosaic", "a", "a.gz", "a.npz.gz", "a.parquet.gz"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    check(tmp_path / name, None, KNOWN)


@pytest.mark.parametrize("name", ["a.csv", "a.svm", "a.arff"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \r\n\n"])
def test_empty_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    check(tmp_path / name, None, "the file is empty")


@pytest.mark.parametrize("name", ["a.csv", "a.svm", "a.arff"])
def test_wrong_encoding(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("a,b\n1,2\nmüde,3\n".encode("latin-1"))
    check(tmp_path / name, 3, "save it as UTF-8")


def test_labels_where_the_data_names_its_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **GOOD)
    check(tmp_path / "a.npz", None, "leave labels= out", labels=3)
    check(Path("mosaics"), None, "leave labels= out", labels=3)
    with pytest.raises(DataError, match="leave labels= out"):
        load("mosaics", labels=["a"])


def test_error_survives_pickling() -> None:
    """The error may come from another process."""
    error = pickle.loads(pickle.dumps(DataError("bad; mend it", path=Path("a.csv"), line=3)))
    assert str(error) == "a.csv, line 3: bad; mend it"
    assert str(DataError("bad", line=3)) == "line 3: bad"


# --- npz

GOOD = {"X_train": np.ones((2, 2)), "Y_train": np.eye(2), "label_names": np.array(["a", "b"])}
SPARSE = {
    "X_train_indptr": np.array([0, 1, 2]),
    "X_train_indices": np.array([0, 1]),
    "X_train_shape": np.array([2, 2]),
    "Y_train": np.eye(2),
}
OBJECTS = np.array([[1, None], [None, 1]], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"Y_train": np.eye(2)}, "no array X_train; found: Y_train"),
        ({"X_train": np.eye(2)}, "no array Y_train"),
        ({}, "found: none"),
        (GOOD | {"X_test": np.eye(2)}, "no array Y_test"),
        (GOOD | {"Y_test": np.eye(2)}, "no array X_test"),
        (GOOD | {"X_train": np.eye(3)}, "x_train has 3 rows but y_train has 2"),
        (GOOD | {"X_train": np.ones(2)}, "x_train has shape (2,)"),
        (GOOD | {"X_train": [[0.0, 1.0], [np.nan, 1.0]]}, "NaN or infinite at row 1, column 0"),
        (GOOD | {"Y_train": [[0, 1], [1, 2]]}, "y_train has 2 at row 1, column 1"),
        (GOOD | {"label_names": np.array(["a", "a"])}, "'a' occurs twice"),
        (GOOD | {"label_names": np.array(["a"])}, "1 label names for the 2 columns"),
        (GOOD | {"label_names": np.array([1, 2])}, "label_names must be a vector of strings"),
        (GOOD | {"mask_train": np.eye(3)}, "mask_train (3, 3) and y_train (2, 2)"),
        (GOOD | {"X_train": OBJECTS}, "X_train holds pickled objects"),
        (GOOD | {"label_names": np.array(["a", "b"], object)}, "label_names holds pickled"),
        (SPARSE | {"X_train_indptr": np.array([0, 2])}, "X_train_indptr does not fit 2 rows"),
        (SPARSE | {"X_train_indptr": np.array([0, 3, 2])}, "X_train_indptr does not fit"),
        (SPARSE | {"X_train_indptr": np.array([1, 1, 2])}, "X_train_indptr does not fit"),
        (SPARSE | {"X_train_indptr": np.array([0, 1, 1])}, "X_train_indptr does not fit"),
        (SPARSE | {"X_train_indptr": np.zeros(0, int)}, "X_train_indptr does not fit"),
        (SPARSE | {"X_train_indices": np.array([0, 2])}, "index out of range (0 to 1)"),
        (SPARSE | {"X_train_indices": np.array([-1, 0])}, "index out of range"),
        (SPARSE | {"X_train_indices": np.array([0.0, 1])}, "indices must be a vector of whole"),
        (SPARSE | {"X_train_shape": np.array([2])}, "X_train_shape is [2]"),
        (SPARSE | {"X_train_shape": np.array([2, -2])}, "X_train_shape is [2, -2]"),
        (SPARSE | {"X_train_shape": np.array([2, 10**10])}, "74.5 GiB"),
        (SPARSE | {"X_train_data": np.ones(3)}, "X_train_data is not one number per index"),
        (SPARSE | {"X_train_data": np.array([1.0, np.inf])}, "NaN or infinite at row 1"),
        (
            SPARSE | {"X_train_indptr": [0, 2, 2], "X_train_indices": [1, 1]},
            "X_train_indices names a column twice",
        ),
        (
            {k: v for k, v in SPARSE.items() if k != "X_train_shape"},
            "no array X_train_shape",
        ),
    ],
)
def test_npz(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    check(path, None, words)


def test_npz_sparse_label_that_is_not_whole(tmp_path: Path) -> None:
    """Storing it as a whole number would round it to 0."""
    y = {f"Y_train_{key[8:]}": value for key, value in SPARSE.items() if key != "Y_train"}
    np.savez(tmp_path / "a.npz", X_train=np.eye(2), **y, Y_train_data=np.array([1.0, 0.5]))
    check(tmp_path / "a.npz", None, "y_train has 0.5 at row 1, column 1")


def test_npz_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    np.savez(tmp_path / "a.npz", X_train=np.array([Bomb()], object), Y_train=np.eye(2))
    check(tmp_path / "a.npz", None, "pickled objects")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb()))
    check(tmp_path / "b.npz", None, "is not an .npz archive")
    assert not (tmp_path / "ran").exists()


def test_npz_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X_train=np.random.default_rng(0).random((50, 50)), Y_train=np.eye(50))
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:200], whole[:-30]):
        path.write_bytes(content)
        check(path, None, "is not an .npz archive")
    path.write_bytes(whole[:2000] + b"\0" * 50 + whole[2050:])
    check(path, None, "array X_train is damaged")
    np.save(tmp_path / "b.npy", np.eye(2))
    path.write_bytes((tmp_path / "b.npy").read_bytes())
    check(path, None, "is not an .npz archive")


# --- csv


@pytest.mark.parametrize(
    ("text", "line", "words", "labels"),
    [
        ("a,b\n1,0\n", 1, "no column is a label; start their names with 'label:'", None),
        ("a,label:b\n", 1, "no rows below the header", None),
        ("label:a,label:b\n1,0\n", 1, "all columns are labels", None),
        ("a,a,label:b\n1,1,0\n", 1, "column 'a' occurs twice", None),
        ("a,label:b,label_b\n1,1,0\n", None, "label name 'b' occurs twice", None),
        ("a,label:b\n1,0\n1\n", 3, "1 cells under a header of 2", None),
        ("a,label:b\n1,0\n\n1,0,\n", 4, "3 cells under a header of 2", None),
        ("a,label:b\n1,0\nx,0\n", 3, "feature 'a' is 'x', not a number", None),
        ("a,label:b\n1,0\ninf,0\n", 3, "feature 'a' is 'inf', beyond float32", None),
        ("a,label:b\n1,0\n1e39,0\n", 3, "beyond float32", None),
        ("a,label:b\n1,0\n1,2\n", 3, "label 'label:b' is '2'; labels are 0 or 1", None),
        ("a,label:b\n1,-1\n", 2, "? if unknown", None),
        ("a,label:b\n1,maybe\n", 2, "label 'label:b' is 'maybe'", None),
        (",a,label:b,\n0,1,0,1\n", 1, "column number 3 is empty", None),
        ('a,label:b\n1,"0\n1,0\n', 3, "is not valid CSV", None),
        ('"a\nb",label:b\n1,0\n1,x\n', 4, "label 'label:b' is 'x'", None),
        ("a,b\n1,0\n", None, "label 'c' is not a column; the columns are 'a', 'b'", ["c"]),
        ('"a\nx",b\n1,0\n', None, "label 'c' is not a column", ["c"]),
        ("a,b\n1,0\n", None, "labels=2 of 2 columns", 2),
        ("a,b\n1,0\n", None, "labels=0 of 2 columns", 0),
        ("a,b\n1,0\n", None, "'b' occurs twice", ["b", "b"]),
        ("a,b\n1,0\n", 1, "no column is a label", []),
        ("a,b\n1,0\n", 1, "all columns are labels", ["a", "b"]),
    ],
)
def test_csv(tmp_path: Path, text: str, line: int | None, words: str, labels: Any) -> None:
    (tmp_path / "a.csv").write_text(text)
    check(tmp_path / "a.csv", line, words, labels=labels)


# --- svmlight


@pytest.mark.parametrize(
    ("text", "line", "words", "labels"),
    [
        ("1 0:1\n\n1 x:1\n", 3, "'x:1' is not index:value", None),
        ("1 0:1\n1 5\n", 2, "'5' is not index:value", None),
        ("1, 3 0:1\n", 1, "label '' is not a whole number", None),
        ("1 -1:1\n", 1, "'-1:1' is not index:value", None),
        ("1 0:one\n", 1, "feature '0' is 'one', not a number", None),
        ("1 0:nan\n", 1, "feature '0' is missing", None),
        ("1 0:inf\n", 1, "beyond float32", None),
        ("1 0:\n", 1, "feature '0' is missing (empty)", None),
        ("1 0:1 0:2\n", 1, "feature 0 occurs twice", None),
        ("0 1:1\n-1 1:1\n", 2, "label '-1' is not a whole number", None),
        ("1.5 1:1\n", 1, "label '1.5' is not a whole number", None),
        ("cat,dog 1:1\n", 1, "label 'cat' is not a whole number", None),
        ("# nothing\n", None, "no rows", None),
        ("0:1\n0:2\n", None, "no row has a label", None),
        ("1\n2\n", None, "x_train has shape (2, 0)", None),
        ("2 3 2\n0 0:1\n1 3:1\n", 3, "feature 3 is out of range; the header says 3", None),
        ("2 3 2\n0 0:1\n2 0:1\n", 3, "label 2 is out of range; there are 2", None),
        ("3 3 2\n0 0:1\n1 0:1\n", 1, "the header says 3 rows, but the file has 2", None),
        ("1 3 2\n0 0:1\n1 0:1\n", 1, "the header says 1 rows, but the file has 2", None),
        ("1 3 0\n0:1\n", None, "no row has a label", None),
        ("1 9999999999 1\n0 0:1\n", None, "37.3 GiB", None),
        ("1 1 9999999999\n0 0:1\n", None, "GiB", None),
        ("0 9999999999:1\n", None, "GiB", None),
        ("1 3 2\n0 0:1\n", 1, "3 label names, but the header says 2", ["a", "b", "c"]),
        ("1 3 2\n0 0:1\n", 1, "labels=3, but the header says 2", 3),
        ("0 0:1\n2 0:1\n", 2, "label 2 is out of range; there are 2", 2),
        ("0 0:1\n2 0:1\n", 2, "label 2 is out of range; there are 2", ["a", "b"]),
        ("0 0:1\n1 0:1\n", None, "label name 'a' occurs twice", ["a", "a"]),
    ],
)
def test_svmlight(tmp_path: Path, text: str, line: int | None, words: str, labels: Any) -> None:
    (tmp_path / "a.svm").write_text(text)
    check(tmp_path / "a.svm", line, words, labels=labels)


# --- ARFF

HEAD = "@relation 'a: -C 1'\n@attribute l {0,1}\n@attribute x real\n@attribute c {u,v}\n@data\n"


@pytest.mark.parametrize(
    ("text", "line", "words", "labels"),
    [
        (HEAD.replace(": -C 1", "") + "1,1,u\n", None, "put a.xml beside it", None),
        (HEAD.replace("-C 1", "-C 3") + "1,1,u\n", None, "-C 3 in the relation of 3", None),
        (HEAD.replace("-C 1", "-C -3") + "1,1,u\n", None, "-C -3 in the relation of 3", None),
        (HEAD.replace("-C 1", "-C 0") + "1,1,u\n", None, "-C 0 in the relation of 3", None),
        (HEAD, 5, "no rows below @data", None),
        (HEAD.replace("@data", "data") + "@data\n1,1,u\n", 5, "'data' in the header", None),
        (HEAD.replace("@data\n", ""), None, "no @data line", None),
        ("@relation a\n@data\n1\n", 2, "no @attribute before @data", None),
        (HEAD.replace("x real", "l real") + "1,1,u\n", None, "attribute 'l' occurs twice", None),
        (HEAD.replace("{u,v}", "{u,u}") + "1,1,u\n", 4, "'c', 'u' occurs twice", None),
        (HEAD.replace("x real", "x string") + "1,1,u\n", 3, "'x' has type string", None),
        (HEAD.replace("x real", "x") + "1,1,u\n", 3, "'x' has type none", None),
        (HEAD.replace("x real", "'x real") + "1,1,u\n", 3, "is not understood", None),
        (HEAD.replace("{u,v}", "{u,v") + "1,1,u\n", 4, "values of 'c' are not understood", None),
        (HEAD.replace("{u,v}", "{}") + "1,1,u\n", 4, "values of 'c' are not understood", None),
        (HEAD + "1,1,u\n1,1\n", 7, "2 cells for 3 attributes", None),
        (HEAD + "%\n1,1,u,\n", 7, "4 cells for 3 attributes", None),
        (HEAD + "1,one,u\n", 6, "feature 'x' is 'one', not a number", None),
        (HEAD + "1,?,u\n", 6, "feature 'x' is missing (?)", None),
        (HEAD + "1,nan,u\n", 6, "feature 'x' is missing (nan)", None),
        (HEAD + "1,1e99,u\n", 6, "beyond float32", None),
        (HEAD + "1,1,w\n", 6, "feature 'c' is 'w', not one of its declared values", None),
        (HEAD + "1,1,?\n", 6, "feature 'c' is '?'", None),
        (HEAD + "2,1,u\n", 6, "label 'l' is '2'; labels are 0 or 1", None),
        (HEAD + "1,1,'u\n", 6, "quotes do not match", None),
        (HEAD + "{0 1\n", 6, "a sparse row ends with }", None),
        (HEAD + "{0 1, 3 1}\n", 6, "index 3 is out of range", None),
        (HEAD + "{0 1, 0 1}\n", 6, "index 0 occurs twice", None),
        (HEAD + "{0 1, x 1}\n", 6, "'x 1' in a sparse row", None),
        (HEAD + "{0}\n", 6, "'0' in a sparse row", None),
        (HEAD + "1,1,u\n", None, "label 'z' is not a column", ["z"]),
    ],
)
def test_arff(tmp_path: Path, text: str, line: int | None, words: str, labels: Any) -> None:
    (tmp_path / "a.arff").write_text(text)
    check(tmp_path / "a.arff", line, words, labels=labels)


@pytest.mark.parametrize(
    ("xml", "line", "words"),
    [
        ('<labels>\n<label name="l">\n</labels>', 3, "is not valid XML"),
        ('<labels><label name="z"/></labels>', None, "label 'z' is not an attribute of a.arff"),
        ("<labels></labels>", None, "names no labels"),
        ("<labels><label/></labels>", None, "names no labels"),
        ('<labels><label name="l"/><label name="l"/></labels>', None, "label 'l' occurs twice"),
        ('<!DOCTYPE l [<!ENTITY a "a">]>\n<labels/>', None, "has a document type"),
    ],
)
def test_arff_label_file(tmp_path: Path, xml: str, line: int | None, words: str) -> None:
    """The message names the XML file, not the ARFF file."""
    (tmp_path / "a.arff").write_text(HEAD + "1,1,u\n")
    (tmp_path / "a.xml").write_text(xml)
    with pytest.raises(DataError) as error:
        load(tmp_path / "a.arff")
    place = f"{tmp_path / 'a.xml'}" + ("" if line is None else f", line {line}") + ": "
    assert str(error.value).startswith(place)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("test", "line", "words"),
    [
        (HEAD + "1,1,u\n1,x,u\n", 7, "feature 'x' is 'x'"),
        (HEAD.replace("x real", "z real") + "1,1,u\n", None, "'x' of the training file is missing"),
        (HEAD.replace("@data", "@attribute w real\n@data") + "1,1,u,1\n", None, "has attributes"),
        (HEAD.replace("{u,v}", "{u,v,w}") + "1,1,w\n", 6, "feature 'c' is 'w'"),
    ],
)
def test_arff_test_file(tmp_path: Path, test: str, line: int | None, words: str) -> None:
    """The message names the test file."""
    (tmp_path / "a-train.arff").write_text(HEAD + "1,1,u\n")
    (tmp_path / "a-test.arff").write_text(test)
    with pytest.raises(DataError) as error:
        load(tmp_path / "a-train.arff")
    place = f"{tmp_path / 'a-test.arff'}" + ("" if line is None else f", line {line}") + ": "
    assert str(error.value).startswith(place)
    assert words in str(error.value)
