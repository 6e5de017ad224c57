"""Losses with several settings of their parameters, of which validation chooses one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparison_inputs import make_comparison, make_dataset, make_outcome

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.compare import (
    bound_loss,
    compare,
    grids,
    notes,
)
from mllosses_jax.compare.choice import Grid
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.errors import ComparisonError

BASELINE = "sigmoid_binary_cross_entropy"
THREE = "squared_hinge_loss(margin=0.5|1|2)"
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


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
    given = f"{BASELINE}, hinge_loss(margin=3), zlpr_loss+hinge_loss, {THREE}, squared_hinge_loss"
    assert [choice.label for choice in choose(given, grid=True)] == [
        BASELINE,
        "hinge_loss(margin=3)",
        "zlpr_loss+hinge_loss",
        THREE,
    ]
    assert "squared_hinge_loss" in [choice.label for choice in choose(given)]


def outcome_of(dataset, quality, seconds):
    made = make_outcome(dataset, models=1, validation=quality)
    return dataclasses.replace(made, seconds=seconds, cpu_seconds=2 * seconds)


def best_of(outcomes):
    """Returns a function that trains a loss in each of its settings, with these outcomes."""
    return grids.one_by_one(lambda dataset, bound: outcomes[bound])


@pytest.mark.parametrize(("best", "edges"), [(0, ("margin",)), (1, ()), (2, ("margin",))])
def test_the_best_validation_score_wins(best, edges):
    dataset = make_dataset()
    outcomes = [outcome_of(dataset, 0.9 if k == best else 0.5, 1.0 + k) for k in range(3)]
    run = functools.partial(best_of(outcomes), dataset)
    found = grids.train(parse(THREE), range(3), run)
    assert found.test_scores is outcomes[best].test_scores
    assert found.setting == {"margin": [0.5, 1, 2][best]}
    assert (found.seconds, found.cpu_seconds) == (6, 12)
    assert tuple(name for name in found.at_edge if name == "margin") == edges
    alone = grids.train(parse("squared_hinge_loss"), [0], run)
    assert alone.test_scores is outcomes[0].test_scores
    assert alone.setting == {}


def test_an_edge_of_the_values_is_found_and_told():
    dataset = make_dataset()
    outcomes = [outcome_of(dataset, 0.9 - k / 10, 1.0) for k in range(3)]
    run = functools.partial(best_of(outcomes), dataset)
    trained = grids.train(parse(THREE), range(3), run)
    comparison = make_comparison(dataset, {BASELINE: outcomes[0], THREE: trained})
    [finding] = [each for each in comparison.checks if each.code == "MLC004"]
    assert f"{THREE}: margin 0.5, tried from 0.5 to 2" in finding.evidence
    assert f"{THREE}: margin = 0.5 (of 3 settings)" in " ".join(notes.heading(comparison))


def test_a_grid_ends_like_the_best_of_its_settings(tmp_path):
    dataset = make_dataset(masked=True)
    alone = {
        label: compare(dataset, losses=label)
        for label in (f"squared_hinge_loss(margin={m})" for m in (0.5, 1, 2))
    }
    best = max(alone, key=lambda label: alone[label].outcomes[label].quality)
    together = compare(dataset, losses=[BASELINE, THREE], out=tmp_path / "out")
    outcome = together.outcomes[THREE]
    np.testing.assert_allclose(
        outcome.test_scores, alone[best].outcomes[best].test_scores, rtol=1e-5
    )
    assert f"squared_hinge_loss(margin={outcome.setting['margin']:g})" == best
    qualities = [each.outcomes[label].quality for label, each in alone.items()]
    np.testing.assert_allclose(outcome.settings["score"], qualities, rtol=1e-6)
    again = compare(dataset, losses=[BASELINE, THREE], out=tmp_path / "out")
    for name, values in outcome.settings.items():
        np.testing.assert_array_equal(again.outcomes[THREE].settings[name], values)
    assert str(again) == str(together)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(masked=True)


def inputs_of(dataset, bound):
    generator = np.random.default_rng(1)
    outputs = generator.normal(scale=2, size=(len(dataset.y_train), bound.num_outputs))
    return jnp.asarray(outputs, jnp.float32), jnp.asarray(dataset.y_train)


SHARED = [
    "asymmetric_loss(gamma_neg=1|4, clip=0|0.05)",
    "class_aware_selective_loss(gamma_neg=1|3)",
    "hinge_loss(margin=0.5|2)",
    "logit_adjusted_binary_cross_entropy(tau=0.5|2)",  # takes label frequencies, too
    "pairwise_hinge_loss(margin=0.5|2)",
    "zlpr_loss+0.5*focal_tversky_loss(gamma=0.75|1)",
]


@pytest.mark.parametrize("text", SHARED)
def test_settings_share_a_function_that_equals_their_own(text, dataset):
    """A program with the parameters as arguments gives value and slopes of that with constants."""
    choice = parse(text)
    shared = grids.bind_settings(choice, dataset)
    assert len({bound.loss for bound in shared}) == 1
    outputs, labels = inputs_of(dataset, shared[0])
    where = jnp.asarray(dataset.mask_train)
    program = jax.jit(jax.value_and_grad(shared[0].loss))
    found = [program(outputs, labels, *bound.parameters, where=where) for bound in shared]
    assert len({float(value) for value, _ in found}) == len(shared)
    alone = bound_loss.bind(choice.settings[-1], dataset)
    expected = jax.jit(jax.value_and_grad(alone.loss))(outputs, labels, where=where)
    np.testing.assert_allclose(found[-1][0], expected[0], rtol=2e-5)
    scale = float(jnp.max(jnp.abs(expected[1])))
    np.testing.assert_allclose(found[-1][1], expected[1], atol=2e-5 * scale)


def test_what_is_no_number_has_a_program_each(dataset):
    choice = parse("asymmetric_loss(gamma_neg=1|2, detach_focus=True|False)")
    functions = [bound.loss for bound in grids.bind_settings(choice, dataset)]
    assert [len(functions), len(set(functions))] == [4, 2]


def of_user(logits, labels, power=2, where=None):
    assert isinstance(power, int | float)
    error = jnp.abs(jax.nn.sigmoid(logits) - labels.astype(jnp.float32))
    return jnp.mean(error**power, where=where)


def test_functions_of_the_user_keep_numbers_of_python(dataset, monkeypatch):
    monkeypatch.setattr("mllosses_jax.compare.own_code.load", lambda path: of_user)
    bounds = grids.bind_settings(parse("mine:of_user(power=1|2)"), dataset)
    assert len({bound.loss for bound in bounds}) == 2
    assert not any(bound.parameters for bound in bounds)
