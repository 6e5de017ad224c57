"""Parts that keep groups whole, and groups of data sets and files."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data.group_splits import split_groups


def long_tail(rows, labels, seed=0):
    return np.random.default_rng(seed).random((rows, labels)) < 0.5 / np.arange(1, labels + 1)


def unequal(rows, seed=0):
    """Groups of which a few are large and most are small."""
    return np.random.default_rng(seed).zipf(1.8, size=rows) % 60


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [2, 3, 5])
def test_groups_are_whole_and_sizes_are_those_of_scikit_learn(count, seed):
    y, groups = long_tail(900, 8, seed), unequal(900, seed)
    parts = split_groups(y, groups, [1 / count] * count)
    assert sorted(np.concatenate(parts)) == list(range(900))
    for one, other in itertools.combinations(parts, 2):
        assert not set(groups[one]) & set(groups[other])
    theirs = sorted(len(rows) for _, rows in GroupKFold(count).split(y, groups=groups))
    assert np.abs(np.sort([len(part) for part in parts]) - theirs).max() < 0.03 * 900


def test_labels_are_shared_out_better_than_by_sizes_alone():
    groups = np.random.default_rng(0).integers(100, size=1000)
    y = long_tail(1000, 20)
    y[:, 5] = groups < 9  # whole groups have this label

    def error(parts):
        return np.mean([np.abs(y[part].mean(0) / y.mean(0) - 1) for part in parts])

    ours = error(split_groups(y, groups, [0.2] * 5))
    theirs = error([rows for _, rows in GroupKFold(5).split(y, groups=groups)])
    assert ours < 0.6 * theirs


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.4, 0.3, 0.3)])
def test_few_of_all_assignments_have_a_smaller_sum(shares):
    ranks = []
    for seed in range(10):
        y, groups = long_tail(60, 3, seed), np.random.default_rng(seed).integers(7, size=60)
        amounts = np.concatenate([y / y.sum(0), np.full((60, 1), 1 / 60)], axis=1)

        def cost(part_of_row, amounts=amounts):
            have = np.array([amounts[part_of_row == k].sum(0) for k in range(len(shares))])
            return (have**2 @ [1, 1, 1, 3] / shares).sum()  # rows count as much as three labels

        found = np.empty(60, int)
        for k, part in enumerate(split_groups(y, groups, shares)):
            found[part] = k
        every = itertools.product(range(len(shares)), repeat=7)
        costs = np.array([cost(np.array(each)[groups]) for each in every])
        ranks.append(np.mean(costs < cost(found) - 1e-9))
    assert np.mean(ranks) < 0.05


@pytest.mark.parametrize("rows", [200, 1001])
def test_groups_of_one_row_give_parts_as_without_groups(rows):
    y = long_tail(rows, 6)
    rest, part = split_groups(y, np.arange(rows), (0.8, 0.2))
    assert abs(len(part) - round(0.2 * rows)) <= 1
    assert len(rest) + len(part) == rows
    assert np.all(np.abs(y[part].sum(0) - 0.2 * y.sum(0)) <= 1.5)


def test_no_part_is_empty():
    """Two equal groups would both go to the part that should have most rows."""
    rest, part = split_groups(np.zeros((8, 0), bool), np.arange(8) % 2, (0.9, 0.1))
    assert len(rest) == len(part) == 4
    with pytest.raises(ValueError, match="2 groups cannot be dealt to 3 parts"):
        split_groups(np.zeros((8, 1), bool), np.arange(8) % 2, [1 / 3] * 3)


def toy(groups, rows=50):
    generator = np.random.default_rng(1)
    return Dataset(
        name="toy",
        label_names=("a", "b"),
        x_train=generator.normal(size=(rows, 2)),
        y_train=generator.random((rows, 2)) < 0.4,
        groups_train=groups,
    )


def test_a_test_part_is_made_of_whole_groups():
    groups = np.repeat(np.arange(10), 5)
    data = toy(None)
    found = data.with_groups([f"g{group}" for group in groups]).with_test(0.2, seed=0)
    assert len(found.x_test) == 10
    by_row = {tuple(x): group for x, group in zip(data.x_train, groups, strict=True)}
    test = {by_row[tuple(x)] for x in found.x_test}
    train = [by_row[tuple(x)] for x in found.x_train]
    assert not test & set(train)
    assert len(set(zip(train, found.groups_train.tolist(), strict=True))) == len(set(train)) == 8


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 3], r"groups have shape \(3,\), but there are 50 training rows"),
        ([[1]] * 50, r"groups have shape \(50, 1\)"),
        ([1.0] * 49 + [np.nan], r"the group of row 49 \(from 0\) is missing"),
        (np.array(["a", None] * 25, object), r"the group of row 1 \(from 0\) is missing"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(DataError, match=message):
        toy(groups)


def test_one_group_cannot_be_split():
    with pytest.raises(DataError, match="toy has one group"):
        toy([7] * 50).with_test(0.2, seed=0)


TABLE = "size,kind,patient,label:a\n1,x,p,0\n2,y,q,1\n3,x,p,1\n4,z,r,0\n"
ARFF = (
    "@relation 'toy: -C -1'\n@attribute size real\n@attribute patient {p,q,r}\n"
    "@attribute a {0,1}\n@data\n1,p,0\n2,q,1\n3,p,1\n4,r,0\n"
)
LINES = '{"size": 1, "patient": "p", "labels": ["a"]}\n{"size": 2, "patient": 5, "labels": []}\n'


@pytest.mark.parametrize(
    ("name", "text", "groups", "features"),
    [
        ("toy.csv", TABLE, [0, 1, 0, 3], ("size", "kind=x", "kind=y", "kind=z")),
        ("toy.arff", ARFF, [0, 1, 0, 3], ("size",)),
        ("toy.jsonl", LINES, [0, 1], ("size",)),
    ],
)
def test_a_column_of_groups_is_no_feature(tmp_path, name, text, groups, features):
    path = tmp_path / name
    path.write_text(text)
    data = load(path, groups="patient")
    codes = data.groups_train.tolist()
    assert [codes.index(code) for code in codes] == groups  # the first row of the group
    assert data.feature_names == features
    with pytest.raises(
        DataError, match=r"'pateint' is not a column; give groups=.*did you mean patient"
    ):
        load(path, groups="pateint")


def test_columns_are_encoded_anew_on_the_training_rows_of_groups(tmp_path):
    path = tmp_path / "toy.csv"
    path.write_text(TABLE)
    by_column = load(path, groups="patient")
    by_array = load(path, drop=["patient"]).with_groups(["p", "q", "p", "r"])
    for data in (by_column.with_test(0.25, seed=0), by_array.with_test(0.25, seed=0)):
        [size] = data.x_test[:, 0].tolist()
        assert size in (2, 4)
        assert f"kind={'y' if size == 2 else 'z'}" not in data.feature_names
        assert "patient" in data.encoder.left_out


def test_groups_that_a_file_lacks_are_refused(tmp_path):
    path = tmp_path / "toy.csv"
    path.write_text(TABLE.replace("2,y,q", "2,y,?"))
    with pytest.raises(DataError, match="line 3: the group in column 'patient' is missing"):
        load(path, groups="patient")
    with pytest.raises(DataError, match="no columns with names; leave groups= out"):
        load("mosaics", groups="patient")


def test_files_have_the_groups_of_their_test_rows(tmp_path):
    (tmp_path / "toy-train.arff").write_text(ARFF)
    (tmp_path / "toy-test.arff").write_text(ARFF.partition("@data")[0] + "@data\n5,r,0\n6,q,1\n")
    data = load(tmp_path / "toy-train.arff", groups="patient")
    names = np.array(data.group_names)
    assert names[data.groups_train].tolist() == ["p", "q", "p", "r"]
    assert names[data.groups_test].tolist() == ["r", "q"]
    x, y = np.ones((4, 2)), np.eye(4)[:, :2]
    arrays = {"X": x, "y": y, "X_test": x, "Y_test": y, "X_val": x, "Y_val": y}
    groups = {"groups": ["b", "a", "a", "c"], "groups_test": ["d", "a", "e", "e"]}
    np.savez(tmp_path / "toy.npz", **arrays, **groups, groups_val=["f", "f", "b", "g"])
    data = load(tmp_path / "toy.npz")
    names = np.array(data.group_names)
    assert names[data.groups_train].tolist() == groups["groups"]
    assert names[data.groups_test].tolist() == groups["groups_test"]
    assert names[data.groups_validation].tolist() == ["f", "f", "b", "g"]
    with pytest.raises(DataError, match="groups_test without groups_train; give these too"):
        dataclasses.replace(data, groups_train=None, groups_validation=None)
    with pytest.raises(DataError, match="groups must be numbers below 7, as there are group_names"):
        dataclasses.replace(data, groups_train=[0, 1, 2, 7])
