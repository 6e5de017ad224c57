"""Groups of rows in a whole comparison: what is known of a group in training is worth nothing."""

import numpy as np
import pytest

from mllosses_jax.compare import compare
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.large import linear as large_linear
from mllosses_jax.compare.loading import load_data, thinned
from mllosses_jax.compare.notes import heading
from mllosses_jax.compare.page.verdict import python, shell
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


def test_nothing_leaks_from_a_group():
    """Without groups, the scores of the loss and of the models of scikit-learn are nearly 1."""
    data, groups = memorable()
    comparison = compare(data, groups=groups, losses=LOSS, num_seeds=1)
    assert len(comparison.dataset.y_test) == 96
    assert comparison.results[LOSS]["map"]["mean"] < 0.65
    assert comparison.outcomes[LOSS].quality < 0.7
    assert all(each["map"]["mean"] < 0.65 for each in comparison.references.values())
    assert "--groups COLUMN" in shell(comparison)
    assert "    groups=groups," in python(comparison)
    assert any(part.startswith("Groups: 48 in the training part.") for part in heading(comparison))


def test_the_identity_of_a_run_has_the_groups():
    data, groups = memorable()
    named, coded = (
        load_data(data, groups=each) for each in ([f"g{group:02}" for group in groups], groups)
    )
    assert fingerprint(named) == fingerprint(coded)
    assert data_card(coded)["groups"] == 48
    assert "groups" not in data_card(data)
    other = coded.with_groups(np.roll(coded.groups_train, 1))
    assert len({fingerprint(each) for each in (coded, other, load_data(data))}) == 3


def test_a_quick_run_keeps_the_groups_of_the_rows_it_draws():
    data, groups = memorable()
    few = thinned(load_data(data, groups=groups), 100)
    assert len(few.x_train) == len(few.groups_train) == 100
    # The feature that is nearly 1 tells the group.
    told = few.x_train.argmax(1)
    assert len(set(zip(told, few.groups_train.tolist(), strict=True))) == len(set(told))


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
