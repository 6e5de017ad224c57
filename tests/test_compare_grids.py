"""Losses with several settings of their parameters, of which validation chooses one."""

import dataclasses

import numpy as np
import pytest
from comparison_inputs import make_comparison, make_dataset, make_outcome

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.compare import compare, grids, notes
from mllosses_jax.compare.choice import Grid
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.errors import ComparisonError

BASELINE = "sigmoid_binary_cross_entropy"
THREE = "hinge_loss(margin=0.5|1|2)"
pytestmark = pytest.mark.usefixtures("prior_alone")


def test_values_between_bars_are_settings():
    found = parse("asymmetric_loss( clip=0|.05,gamma_neg=1|2 | 4)")
    assert isinstance(found, Grid)
    assert found.label == "asymmetric_loss(gamma_neg=1|2|4, clip=0|0.05)"
    assert parse(found.label) == found
    labels = [setting.label for setting in found.settings]
    assert len(labels) == len(set(labels)) == 6
    assert "asymmetric_loss(gamma_neg=4, clip=0)" in labels
    pairs = set(zip(found.values["gamma_neg"], found.values["clip"], strict=True))
    assert pairs == {(g, c) for g in (1, 2, 4) for c in (0, 0.05)}
    assert found.file_name != parse("asymmetric_loss(gamma_neg=1|2, clip=0|0.05)").file_name


def test_terms_of_a_sum_have_settings():
    found = parse("zlpr_loss+0.5*dice_loss(smooth=1|2)")
    assert found.label == "zlpr_loss+0.5*dice_loss(smooth=1|2)"
    assert [s.label for s in found.settings] == [
        "zlpr_loss+0.5*dice_loss(smooth=1)",
        "zlpr_loss+0.5*dice_loss(smooth=2)",
    ]
    assert found.values == {"dice_loss smooth": (1, 2)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('soft_f1_loss(average="macro"|"micro")', "values between | must be numbers"),
        ("hinge_loss(margin=0.5|)", "cannot be read"),
        ("hinge_loss(width=1|2)", "has no parameter 'width'"),
        ("hinge_loss(margin=-1|2)", "margin"),
        (f"hinge_loss(margin={'|'.join(map(str, range(1, 66)))})", "has 65 settings; give at most"),
    ],
)
def test_mistakes_are_named(text, words):
    with pytest.raises(ComparisonError) as error:
        parse(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if entry.grid], ids=lambda e: e.name
)
def test_values_of_the_catalogue_hold_the_default(entry):
    [found] = choose(entry.name, grid=True)
    assert found.label == f"{entry.name}({entry.grid})"
    assert len(found.settings) <= 8
    defaults = {name: entry.own_parameters[name] for name in found.values}
    rows = zip(*found.values.values(), strict=True)
    assert defaults in [dict(zip(found.values, row, strict=True)) for row in rows]


def test_only_losses_without_parameters_get_the_values_of_the_catalogue():
    given = f"{BASELINE}, hinge_loss(margin=3), zlpr_loss+hinge_loss, {THREE}, hinge_loss"
    assert [choice.label for choice in choose(given, grid=True)] == [
        BASELINE,
        "hinge_loss(margin=3)",
        "zlpr_loss+hinge_loss",
        THREE,
    ]
    assert "hinge_loss" in [choice.label for choice in choose(given)]


def outcome_of(dataset, quality, seconds):
    made = make_outcome(dataset, models=1, validation=quality)
    return dataclasses.replace(made, seconds=seconds, cpu_seconds=2 * seconds)


@pytest.mark.parametrize(("best", "edges"), [(0, ("margin",)), (1, ()), (2, ("margin",))])
def test_the_best_validation_score_wins(best, edges):
    dataset = make_dataset()
    outcomes = [outcome_of(dataset, 0.9 if k == best else 0.5, 1.0 + k) for k in range(3)]
    found = grids.train(parse(THREE), range(3), outcomes.__getitem__)
    assert found.test_scores is outcomes[best].test_scores
    assert found.setting == {"margin": [0.5, 1, 2][best]}
    assert (found.seconds, found.cpu_seconds) == (6, 12)
    assert tuple(name for name in found.at_edge if name == "margin") == edges
    alone = grids.train(parse("hinge_loss"), [0], outcomes.__getitem__)
    assert alone is outcomes[0]
    assert alone.setting == {}


def test_an_edge_of_the_values_is_found_and_told():
    dataset = make_dataset()
    outcomes = [outcome_of(dataset, 0.9 - k / 10, 1.0) for k in range(3)]
    trained = grids.train(parse(THREE), range(3), outcomes.__getitem__)
    comparison = make_comparison(dataset, {BASELINE: outcomes[0], THREE: trained})
    [finding] = [each for each in comparison.checks if each.code == "MLC004"]
    assert f"{THREE}: margin 0.5, tried from 0.5 to 2" in finding.evidence
    assert f"{THREE}: margin = 0.5 (of 3 settings)" in " ".join(notes.heading(comparison))


def test_a_grid_ends_like_the_best_of_its_settings(tmp_path):
    dataset = make_dataset(masked=True)
    alone = {
        label: compare(dataset, losses=label)
        for label in (f"hinge_loss(margin={m})" for m in (0.5, 1, 2))
    }
    best = max(alone, key=lambda label: alone[label].outcomes[label].quality)
    together = compare(dataset, losses=[BASELINE, THREE], out=tmp_path / "out")
    outcome = together.outcomes[THREE]
    np.testing.assert_allclose(
        outcome.test_scores, alone[best].outcomes[best].test_scores, rtol=1e-5
    )
    assert f"hinge_loss(margin={outcome.setting['margin']:g})" == best
    qualities = [each.outcomes[label].quality for label, each in alone.items()]
    np.testing.assert_allclose(outcome.settings["score"], qualities, rtol=1e-6)
    again = compare(dataset, losses=[BASELINE, THREE], out=tmp_path / "out")
    for name, values in outcome.settings.items():
        np.testing.assert_array_equal(again.outcomes[THREE].settings[name], values)
    assert str(again) == str(together)
