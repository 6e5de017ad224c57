"""The features of new rows, in every format: by name, with or without labels."""

import numpy as np
import pytest

from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data.new_rows import load_features

HEAD = "@relation 'r: -C 1'\n@attribute y {0,1}\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_of_csv_are_found_by_name(tmp_path):
    train = load(write(tmp_path / "train.csv", "a,label:y,b\n1,0,2\n3,1,4\n"))
    assert train.feature_names == ("a", "b")
    new = write(tmp_path / "new.csv", "b,name,a\n20,x,10\n40,y,30\n")
    found = load_features(new, feature_names=train.feature_names)
    np.testing.assert_array_equal(found, [[10, 20], [30, 40]])
    np.testing.assert_array_equal(
        load_features(tmp_path / "train.csv", feature_names=train.feature_names), train.x_train
    )


def test_attributes_of_arff_are_found_by_name(tmp_path):
    size, colour, kind = "size real", "colour {red,green,blue}", "kind {old,new}"
    train = load(
        write(
            tmp_path / "train.arff",
            f"{HEAD}@attribute {size}\n@attribute {colour}\n@attribute {kind}\n"
            "@data\n0,1.5,green,new\n1,2,red,old\n",
        )
    )
    assert train.feature_names == ("size", "colour=red", "colour=green", "colour=blue", "kind=new")
    new = write(
        tmp_path / "new.arff",
        f"@relation r\n@attribute {kind}\n@attribute id string\n@attribute size real\n"
        "@attribute colour {blue,red,green}\n@data\nnew,7,2.5,green\nold,8,1,blue\n",
    )
    text = new.read_text().replace("@attribute id string\n", "").replace(",7,", ",")
    write(new, text.replace(",8,", ","))
    found = load_features(new, feature_names=train.feature_names)
    np.testing.assert_array_equal(found, [[2.5, 0, 1, 0, 1], [1, 0, 0, 1, 0]])
    again = load_features(tmp_path / "train.arff", feature_names=train.feature_names)
    np.testing.assert_array_equal(again, train.x_train)
    other = write(new, text.replace("{old,new}", "{new,old}").replace(",8,", ","))
    with pytest.raises(DataError, match=r"feature 'kind=new'.* is missing"):
        load_features(other, feature_names=train.feature_names)


@pytest.mark.parametrize(("first", "names"), [(0, ("0", "1", "2")), (1, ("1", "2", "3"))])
def test_numbers_of_svmlight_mean_what_they_meant(first, names, tmp_path):
    rows = f"1 {first}:1 {first + 2}:2\n2 {first + 1}:3\n"
    train = load(write(tmp_path / "train.svm", rows))
    assert train.feature_names == names
    new = write(tmp_path / "new.svm", f"{first + 1}:5\n")  # its lowest number does not count
    np.testing.assert_array_equal(load_features(new, feature_names=names), [[0, 5, 0]])
    beyond = write(tmp_path / "beyond.svm", f"{first}:1\n{first + 3}:5\n")
    with pytest.raises(DataError, match=rf"line 2: feature {first + 3} is none .*\({first} to"):
        load_features(beyond, feature_names=names)


def test_arrays_of_npz(tmp_path):
    x, path = np.arange(6.0).reshape(2, 3), tmp_path / "x.npz"
    for names in (["X", "X_test"], ["X_test", "X_train"], ["X_train"]):
        np.savez(path, **{name: x + place for place, name in enumerate(names)})
        np.testing.assert_array_equal(load_features(path, feature_names=None), x)
    pieces = {"indptr": [0, 1, 1], "indices": [2], "shape": [2, 3], "data": [5.0]}
    np.savez(path, **{f"X_{name}": value for name, value in pieces.items()})
    np.testing.assert_array_equal(load_features(path, feature_names=None), [[0, 0, 5], [0, 0, 0]])
    np.savez(path, features=x)
    with pytest.raises(DataError, match="no array X; found: features"):
        load_features(path, feature_names=None)


def test_mistakes_are_named(tmp_path):
    file = write(tmp_path / "new.csv", "heigth,b\n1,2\n")
    with pytest.raises(DataError, match=r"line 1: feature 'height' \(and 1 more\).* mean heigth"):
        load_features(file, feature_names=("height", "b", "c"))
    with pytest.raises(DataError, match=r"without names.* \.npz"):
        load_features(file, feature_names=None)
    with pytest.raises(DataError, match="no such file"):
        load_features(tmp_path / "nowhere.csv", feature_names=("b",))
    with pytest.raises(DataError, match="unknown kind of file"):
        load_features(write(tmp_path / "new.doc", ""), feature_names=("b",))
    with pytest.raises(DataError, match=r"line 2: feature 'b' is 'x'"):
        load_features(write(file, "b\nx\n"), feature_names=("b",))


def test_names_of_features_are_checked():
    arrays = {"x_train": np.zeros((2, 2)), "y_train": np.zeros((2, 1))}
    for names, words in ((("a",), "1 feature names for 2"), (("a", "a"), "'a' occurs twice")):
        with pytest.raises(DataError, match=words):
            Dataset(name="toy", label_names=("y",), feature_names=names, **arrays)
