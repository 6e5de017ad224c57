"""Invalid labels: eager calls of losses, metrics and calibrators refuse them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from metric_calls import calls, first

import mllosses_jax as mll
from mllosses_jax import calibration, labels, pseudo_labels, training, weighting
from mllosses_jax.metrics import streaming

N, L = 8, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, L)).astype(np.float32)
P = RNG.random((N, L)).astype(np.float32)
TRUTH = RNG.random((N, L)) < 0.4
LOSSES = {case.name: case for case in CASES}
METRICS = calls(L, 2)
WRONG = [  # a value, the dtype of the labels, and what the message says about it
    (-1, np.int32, r"got -1 at \(2, 1\).*from_minus_one_unknown"),
    (2, np.int8, r"got 2 at \(2, 1\)"),
    (255, np.uint8, r"got 255 at \(2, 1\).*where"),
    (-1.0, np.float32, r"got -1.* at \(2, 1\).*from_minus_one_unknown"),
    (1.5, np.float32, r"got 1.5 at \(2, 1\)"),
    (-0.25, jnp.bfloat16, r"got -0.25 at \(2, 1\)"),
    (np.inf, np.float16, r"got inf at \(2, 1\)"),
    (np.nan, np.float32, r"got NaN at \(2, 1\).*from_nan"),
]


def with_value(value, dtype):
    """Returns the labels with one invalid value, and the mask that excludes it."""
    given = TRUTH.astype(dtype)
    given[2, 1] = value
    known = np.ones((N, L), bool)
    known[2, 1] = False
    return given, known


def loss_of(name):
    case = LOSSES[name]
    inputs = case.batch_inputs(TRUTH, None)
    scores = P if case.entry.takes == "probabilities" else X
    return functools.partial(case.entry.loss, scores, **case.kwargs, **inputs)


def metric_of(name):
    kind = first(METRICS[name])
    given = {None: {}, "predictions": {kind: P > 0.5}}.get(kind, {kind: P})
    return functools.partial(METRICS[name], **given)


OTHERS = {
    "class_balanced_weights": functools.partial(
        weighting.class_balanced_weights, label_counts=jnp.arange(1, L + 1)
    ),
    "label_counts": weighting.label_counts,
    "label_priors": weighting.label_priors,
    "rebalanced_weights": functools.partial(
        weighting.rebalanced_weights, label_counts=jnp.arange(1, L + 1)
    ),
    "sample_balanced_weights": weighting.sample_balanced_weights,
    "smooth_labels": functools.partial(labels.smooth_labels, label_smoothing=0.1),
    "correct_large_losses": functools.partial(
        pseudo_labels.correct_large_losses, logits=X, relative_rate=0.1
    ),
    "adaptive_asymmetry": functools.partial(
        training.adaptive_asymmetry, 2.0, X, target=0.1, rate=0.1
    ),
    "initial_label_logits": functools.partial(
        pseudo_labels.initial_label_logits, jax.random.key(0)
    ),
    **{
        name: functools.partial(getattr(calibration, name), X)
        for name in ("fit_platt", "fit_temperature", "fit_bias", "fit_beta", "fit_isotonic")
    },
}
FUNCTIONS = {
    **{name: functools.partial(loss_of, name) for name in LOSSES},
    **{name: functools.partial(metric_of, name) for name in METRICS},
    **{name: functools.partial(lambda function: function, OTHERS[name]) for name in OTHERS},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_invalid_label_is_refused_where_it_counts(name):
    function = FUNCTIONS[name]()
    for value, dtype, message in WRONG:
        given, _ = with_value(value, dtype)
        for wrong in (given, jnp.asarray(given)):
            with pytest.raises(ValueError, match=rf"{name}: labels must .*{message}"):
                function(labels=wrong)
            with pytest.raises(ValueError, match=message):
                function(labels=wrong, where=np.ones((N, 1), bool))
            with pytest.raises(ValueError, match=message):
                function(labels=wrong, where=jnp.ones((1, L), bool))


@pytest.mark.parametrize(
    "name", ["zlpr_loss", "soft_f1_loss", "asymmetric_loss", "f1", "average_precision", "fit_platt"]
)
def test_what_is_masked_may_be_anything(name):
    function = FUNCTIONS[name]()
    for value, dtype, _ in WRONG:
        given, known = with_value(value, dtype)
        found = function(labels=given, where=known)
        expected = function(labels=TRUTH.astype(dtype), where=known)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_remedy_gives_the_value_without_the_unknown():
    x, y = jnp.array([[0.5, -1.0, 2.0]]), jnp.array([[1, -1, 0]])
    with pytest.raises(ValueError, match="from_minus_one_unknown"):
        mll.sigmoid_binary_cross_entropy(x, y)
    known, where = labels.from_minus_one_unknown(y)
    expected = (np.log1p(np.exp(-0.5)) + np.log1p(np.exp(2.0))) / 2
    found = mll.sigmoid_binary_cross_entropy(x, known, where=where)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_labels_of_any_dtype_and_negative_zero_pass():
    x = jnp.asarray(X)
    expected = mll.sigmoid_binary_cross_entropy(x, TRUTH)
    for dtype in (bool, np.int8, np.uint16, np.int32, np.float16, np.float32, jnp.bfloat16):
        found = mll.sigmoid_binary_cross_entropy(x, TRUTH.astype(dtype))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    zero = np.where(TRUTH, np.float32(1), np.float32(-0.0))
    for given in (zero, zero.T.copy().T, np.asfortranarray(zero)[::-1][::-1]):
        np.testing.assert_allclose(mll.sigmoid_binary_cross_entropy(x, given), expected, rtol=1e-6)


def test_derivatives_look_at_the_labels_too():
    wrong, known = with_value(-1.0, np.float32)

    def loss(x, y, where=None):
        return mll.asymmetric_loss(x, y, where=where)

    with pytest.raises(ValueError, match="from_minus_one_unknown"):
        jax.value_and_grad(loss)(jnp.asarray(X), wrong)
    with pytest.raises(ValueError, match="from_minus_one_unknown"):
        jax.grad(lambda x: loss(x, wrong))(jnp.asarray(X))
    assert np.isfinite(jax.grad(loss)(jnp.asarray(X), wrong, known)).all()


def test_labels_without_values_are_taken_as_they_are():
    wrong, known = with_value(-1.0, np.float32)
    x, y = jnp.asarray(X), jnp.asarray(wrong)

    def loss(x, y, where=None):
        return mll.sigmoid_binary_cross_entropy(x, y, where=where)

    jax.jit(loss)(x, y)
    jax.vmap(loss)(x, y)
    jax.grad(loss, argnums=1)(x, y)
    jax.jit(lambda where: loss(x, y, where))(known)
    jax.eval_shape(loss, x, y)
    with pytest.raises(ValueError, match="from_minus_one_unknown"):
        jax.jit(lambda x: loss(x, y))(x)  # arrays in the closure of a traced function have values


def test_class_ids_are_not_checked_as_labels():
    x, ids = jnp.asarray(X), jnp.arange(N) % L
    for name in ("softmax_focal_loss", "single_label_asymmetric_loss"):
        loss = getattr(mll, name)
        np.testing.assert_allclose(loss(x, ids), loss(x, jax.nn.one_hot(ids, L)), rtol=1e-6)


def test_labels_on_several_devices():
    mesh = jax.make_mesh((4,), ("n",))
    place = jax.NamedSharding(mesh, jax.P("n"))
    wrong, known = with_value(-1, np.int32)
    given, where, x = jax.device_put((wrong, known, X), place)
    with pytest.raises(ValueError, match=r"got -1 at \(2, 1\)"):
        mll.sigmoid_binary_cross_entropy(x, given)
    found = mll.sigmoid_binary_cross_entropy(x, given, where=where)
    expected = mll.sigmoid_binary_cross_entropy(X, TRUTH, where=known)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_calibrators_do_not_look_at_samples_of_weight_zero():
    wrong, known = with_value(-1, np.int32)
    weights = known[:, 1].astype(np.float32)
    found = calibration.fit_platt(X, wrong, weights=weights)
    expected = calibration.fit_platt(X, TRUTH, weights=weights)
    np.testing.assert_allclose(found(X), expected(X), rtol=1e-6)
    with pytest.raises(ValueError, match=r"fit_platt: labels must .*got -1 at \(2, 1\)"):
        calibration.fit_platt(X, wrong, weights=weights + 1)


def test_streams_look_into_numpy_arrays():
    for value, dtype, message in WRONG:
        given, known = with_value(value, dtype)
        histogram = streaming.ScoreHistogram.init(L, inputs="logits")
        for state, outputs in ((histogram, X), (streaming.ConfusionCounts.init(L), X > 0)):
            with pytest.raises(ValueError, match=f"update: labels must .*{message}"):
                state.update(outputs, given)
            state.update(outputs, given, where=known)
