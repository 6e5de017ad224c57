"""Groups of rows in a whole comparison: what is known of a group in training is worth nothing."""

import json

import numpy as np
import pytest

from mllosses_jax.compare import compare
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large import linear as large_linear
from mllosses_jax.data import DataError, Dataset

LOSS = "sigmoid_binary_cross_entropy"
GROUPS = 60


def memorable(rows=480):
    """Returns data whose features tell the group, which has labels drawn at random, and nothing."""
    generator = np.random.default_rng(0)
    groups = np.arange(rows) % GROUPS
    labels = generator.random((GROUPS, 3)) < 0.4
    x = np.eye(GROUPS)[groups] + 0.05 * generator.normal(size=(rows, GROUPS))
    data = Dataset(name="toy", label_names=("a", "b", "c"), x_train=x, y_train=labels[groups])
    return data, groups


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    data, groups = memorable()
    out = tmp_path_factory.mktemp("groups") / "out"
    return compare(data, groups=groups, losses=LOSS, num_seeds=1, out=out), out


def test_nothing_leaks_from_a_group(done):
    """Without groups every one of these figures is above 0.99."""
    comparison, _ = done
    assert comparison.results[LOSS]["map"]["mean"] < 0.65
    assert comparison.outcomes[LOSS].quality < 0.7
    assert all(each["map"]["mean"] < 0.65 for each in comparison.references.values())
    assert len(comparison.dataset.y_test) == 96
    leaked = compare(memorable()[0], losses=LOSS, num_seeds=1)
    assert leaked.results[LOSS]["map"]["mean"] > 0.99
    assert leaked.outcomes[LOSS].quality > 0.99


def test_the_report_says_what_was_done(done):
    comparison, out = done
    assert "Groups: 48 in the training part. No rows that are held out" in " ".join(
        str(comparison).split()
    )
    assert "Groups: 48" in (out / "report.md").read_text()
    assert json.loads((out / "results.json").read_text())["data"]["groups"] == 48


def test_a_folder_goes_on_with_the_same_groups_only(done):
    _, out = done
    data, groups = memorable()
    again = compare(
        data, groups=[f"g{group:02}" for group in groups], losses=LOSS, num_seeds=1, out=out
    )
    assert LOSS in again.results
    with pytest.raises(ComparisonError, match="out"):
        compare(data, losses=LOSS, num_seeds=1, out=out)
    with_test = again.dataset
    other = np.roll(with_test.groups_train, 1)
    with pytest.raises(ComparisonError, match="out"):
        compare(with_test.with_groups(other), losses=LOSS, num_seeds=1, out=out)


def test_a_head_holds_out_whole_groups():
    rows, groups = np.arange(3, 300), np.random.default_rng(0).integers(30, size=300)
    train, held = large_linear._held_out(rows, groups)
    assert sorted([*train, *held]) == rows.tolist()
    assert not set(groups[train]) & set(groups[held])
    assert len(held) == pytest.approx(0.2 * len(rows), rel=0.1)


def test_wrong_groups_are_refused():
    data, groups = memorable()
    with pytest.raises(ComparisonError, match=r"toy has features already.*\(groups\)"):
        compare(data, groups="patient")
    with pytest.raises(DataError, match=r"groups have shape \(3,\)"):
        compare(data, groups=[1, 2, 3])
    with pytest.raises(ComparisonError, match="toy has 2 groups in the training part"):
        compare(data, groups=groups % 3)
