"""Missing numbers and categories: filled in and coded as the training rows say, and no others."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from mllosses_jax.compare.card import data_card, in_words
from mllosses_jax.compare.loading import load_data
from mllosses_jax.data import DataError, Dataset, load, split
from mllosses_jax.data.columns import ColumnEncoder
from mllosses_jax.data.new_rows import load_features

COLORS = ("red", "green", "blue", "dark blue")
COUNT = 60


def make_rows(seed: int = 0) -> list[list[Any]]:
    """Rows of two numbers, a color and a label, some of them missing; `rare` occurs once."""
    rng = np.random.default_rng(seed)
    rows: list[list[Any]] = [
        [
            float(np.float32(rng.normal())) if rng.random() < 0.7 else None,
            int(rng.integers(0, 100)) if rng.random() < 0.8 else None,
            str(rng.choice(COLORS)) if rng.random() < 0.8 else None,
            int(rng.random() < 0.4),
        ]
        for _ in range(COUNT)
    ]
    rows[7][2] = "rare"
    return rows


NAMES = ["height", "age", "color", "label:a"]


def write(path: Path, rows: list[list[Any]], names: list[str] = NAMES) -> Path:
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
        else:
            csv.writer(file).writerows([names, *rows])
    return path


def expected(rows: list[list[Any]], fitted: list[list[Any]]) -> np.ndarray:
    """Features by scikit-learn: fitted to some rows, computed for others."""

    def numbers(of: list[list[Any]]) -> np.ndarray:
        return np.array([row[:2] for row in of], np.float64)

    imputer = SimpleImputer(strategy="median").fit(numbers(fitted))
    known = sorted({row[2] for row in fitted if row[2] is not None})
    encoder = OneHotEncoder(categories=[known], handle_unknown="ignore", sparse_output=False)
    encoder.fit([[name] for name in known])
    colors = encoder.transform([[row[2] or "missing"] for row in rows])
    return np.hstack([imputer.transform(numbers(rows)), colors]).astype(np.float32)


def parts(data: Dataset, rows: list[list[Any]]) -> tuple[list[list[Any]], list[list[Any]]]:
    """The rows of the parts that `split` makes, in their order."""
    rest, part = split([[row[3]] for row in rows], 0.25, seed=3)
    assert data.x_test is not None
    assert (len(rest), len(part)) == (len(data.x_train), len(data.x_test))
    return [rows[k] for k in rest], [rows[k] for k in part]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("seed", range(6))
def test_the_encoder_is_fitted_to_the_training_part(tmp_path: Path, name: str, seed: int) -> None:
    rows = make_rows(seed)
    data = load(write(tmp_path / name, rows))
    np.testing.assert_array_equal(data.x_train, expected(rows, rows))
    data = data.with_test(0.25, seed=3)
    train, test = parts(data, rows)
    np.testing.assert_array_equal(data.x_train, expected(train, train))
    np.testing.assert_array_equal(data.x_test, expected(test, train))
    assert data.encoder is not None
    colors = sorted({row[2] for row in train if row[2]})
    assert data.encoder.feature_names == ("height", "age", *(f"color={each}" for each in colors))


@pytest.mark.parametrize("name", ["new.csv", "new.jsonl"])
def test_new_rows_go_through_the_encoder_of_the_training_part(tmp_path: Path, name: str) -> None:
    rows = make_rows()
    data = load(write(tmp_path / "a.csv", rows)).with_test(0.25, seed=3)
    train, _ = parts(data, rows)
    assert data.encoder is not None
    encoder = ColumnEncoder.from_json(data.encoder.to_json())
    assert encoder == data.encoder
    assert encoder.feature_names == data.feature_names
    new = [[None, 7, "red", None], [1.5, None, "purple", None], [2.5, 1, None, None]]
    path = write(tmp_path / name, [row[::-1] for row in new], NAMES[::-1])
    found = load_features(path, feature_names=data.feature_names, encoder=encoder)
    np.testing.assert_array_equal(found, expected(new, train))
    numbers = [[1.5, 7, 3, None]]  # a color may read like a number
    path = write(tmp_path / name, numbers)
    found = load_features(path, feature_names=data.feature_names, encoder=encoder)
    assert found.tolist() == [[1.5, 7, *[0] * (len(encoder.feature_names) - 2)]]
    path = write(tmp_path / name, [["tall", 7, "red", None]])
    with pytest.raises(DataError, match="'height' is 'tall', not a number"):
        load_features(path, feature_names=data.feature_names, encoder=encoder)
    path = write(tmp_path / name, [row[1:] for row in new], NAMES[1:])
    with pytest.raises(DataError, match="feature 'height', with which the model was trained, is m"):
        load_features(path, feature_names=data.feature_names, encoder=encoder)


def test_new_rows_of_lists_and_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"x": [1, null], "old": "yes", "labels": ["a"]}\n'
        '{"x": [3, 4], "old": "no", "labels": []}\n'
    )
    data = load(path)
    assert data.encoder is not None
    path.write_text('{"old": "no", "x": [null, 8]}\n{"old": null, "x": [5, null]}\n')
    found = load_features(path, feature_names=data.feature_names, encoder=data.encoder)
    assert found.tolist() == [[2, 8, 0], [5, 4, 0.5]]
    path.write_text('{"old": "no", "x": [1]}\n')
    with pytest.raises(DataError, match=r"feature 'x\[1\]', with which the model was trained, is"):
        load_features(path, feature_names=data.feature_names, encoder=data.encoder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"columns": 1}', "[" * 10**5, '{"columns": ["a"], "medians": {}}']
)
def test_what_is_no_encoder(text: str) -> None:
    with pytest.raises(ValueError, match=r"encoder|JSON|Expecting"):
        ColumnEncoder.from_json(text)


def test_the_test_part_changes_nothing_in_the_training_part(tmp_path: Path) -> None:
    """Other values in test rows leave the training features as they are."""
    rows = make_rows()
    data = load(write(tmp_path / "a.csv", rows)).with_test(0.25, seed=3)
    _, test = parts(data, rows)
    for row in test:
        row[:3] = [1e6, 1e6, "other"]
    other = load(write(tmp_path / "a.csv", rows)).with_test(0.25, seed=3)
    np.testing.assert_array_equal(other.x_train, data.x_train)
    assert other.x_test is not None
    assert (other.x_test[:, :2] == 1e6).all()
    assert not other.x_test[:, 2:].any()


def test_copies_with_other_features_keep_them(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", make_rows())).standardized()
    part = data.with_test(0.25, seed=3)
    assert part.x_test is not None
    both = np.concatenate([part.x_train, part.x_test])
    np.testing.assert_array_equal(np.sort(both, 0), np.sort(data.x_train, 0))


def test_the_card_says_what_was_done(tmp_path: Path) -> None:
    rows = make_rows()
    path = write(tmp_path / "a.csv", rows)
    data = load_data(path, drop=["age"])
    rest, _ = split([[row[3]] for row in rows], 0.2, seed=0)
    train = [rows[k] for k in rest]
    card = data_card(data)
    assert card["columns_left_out"] == ["age"]
    missing = sum(row[0] is None for row in train)
    assert card["numbers_filled_in_by_column"] == {"height": missing}
    assert card["categories_by_column"] == {"color": len({row[2] for row in train} - {None})}
    assert json.loads(json.dumps(card)) == card
    assert "columns_left_out" not in data_card(load("mosaics"))


def test_missing_entries_of_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"x": [1, null], "labels": ["a"]}\n{"x": [null, 4], "labels": []}\n'
        '{"x": [5, 6], "labels": []}\n'
    )
    assert load(path).x_train.tolist() == [[1, 5], [3, 4], [5, 6]]


def test_a_column_without_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,label:c\n,1,0\n?,2,1\n")
    assert load(path).x_train.tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("cells", "line", "words"),
    [
        (["1", "2", "x", "3"], 4, "'a' is 'x', not a number; correct it, write ? if it is missing"),
        (["x", "2", "?", ""], 2, "'a' is 'x', not a number"),  # half of them are numbers
        (["1", "inf"], 3, "'a' is 'inf', beyond float32"),
        (["1", "1e39"], 3, "'a' is '1e+39', beyond float32"),
        ([f"word {j}" for j in range(21)], 1, "'a' has 21 different texts in 21 rows, too many"),
    ],
)
def test_columns_that_are_neither(tmp_path: Path, cells: list[str], line: int, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,label:b\n" + "".join(f"{cell},1\n" for cell in cells))
    with pytest.raises(DataError, match=re.escape(words)) as error:
        load(path)
    assert str(error.value).startswith(f"{path}, line {line}: ")


def test_texts_that_are_few_or_repeated_are_categories(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for cells in ([f"w{j}" for j in range(20)], [f"w{j // 2}" for j in range(60)]):
        path.write_text("a,label:b\n" + "".join(f"{cell},1\n" for cell in cells))
        assert load(path).x_train.shape == (len(cells), len(set(cells)))
    path.write_text("a,label:b\nx,1\ny,0\n3,1\n")  # most are no numbers
    assert load(path).x_train.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_entries_of_the_card_in_words() -> None:
    assert in_words({"height": 3, "a\x1b": 1}) == r"height (3), a\x1b (1)"
    assert in_words({}) == in_words([]) == in_words(None) == "none"
    assert in_words([f"c{j}" for j in range(10)]).endswith("c6, c7 and 2 more")
    assert in_words([4, 5]) == "4, 5"
    assert (in_words(True), in_words(False), in_words(7)) == ("yes", "no", "7")
