"""Sound files, and what each reader makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mllosses_jax.data import Dataset, load


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def known(data: Dataset) -> list[list[bool]]:
    assert data.mask_train is not None
    return data.mask_train.tolist()


# --- npz


def test_npz_dense_with_test_part_and_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 2, (5, 2))
    mask = np.array([[1, 0], [1, 1], [1, 1], [0, 1], [1, 1]])
    path = tmp_path / "toy.npz"
    np.savez(
        path,
        X_train=x,
        Y_train=np.where(mask == 1, y, np.nan),  # unknown labels may hold anything
        mask_train=mask,
        X_test=x[:2],
        Y_test=y[:2],
        label_names=np.array(["ü", "b"]),
    )
    data = load(path)
    assert (data.name, data.label_names, data.sparse) == ("toy", ("ü", "b"), False)
    assert data.x_train.dtype == np.float32
    assert data.y_train.dtype == np.bool_
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
    np.testing.assert_array_equal(data.y_train, (y & mask).astype(bool))
    np.testing.assert_array_equal(data.mask_train, mask.astype(bool))
    np.testing.assert_array_equal(data.y_test, y[:2].astype(bool))
    assert data.mask_test is None


@pytest.mark.parametrize("with_data", [True, False])
def test_npz_sparse_is_what_scipy_makes_of_it(tmp_path: Path, with_data: bool) -> None:
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(1)
    x = scipy_sparse.csr_matrix(rng.integers(0, 2, (7, 5)) * rng.integers(1, 9, (7, 5)) * 0.5)
    y = scipy_sparse.csr_matrix(rng.integers(0, 2, (7, 3)).astype(np.uint8))
    pieces = {
        "X_train_indptr": x.indptr,
        "X_train_indices": x.indices.astype(np.uint16),
        "X_train_shape": x.shape,
        "Y_train_indptr": y.indptr,
        "Y_train_indices": y.indices,
        "Y_train_shape": y.shape,
    }
    if with_data:
        pieces["X_train_data"] = x.data
    path = tmp_path / "toy.npz"
    np.savez(path, **pieces)
    data = load(path)
    expected = x.toarray() if with_data else (x.toarray() != 0)
    np.testing.assert_array_equal(data.x_train, expected.astype(np.float32))
    np.testing.assert_array_equal(data.y_train, y.toarray().astype(bool))
    assert data.sparse
    assert data.x_test is None
    assert data.label_names == ("label 0", "label 1", "label 2")


# --- csv

CSV = "a,label:cat,b,label_dog\n1,0,2.5,1\n-3e2,?,.5,0\n\n4,,0,nan\n5,True,1,0.0\n"


def test_csv_labels_by_prefix_and_unknown_ones(tmp_path: Path) -> None:
    data = load(write(tmp_path, "toy.csv", CSV))
    assert data.label_names == ("cat", "dog")
    assert data.x_train.tolist() == [[1, 2.5], [-300, 0.5], [4, 0], [5, 1]]
    assert data.y_train.tolist() == [[0, 1], [0, 0], [0, 0], [1, 0]]
    assert known(data) == [[1, 1], [0, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("labels", [["q,1", "b"], 2])
def test_csv_labels_the_caller_gives(tmp_path: Path, labels: object) -> None:
    text = '\ufeffa,"q,1", b\r\n1,0,1\r\n2,1,"0"\r\n'  # byte order mark, quotes, no final CRLF
    data = load(write(tmp_path, "toy.CSV", text[:-2]), labels=labels)  # type: ignore[arg-type]
    assert data.label_names == ("q,1", "b")
    assert data.x_train.tolist() == [[1], [2]]
    assert data.y_train.tolist() == [[0, 1], [1, 0]]
    assert data.mask_train is None


def test_csv_labels_come_in_the_order_of_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path, "toy.csv", "a,b,c\n0,1,7\n1,1,8\n")
    data = load(path, labels=("b", "a"))
    assert data.label_names == ("b", "a")
    assert data.y_train.tolist() == [[1, 0], [1, 1]]
    assert load(path, labels="a").label_names == ("a",)


# --- svmlight

SVM = (
    "1,3,7 1:1.5 4:2 # comment\n\n# a line of comment\n3 qid:4 2:-1e-3\n 1:0.5\n+7 # no features\n"
)


@pytest.mark.parametrize("name", ["toy.svm", "toy.svmlight", "toy.libsvm", "toy.txt"])
def test_svmlight_indices_from_one(tmp_path: Path, name: str) -> None:
    data = load(write(tmp_path, name, SVM))
    assert data.label_names == ("1", "3", "7")
    assert data.y_train.tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    expected = [[1.5, 0, 0, 2], [0, -1e-3, 0, 0], [0.5, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(data.x_train, np.array(expected, np.float32))
    assert data.sparse


def test_svmlight_indices_from_zero_where_zero_occurs(tmp_path: Path) -> None:
    data = load(write(tmp_path, "toy.svm", "0 3:1\n0,1 0:2\n"))
    assert data.x_train.tolist() == [[0, 0, 0, 1], [2, 0, 0, 0]]


def test_svmlight_with_a_header(tmp_path: Path) -> None:
    """Indices start at 0, a blank line is a row, and absent labels have columns."""
    data = load(write(tmp_path, "toy.txt", "4 5 3\n0,2 1:1\n\n 4:2\n2 3:1\n"))
    assert data.label_names == ("0", "1", "2")
    assert data.x_train.shape == (4, 5)
    assert np.argwhere(data.x_train).tolist() == [[0, 1], [2, 4], [3, 3]]
    assert np.argwhere(data.y_train).tolist() == [[0, 0], [0, 2], [3, 2]]
    last_blank = load(write(tmp_path, "blank.txt", "2 5 3\n0,2 1:1\n\n"))
    assert last_blank.x_train.shape == (2, 5)


def test_svmlight_labels_the_caller_gives(tmp_path: Path) -> None:
    path = write(tmp_path, "toy.svm", "0 1:1\n2 1:2\n")
    assert load(path, labels=4).y_train.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    named = load(path, labels=["a", "b", "c"])
    assert named.label_names == ("a", "b", "c")
    assert named.y_train.astype(int).tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("zero_based", [True, False])
def test_svmlight_is_what_scikit_learn_makes_of_it(tmp_path: Path, zero_based: bool) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 6)) * (rng.random((20, 6)) < 0.4)
    x[0] = 1.0  # index 0 occurs when counted from 0, and the last index in any case
    y = (rng.random((20, 4)) < 0.4).astype(int)
    path = str(tmp_path / "toy.svm")
    datasets.dump_svmlight_file(x, y, path, multilabel=True, zero_based=zero_based, comment="made")
    x_peer, y_peer = datasets.load_svmlight_file(path, multilabel=True, zero_based="auto")
    data = load(path)
    np.testing.assert_array_equal(data.x_train, x_peer.toarray().astype(np.float32))
    ours = [tuple(np.flatnonzero(row)) for row in data.y_train]
    assert ours == [tuple(int(label) for label in row) for row in y_peer]


# --- ARFF

ARFF = """% comment
@RELATION "toy: -C {count}"

@Attribute 'first label' {{0,1}}
@ATTRIBUTE height REAL  % in metres
@attribute\tcolour {{red, 'dark green', "blue"}}
@attribute sex{{m,f}}
@attribute "it's" integer [0,9]
@attribute second {{1,0}}
@DATA
1, 1.5, red, m, 3, 0
% between
0,-2e1,'dark green',f,4,1

?,0,blue,f,5,0
"""
COLOR_SEX = [[1.5, 1, 0, 0, 0], [-20, 0, 1, 0, 1], [0, 0, 0, 1, 1]]


def test_arff_dense_with_labels_first_as_in_meka(tmp_path: Path) -> None:
    data = load(write(tmp_path, "toy.arff", ARFF.format(count=1).replace("{1,0}", "numeric")))
    assert data.label_names == ("first label",)
    tail = [[3, 0], [4, 1], [5, 0]]
    assert data.x_train.tolist() == [a + b for a, b in zip(COLOR_SEX, tail, strict=True)]
    assert data.y_train.tolist() == [[1], [0], [0]]
    assert known(data) == [[1], [1], [0]]
    assert not data.sparse


def test_arff_labels_last_as_in_meka(tmp_path: Path) -> None:
    data = load(write(tmp_path, "toy.arff", ARFF.format(count=-1).replace("?", "1")))
    assert data.label_names == ("second",)
    assert data.y_train.tolist() == [[0], [1], [0]]
    assert data.x_train[:, 0].tolist() == [1, 0, 1]


def test_arff_labels_of_the_xml_of_mulan_go_before_meka(tmp_path: Path) -> None:
    """They may be anywhere among the attributes, nested, with or without a namespace."""
    path = write(tmp_path, "toy.arff", ARFF.format(count=3))
    xml = '<label name="second"><label name="first label"/></label>'
    for namespace in ("", ' xmlns="http://mulan.sourceforge.net/labels"'):
        write(tmp_path, "toy.xml", f'<?xml version="1.0"?>\n<labels{namespace}>{xml}</labels>')
        data = load(path)
        assert data.label_names == ("first label", "second")
        assert data.y_train.tolist() == [[1, 0], [0, 1], [0, 0]]
        assert known(data) == [[1, 1], [1, 1], [0, 1]]
        np.testing.assert_array_equal(data.x_train[:, :5], COLOR_SEX)
        assert data.x_train[:, 5].tolist() == [3, 4, 5]
    write(tmp_path, "toy.arff", ARFF.format(count=3).replace("?", "1"))
    assert load(path, labels=["second"]).label_names == ("second",)
    assert load(path, labels=1).label_names == ("second",)


def test_arff_sparse_rows(tmp_path: Path) -> None:
    """Omitted values are 0, or the first declared value; this holds for labels too."""
    text = """@relation 'toy: -C 2'
@attribute a {0,1}
@attribute b {1,0}
@attribute 'c d' numeric
@attribute e {0,1}
@attribute f {x,y,'z z'}
@data
{0 1, 2 1.5}
{1 0,4 'z z', 3 1}
{}
{ 0 ?,1 1 , 4 y }
"""
    assert not load(write(tmp_path, "mixed.arff", f"{text}1,1,2,0,x\n")).sparse
    data = load(write(tmp_path, "toy.arff", text))
    assert data.sparse
    assert data.y_train.tolist() == [[1, 1], [0, 0], [0, 1], [0, 1]]
    assert known(data) == [[1, 1], [1, 1], [1, 1], [0, 1]]
    expected = [[1.5, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert data.x_train.tolist() == expected


def test_arff_quotes(tmp_path: Path) -> None:
    """Quotes of either kind may enclose commas, braces and escaped quotes."""
    text = r"""@relation r
@attribute 'it\'s, {a}' {0,1}
@attribute "x'y" {'a,b', "}", '\''}
@data
1,'a,b'
'0',"}"
{1 '\''}
"""
    data = load(write(tmp_path, "toy.arff", text), labels=["it's, {a}"])
    assert data.y_train.tolist() == [[1], [0], [0]]
    assert data.x_train.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("joint", ["-", "_"])
def test_arff_pair_of_training_and_test_file(tmp_path: Path, joint: str) -> None:
    """The test file is read into the columns of the training file, whatever its own order."""
    train = """@relation r
@attribute colour {red,green,blue}
@attribute l {0,1}
@attribute size numeric
@data
red,1,5
blue,0,6
"""
    test = """@relation r
@attribute size numeric
@attribute l {0,1}
@attribute colour {blue,red,green}
@data
7,1,green
{0 8}
"""
    path = write(tmp_path, f"toy{joint}train.arff", train)
    write(tmp_path, "toy.xml", '<labels><label name="l"></label></labels>')
    assert load(path).x_test is None
    write(tmp_path, f"toy{joint}test.arff", test)
    data = load(path)
    assert (data.name, data.label_names) == ("toy", ("l",))
    assert data.x_train.tolist() == [[1, 0, 0, 5], [0, 0, 1, 6]]
    assert data.x_test is not None
    assert data.x_test.tolist() == [[0, 1, 0, 7], [0, 0, 1, 8]]
    assert data.y_test is not None
    assert data.y_test.tolist() == [[1], [0]]


def test_arff_is_what_scipy_makes_of_it(tmp_path: Path) -> None:
    arff = pytest.importorskip("scipy.io.arff")
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(30, 3))
    words = rng.integers(0, 4, 30)
    label = rng.integers(0, 2, 30)
    lines = ["@relation toy", *(f"@attribute n{j} real" for j in range(3))]
    lines += ["@attribute w {w0,w1,w2,w3}", "@attribute label {1,0}", "@data"]
    lines += [
        ",".join([*map(repr, map(float, row)), f"w{word}", str(one)])
        for row, word, one in zip(numbers, words, label, strict=True)
    ]
    path = write(tmp_path, "toy.arff", "\n".join(lines))
    peer, meta = arff.loadarff(path)
    data = load(path, labels=1)
    for j in range(3):
        np.testing.assert_array_equal(data.x_train[:, j], peer[f"n{j}"].astype(np.float32))
    values = np.array([value.encode() for value in meta["w"][1]])
    np.testing.assert_array_equal(data.x_train[:, 3:], peer["w"][:, None] == values)
    np.testing.assert_array_equal(data.y_train[:, 0], peer["label"] == b"1")
