"""Tables that independent writers wrote: each format, its labels, its index and dropped columns."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from mllosses_jax.cli.main import main
from mllosses_jax.data import DataError, Dataset, load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.integers(0, 2, (12, 2))
KNOWN = RNG.random((12, 2)) < 0.8
NAMES = ["height", "width", "depth", "label:cat", "label:dog"]


def rows(unknown: object = None) -> list[list[Any]]:
    """The rows of one table, with features and then labels."""
    truth = [
        [int(y) if known else unknown for y, known in zip(*row, strict=True)]
        for row in zip(Y, KNOWN, strict=True)
    ]
    return [[*map(float, x), *y] for x, y in zip(X, truth, strict=True)]


def csv_text(table: list[list[Any]], header: list[str] = NAMES, **options: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, **options)
    writer.writerows([header, *table])
    return text.getvalue()


def jsonl_text(table: list[list[Any]], header: list[str] = NAMES) -> str:
    return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in table)


def write_parquet(path: Path, table: list[list[Any]], header: list[str] = NAMES) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {name: [row[j] for row in table] for j, name in enumerate(header)}
    parquet.write_table(pyarrow.table(columns), path)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def assert_is_the_table(data: Dataset) -> None:
    assert data.name == "toy"
    assert data.label_names == ("cat", "dog")
    assert data.x_test is None
    assert not data.sparse
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.known_train, KNOWN)
    np.testing.assert_array_equal(data.y_train, KNOWN & (Y == 1))


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("unknown", [None, "?", "NA", "nan"])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".csv", {}),
        (".csv", {"delimiter": ";"}),
        (".csv", {"delimiter": "\t", "quoting": csv.QUOTE_ALL}),
        (".tsv", {"delimiter": "\t"}),
    ],
)
def test_csv(tmp_path: Path, suffix: str, options: Any, unknown: str | None, packed: str) -> None:
    path = write(tmp_path / f"toy{suffix}{packed}", csv_text(rows(unknown), **options))
    assert_is_the_table(load(path))


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("unknown", [None, "?", "", "NA", float("nan")])
def test_jsonl(tmp_path: Path, unknown: object, packed: str) -> None:
    path = write(tmp_path / f"toy.jsonl{packed}", jsonl_text(rows(unknown)))
    assert_is_the_table(load(path))


def test_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "toy.parquet", rows())
    assert_is_the_table(load(tmp_path / "toy.parquet"))


def test_packed_svmlight_and_arff(tmp_path: Path) -> None:
    svm = "1,2 1:0.5\n? 2:1\n2 1:1\n"
    for name in ("a.svm", "a.svm.gz"):
        data = load(write(tmp_path / name, svm))
        assert (data.name, data.known_train.tolist()) == (
            "a",
            [[True] * 2, [False] * 2, [True] * 2],
        )
        assert data.y_train.tolist() == [[True, True], [False, False], [False, True]]
    arff = "@relation r\n@attribute a {0,1}\n@attribute b real\n@data\n1,2\n0,3\n"
    write(tmp_path / "b.xml", '<labels><label name="a"/></labels>')
    write(tmp_path / "b-test.arff.gz", arff)
    data = load(write(tmp_path / "b-train.arff.gz", arff))
    assert (data.name, data.label_names) == ("b", ("a",))
    assert data.x_test is not None
    assert data.x_test.tolist() == [[2], [3]]


def test_decimal_commas(tmp_path: Path) -> None:
    table = [[str(cell).replace(".", ",") for cell in row] for row in rows("")]
    assert_is_the_table(load(write(tmp_path / "toy.csv", csv_text(table, delimiter=";"))))


def test_words_for_labels_and_features(tmp_path: Path) -> None:
    text = "f,g,label:a\nyes,True,No\nNO,false,yes\nyes,?,TRUE\n"
    data = load(write(tmp_path / "a.csv", text))
    assert data.x_train.tolist() == [[1, 1], [0, 0], [1, 0.5]]
    assert data.y_train.tolist() == [[False], [True], [True]]


# A column with the labels of every row.

SETS = [["sea", "sun"], [], ["sand"], None, ["sun", "sand", "sea"]]


def assert_are_the_sets(data: Dataset) -> None:
    binarizer = MultiLabelBinarizer()
    expected = binarizer.fit_transform([each or [] for each in SETS])
    assert data.label_names == tuple(binarizer.classes_)
    np.testing.assert_array_equal(data.y_train, expected == 1)
    assert data.known_train.all(1).tolist() == [each is not None for each in SETS]
    assert data.known_train.any(1).tolist() == [each is not None for each in SETS]


@pytest.mark.parametrize("separator", [";", "|", ",", "; "])
@pytest.mark.parametrize("unknown", ["", "?", "NA", "nan"])
def test_names_of_labels_in_one_column(tmp_path: Path, separator: str, unknown: str) -> None:
    cells = [unknown if each is None else separator.join(each) or separator for each in SETS]
    table = [[j / 2, cell] for j, cell in enumerate(cells)]
    for header, given in ((["f", "labels"], None), (["f", "tags"], "tags"), (["f", "t"], 1)):
        path = write(tmp_path / "a.csv", csv_text(table, header))
        assert_are_the_sets(load(path, labels=given))  # type: ignore[arg-type]


def test_lists_of_labels(tmp_path: Path) -> None:
    table = [[[j, j / 4], each] for j, each in enumerate(SETS)]
    header = ["vector", "labels"]
    data = load(write(tmp_path / "a.jsonl", jsonl_text(table, header)))
    assert_are_the_sets(data)
    np.testing.assert_array_equal(data.x_train, [[j, j / 4] for j in range(5)])
    assert data.encoder is not None
    assert data.encoder.feature_names == ("vector[0]", "vector[1]")
    write_parquet(tmp_path / "a.parquet", table, header)
    assert_are_the_sets(load(tmp_path / "a.parquet"))


def test_lists_of_values(tmp_path: Path) -> None:
    table = [[1.5, [1, 0, None]], [2.5, None], [0.5, [0, 1, 1]]]
    data = load(write(tmp_path / "a.jsonl", jsonl_text(table, ["f", "tags"])), labels="tags")
    assert data.label_names == ("label 0", "label 1", "label 2")
    assert data.y_train.tolist() == [[True, False, False], [False] * 3, [False, True, True]]
    assert data.known_train.tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_classes_are_names_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "f,digit\n1,10\n2,9\n3,2\n4,10\n")
    data = load(path, labels="digit")
    assert data.label_names == ("2", "9", "10")
    assert data.y_train.astype(int).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("f,labels\n1,0\n2,1\n3,2\n", 4, "label 'labels' is '2'; labels are 0 or 1"),
        ("f,labels\n1,-1\n2,-1\n3,1\n", 2, "label 'labels' is '-1'; labels are 0 or 1"),
        ("f,labels\n1,0.3\n2,0.7\n", 2, "label 'labels' is '0.3'"),
        ("f,labels\n1,a;?\n", 2, "has '?' among its names; leave it out"),
        ("f,labels\n1,;\n", 1, "names no label in any row; write names such as a;b"),
        ("f,label:a\n1,a;b\n", 2, "label 'label:a' is 'a;b'; labels are 0 or 1"),
    ],
)
def test_what_is_no_label(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(DataError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert words in str(error.value)


# Columns that are no features.


@pytest.mark.parametrize(
    ("name", "cells", "is_index"),
    [
        ("id", [0, 1, 2], True),
        ("ID", [1, 2, 3], True),
        ("Index", [0, 1, 2], True),
        ("", [7, 3, 5], True),
        ("Unnamed: 0", [7, 3, 5], True),
        ("id", [2, 3, 4], False),
        ("id", [0, 2, 1], False),
        ("id", [0.0, 0.5, 1.0], False),
        ("number", [0, 1, 2], False),
    ],
)
def test_an_index_is_left_out(tmp_path: Path, name: str, cells: list[Any], is_index: bool) -> None:
    table = [[cell, 10 * j, 1] for j, cell in enumerate(cells)]
    header = [name, "f", "label:a"]
    data = load(write(tmp_path / "a.csv", csv_text(table, header)))
    assert data.x_train.tolist() == [row[is_index:2] for row in table]
    assert data.encoder is not None
    assert data.encoder.left_out == (((name or "(no name)"),) if is_index else ())


def test_an_index_may_be_a_label(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", "id,f\n0,5\n1,6\n"), labels="id")
    assert (data.label_names, data.x_train.tolist()) == (("id",), [[5], [6]])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".arff"])
def test_columns_are_dropped(tmp_path: Path, suffix: str) -> None:
    path, header = tmp_path / f"a{suffix}", ["a", "b", "c", "d"]
    table = [[1, 2, 1, 5], [3, 4, 0, 6]]
    if suffix == ".csv":
        write(path, csv_text(table, header))
    elif suffix == ".jsonl":
        write(path, jsonl_text(table, header))
    elif suffix == ".parquet":
        write_parquet(path, table, header)
    else:
        lines = [*(f"@attribute {name} real" for name in header), "@data"]
        lines += [",".join(map(str, row)) for row in table]
        write(path, "\n".join(["@relation r", *lines]))
    data = load(path, labels=1, drop=["d", "a"])
    assert (data.label_names, data.x_train.tolist()) == (("c",), [[2], [4]])
    assert data.y_train.tolist() == [[True], [False]]
    with pytest.raises(DataError, match=r"'bb' is not a column; .*; did you mean b"):
        load(path, labels=1, drop=["bb"])


def test_nothing_is_dropped_where_columns_have_no_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    write(tmp_path / "a.svm", "1 1:1\n")
    for name in ("mosaics", tmp_path / "a.npz", tmp_path / "a.svm"):
        with pytest.raises(DataError, match="has no columns with names; leave drop= out"):
            load(name, drop=["a"])


def test_what_parquet_alone_has(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "whole": pyarrow.array([1, None, 3], pyarrow.int8()),
            "half": pyarrow.array(np.array([1, 2, 3], np.float16)),
            "flag": [True, None, False],
            "kind": pyarrow.array(["u", "v", None]).dictionary_encode(),
            "day": [datetime.date(2020, 1, 1)] * 3,
            "label_a": [True, False, None],
            "__index_level_0__": [5, 6, 7],
        }
    )
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    with pytest.raises(DataError, match=r"feature 'day' is a date; .* give drop="):
        load(path)
    data = load(path, drop=["day"])
    assert data.x_train.tolist() == [[1, 1, 1, 1, 0], [2, 2, 0.5, 0, 1], [3, 3, 0, 0, 0]]
    assert data.known_train.tolist() == [[True], [True], [False]]
    assert data.encoder is not None
    assert data.encoder.left_out == ("__index_level_0__", "day")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write(tmp_path / "a.parquet", "")
    with pytest.raises(DataError, match=r"needs pyarrow.*pip install 'mllosses-jax\[parquet\]'"):
        load(tmp_path / "a.parquet")


# Arrays.


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_a_sparse_matrix_of_scipy(tmp_path: Path, layout: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = RNG.normal(size=(9, 6)) * (RNG.random((9, 6)) < 0.4)
    y = RNG.integers(0, 2, (9, 3))
    both = sparse.csr_matrix(np.hstack([x, y]))
    for matrix in (both, sparse.csr_array(both)):
        sparse.save_npz(tmp_path / "a.npz", matrix.asformat(layout))
        data = load(tmp_path / "a.npz", labels=3)
        np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
        np.testing.assert_array_equal(data.y_train, y == 1)
        assert data.sparse
        assert data.label_names == ("label 0", "label 1", "label 2")
    for labels in (None, ["a"]):
        with pytest.raises(DataError, match="one sparse matrix; give labels= with the number of"):
            load(tmp_path / "a.npz", labels=labels)
    with pytest.raises(DataError, match=r"y_train has .*; values are 0 or 1"):
        load(tmp_path / "a.npz", labels=8)
    with pytest.raises(DataError, match="labels=9 of 9 columns"):
        load(tmp_path / "a.npz", labels=9)
    sparse.save_npz(tmp_path / "b.npz", both.tocoo())
    with pytest.raises(DataError, match=r"in format 'coo'; save it with .*tocsr\(\)"):
        load(tmp_path / "b.npz", labels=3)


@pytest.mark.parametrize(
    "names", [("X", "y"), ("x", "Y"), ("x_train", "y_train"), ("X_train", "y_train")]
)
def test_names_of_arrays(tmp_path: Path, names: tuple[str, str]) -> None:
    path, mask = tmp_path / "a.npz", {"mask": KNOWN}
    test = {"x_test": X[:4], "y_test": Y[:4]} if "_" in names[0] else {}
    np.savez(path, **dict(zip(names, (X, Y), strict=True)), **mask, **test)
    data = load(path)
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.y_train, KNOWN & (Y == 1))
    np.testing.assert_array_equal(data.known_train, KNOWN)
    assert (data.x_test is not None) == bool(test)


def test_the_longer_name_goes_first_and_two_spellings_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros((20, 3)), X_train=X, y_train=Y, X_test=X, Y_test=Y)
    np.testing.assert_array_equal(load(tmp_path / "a.npz").x_train, X)
    np.savez(tmp_path / "b.npz", X_train=X, Y_train=Y, y_train=Y)
    with pytest.raises(DataError, match="holds Y_train and y_train, which mean the same"):
        load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", X=X)
    with pytest.raises(DataError, match="no array Y_train; found: X"):
        load(tmp_path / "c.npz")


# The commands.


def test_check_says_what_was_done_to_the_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ",age,colour,note,label:a\n0,1.5,red,x,1\n1,,blue,y,0\n2,4,,z,1\n"
    path = write(tmp_path / "a.csv", text)
    assert main(["check", str(path), "--drop", "note"]) == 0
    shown = {
        line.split("  ")[0]: line.split("  ")[-1].strip()
        for line in capsys.readouterr().out.splitlines()
    }
    assert shown["columns left out"] == "(no name), note"
    assert shown["numbers filled in by column"] == "age (1)"
    assert shown["categories by column"] == "colour (2)"
    assert main(["check", str(path), "--drop", "nota"]) == 2
    assert "give --drop with names that the file has; did you mean note?" in capsys.readouterr().err
