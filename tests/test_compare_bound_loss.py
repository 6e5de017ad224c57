"""The arguments that losses get in a comparison."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll
from mllosses_jax import catalogue
from mllosses_jax.compare import bound_loss
from mllosses_jax.compare.choice import Choice
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.heads import scores_of
from mllosses_jax.data import Dataset

ROWS, LABELS = 40, 4


@pytest.fixture
def dataset():
    """Label 1 implies label 0, label 2 implies label 1; label 3 is rare and sometimes unknown."""
    rng = np.random.default_rng(0)
    y = np.zeros((ROWS, LABELS), bool)
    y[:30, 0], y[:20, 1], y[:10, 2], y[5:8, 3] = True, True, True, True
    mask = np.ones_like(y)
    mask[20:, 3] = False
    names = ("animal", "bird", "owl", "rare")
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    return Dataset(name="toy", label_names=names, x_train=x, y_train=y, mask_train=mask)


def test_hierarchy_is_read_off_the_labels(dataset):
    wanted = np.eye(LABELS, dtype=bool)
    wanted[0, 1] = wanted[1, 2] = wanted[0, 2] = True
    np.testing.assert_array_equal(bound_loss.ancestors(dataset), wanted)
    edges = bound_loss.FROM_LABELS["edges"](dataset)
    assert sorted(map(tuple, np.asarray(edges).tolist())) == [(0, 1), (0, 2), (1, 2)]


def test_frequencies_count_what_is_known(dataset):
    given = {name: make(dataset) for name, make in bound_loss.FROM_LABELS.items()}
    np.testing.assert_allclose(given["prior"], [30 / 40, 20 / 40, 10 / 40, 3 / 20], rtol=1e-6)
    np.testing.assert_array_equal(given["label_counts"], [30, 20, 10, 3])
    assert given["expected_positives"] == pytest.approx(1.65)
    assert np.all((np.asarray(given["propensity"]) > 0) & (np.asarray(given["propensity"]) <= 1))
    affinity = np.asarray(given["affinity"])
    assert affinity[0, 1] == pytest.approx(20 / 30)
    np.testing.assert_array_equal(affinity, affinity.T)
    np.testing.assert_array_equal(np.diag(affinity), 0)


@pytest.mark.parametrize("entry", catalogue.CATALOGUE, ids=lambda entry: entry.name)
def test_every_loss_has_all_it_needs(entry):
    for parameter in entry.required:
        assert parameter in bound_loss.FROM_LABELS or parameter in bound_loss.HEADS, parameter


def outputs_of(bound, seed=1):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(ROWS, bound.num_outputs)), jnp.float32)


def test_heads_are_the_columns_behind_the_logits(dataset):
    y, where = jnp.asarray(dataset.y_train), jnp.asarray(dataset.mask_train)
    bound = bound_loss.bind("factorized_count_loss", dataset)
    assert bound.num_outputs == LABELS + 1
    outputs = outputs_of(bound)
    direct = mll.factorized_count_loss(
        outputs[:, :LABELS], y, count_logits=outputs[:, LABELS], where=where
    )
    assert bound.loss(outputs, y, where=where) == pytest.approx(float(direct))
    assert "a head for count_logits" in bound.given


def test_a_learned_threshold_is_the_first_head(dataset):
    y, where = jnp.asarray(dataset.y_train), jnp.asarray(dataset.mask_train)
    bound = bound_loss.bind("adaptive_threshold_loss", dataset)
    assert bound.learns_threshold
    assert "a head for threshold_logits in place of tuned thresholds" in bound.given
    outputs = outputs_of(bound)
    logits, threshold = outputs[:, :LABELS], outputs[:, LABELS]
    direct = mll.adaptive_threshold_loss(logits, y, threshold_logits=threshold, where=where)
    assert bound.loss(outputs, y, where=where) == pytest.approx(float(direct))
    np.testing.assert_array_equal(
        scores_of(outputs, LABELS, bound.learns_threshold), logits - threshold[:, None]
    )
    # Another term of a sum sees the scores, and another head is behind the threshold.
    text = "factorized_count_loss+none_class_ranking_loss(shift=0.05)"
    bound = bound_loss.bind(text, dataset)
    outputs = outputs_of(bound)
    logits, threshold, count = (outputs[:, :LABELS], outputs[:, LABELS], outputs[:, LABELS + 1])
    direct = mll.none_class_ranking_loss(logits, y, threshold_logits=threshold, shift=0.05)
    direct += mll.factorized_count_loss(logits - threshold[:, None], y, count_logits=count)
    assert bound.loss(outputs, y) == pytest.approx(float(direct), rel=1e-6)


def test_a_teacher_learns_from_the_labels(dataset):
    y = jnp.asarray(dataset.y_train)
    bound = bound_loss.bind("multilabel_distillation_loss", dataset)
    outputs = outputs_of(bound)
    logits, teacher = outputs[:, :LABELS], outputs[:, LABELS:]
    gradient = jax.grad(lambda o: bound.loss(o, y))(outputs)[:, LABELS:]
    alone = jax.grad(lambda t: mll.sigmoid_binary_cross_entropy(t, y))(teacher)
    np.testing.assert_allclose(gradient, alone, rtol=1e-6)
    direct = mll.multilabel_distillation_loss(logits, y, teacher_logits=teacher)
    direct += mll.sigmoid_binary_cross_entropy(teacher, y)
    assert bound.loss(outputs, y) == pytest.approx(float(direct))


def test_a_temperature_is_one_for_logits(dataset):
    y = jnp.asarray(dataset.y_train)
    bound = bound_loss.bind("smooth_ap_loss", dataset)
    logits = outputs_of(bound)
    direct = mll.smooth_ap_loss(logits, y, temperature=0.5)
    assert bound.loss(logits, y) == pytest.approx(float(direct))
    assert bound.given == "temperature = 0.5"


def test_a_penalty_is_added_to_cross_entropy(dataset):
    y = jnp.asarray(dataset.y_train)
    bound = bound_loss.bind("hierarchy_penalty", dataset)
    logits = outputs_of(bound)
    edges = bound_loss.FROM_LABELS["edges"](dataset)
    total = mll.hierarchy_penalty(logits, y, edges=edges)
    total += mll.sigmoid_binary_cross_entropy(logits, y)
    assert bound.loss(logits, y) == pytest.approx(float(total))
    assert "binary cross-entropy" in bound.given


def test_parameters_go_to_the_loss(dataset):
    y = jnp.asarray(dataset.y_train)
    text = "sigmoid_focal_loss(gamma=3, alpha=[0.1, 0.2, 0.3, 0.4])"
    for bound in (bound_loss.bind(text, dataset), bound_loss.bind(parse(text), dataset)):
        logits = outputs_of(bound)
        alpha = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
        direct = mll.sigmoid_focal_loss(logits, y, gamma=3, alpha=alpha)
        assert jax.jit(bound.loss)(logits, y) == pytest.approx(float(direct), rel=1e-6)
        assert bound.given == ""


def test_parameters_win_over_what_the_data_gives(dataset):
    y = jnp.asarray(dataset.y_train)
    bound = bound_loss.bind("balanced_binary_cross_entropy(alpha=0.25)", dataset)
    logits = outputs_of(bound)
    direct = mll.balanced_binary_cross_entropy(logits, y, alpha=0.25)
    assert bound.loss(logits, y) == pytest.approx(float(direct))
    assert bound.given == ""
    bound = bound_loss.bind("smooth_ap_loss(temperature=0.1)", dataset)
    direct = mll.smooth_ap_loss(logits, y, temperature=0.1)
    assert bound.loss(logits, y) == pytest.approx(float(direct))
    assert bound.given == ""
    bound = bound_loss.bind("distribution_balanced_loss(num_samples=50, gamma=1)", dataset)
    counts = bound_loss.FROM_LABELS["label_counts"](dataset)
    direct = mll.distribution_balanced_loss(logits, y, label_counts=counts, num_samples=50, gamma=1)
    assert bound.loss(logits, y) == pytest.approx(float(direct))
    assert bound.given == "label_counts"
    bound = bound_loss.bind("hierarchy_penalty(edges=[[0, 3]])", dataset)
    direct = mll.hierarchy_penalty(logits, y, edges=jnp.array([[0, 3]]))
    direct += mll.sigmoid_binary_cross_entropy(logits, y)
    assert bound.loss(logits, y) == pytest.approx(float(direct))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("hinge_loss(margin=[1, 2, 3])", ["hinge_loss", "margin has 3 values", "4 labels"]),
        ("hinge_loss(margin=[])", ["hinge_loss", "margin has 0 values", "4 labels"]),
        ("hinge_loss(margin=[1, 2, 3, -1])", ["hinge_loss", "margin must lie in [0, inf]"]),
        ("hinge_loss(margin=[[1, 2, 3, 4]])", ["hinge_loss", "margin", "shape (4,)", "(1, 4)"]),
        ("dice_loss(smooth=[1, 2, 3, 4])", ["dice_loss", "smooth must be a scalar"]),
        ("ldam_loss(max_margin=-1)", ["ldam_loss", "max_margin must lie in"]),
        ("ldam_loss(label_counts=[1, 2])", ["ldam_loss", "label_counts has 2 values"]),
        ("role_loss(expected_positives=-1)", ["role_loss", "expected_positives"]),
        (Choice("hinge_loss", (("size", 2),)), ["hinge_loss(size=2)", "'size'"]),
    ],
    ids=str,
)
def test_what_the_data_contradicts_is_named(choice, words, dataset):
    with pytest.raises(ComparisonError) as caught:
        bound_loss.bind(choice, dataset)
    for word in words:
        assert word in str(caught.value)
