"""Value and all gradients of a head, for every separable loss, against float64 oracles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from compiling import jit
from contract import compiled, make_inputs
from head_inputs import (
    CHUNK,
    HEAD,
    LABEL_MATRIX,
    LABELS,
    POSITIVES,
    SEPARABLE,
    UNKNOWN,
    WHERE,
    assert_close,
    in_float64,
    known_entries,
)

from mllosses_jax import catalogue, heads

separable = pytest.mark.parametrize("case", SEPARABLE, ids=str)
FIRST = list({case.name: case for case in reversed(SEPARABLE)}.values())


def is_learnable(value):
    """Returns whether a parameter has one float per label."""
    return np.shape(value) == (LABELS,) and np.issubdtype(value.dtype, np.floating)


def sums(case, implementation):
    """Returns a function of (features, kernel, bias): the sum of the losses of each sample."""
    return functools.partial(
        heads.linear_head_loss,
        positives=POSITIVES,
        loss=case.loss,
        loss_kwargs=case.kwargs,
        unknown=UNKNOWN,
        where=WHERE,
        label_weights=HEAD.label_weights,
        sample_weights=HEAD.sample_weights,
        chunk_size=CHUNK,
        implementation=implementation,
    )


def expected_of(case):
    """Returns the unreduced weighted losses (B, L) of the oracle, and their slope."""
    known = known_entries(UNKNOWN, WHERE)
    weights = HEAD.sample_weights[:, None].astype(np.float64) * HEAD.label_weights
    labels = LABEL_MATRIX.astype(np.float32)
    losses = np.where(known, case.reference(HEAD.logits, labels, known), 0)
    slope = np.where(known, case.reference_slope(HEAD.logits, labels, known), 0)
    return weights * losses, weights * slope


@separable
def test_one_pass(case):
    """The features of the masked sample are NaN."""
    call = sums(case, "one_pass")
    features = np.where(WHERE[:, None], HEAD.features, np.nan)

    @jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2))
    def function(features, kernel, bias):
        return call(features, kernel, bias=bias, reduction="batchmean")

    value, gradients = function(features, HEAD.kernel, HEAD.bias)
    losses, slope = expected_of(case)
    losses, slope = losses / WHERE.sum(), slope / WHERE.sum()
    assert_close(value, losses.sum())
    expected = slope @ HEAD.kernel, slope.T @ HEAD.features, slope.sum(0)
    assert_close(gradients, expected)


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_recompute(case):
    """Each sample gets a factor that is known in the backward pass alone."""
    call = sums(case, "recompute")
    factors = np.linspace(0.5, 2, len(WHERE)).astype(np.float32)

    @jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    def function(features, kernel, bias):
        losses = call(features, kernel, bias=bias, reduction="none")
        return jnp.sum(factors * losses), losses

    (_, losses), gradients = function(HEAD.features, HEAD.kernel, HEAD.bias)
    expected, slope = expected_of(case)
    assert_close(losses, expected.sum(1))
    slope = factors[:, None] * slope
    assert_close(gradients, (slope @ HEAD.kernel, slope.T @ HEAD.features, slope.sum(0)))


@pytest.mark.parametrize(
    "case", [c for c in SEPARABLE if any(map(is_learnable, c.kwargs.values()))], ids=str
)
def test_gradients_of_parameters_and_weights(case):
    """Those of float parameters (L,) and of weights equal those of the dense loss in float64."""
    learnable = {n: v for n, v in case.kwargs.items() if is_learnable(v)}
    fixed = {n: v for n, v in case.kwargs.items() if n not in learnable}
    weights = {"label_weights": HEAD.label_weights, "sample_weights": HEAD.sample_weights}

    def gradients(function, features, kernel, parameters, weights, **options):
        def value(parameters, weights):
            return function(
                features,
                kernel,
                POSITIVES,
                loss=case.loss,
                loss_kwargs=fixed | parameters,
                unknown=UNKNOWN,
                reduction="batchmean",
                **weights,
                **options,
            )

        return jax.grad(value, (0, 1))(parameters, weights)

    one_pass = functools.partial(gradients, heads.linear_head_loss, chunk_size=CHUNK)
    found = jit(one_pass)(HEAD.features, HEAD.kernel, learnable, weights)
    with jax.enable_x64(True):
        arguments = in_float64((HEAD.features, HEAD.kernel, learnable, weights))
        dense = jit(functools.partial(gradients, heads.dense_head_loss))
        expected = jax.device_get(dense(*map(jax.tree.map, [jnp.asarray] * 4, arguments)))
    assert_close(found, expected, rtol=1e-4)


def test_the_cases_cover_every_separable_loss():
    """Probabilities are no logits, so the loss that takes them is no loss of a head."""
    names = {entry.name for entry in catalogue.CATALOGUE if entry.separable}
    assert {case.name for case in SEPARABLE} == names - {"binary_cross_entropy"}


ELEMENT = {case.name: case for case in reversed(CASES) if case.entry.kind == "element"}


@pytest.mark.parametrize("case", ELEMENT.values(), ids=str)
def test_separable_says_whether_an_entry_needs_other_logits(case):
    """Of a separable loss, an entry is the same to the bit whatever the other logits are."""
    x, labels, _ = make_inputs(case)
    others = make_inputs(case, seed=1)[0]
    loss = compiled(case)
    alone = np.asarray(loss(x, labels))
    for index in np.ndindex(x.shape):
        changed = others.copy()
        changed[index] = x[index]
        if np.asarray(loss(changed, labels))[index] != alone[index]:
            assert not case.entry.separable, f"{case} at {index}"
            return
    assert case.entry.separable


def test_no_other_kind_of_loss_is_separable():
    assert {e.kind for e in catalogue.CATALOGUE if e.separable} == {"element"}
