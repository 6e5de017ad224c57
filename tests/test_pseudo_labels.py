"""Estimates of unknown labels, against loops, and properties of the losses that use them."""

import functools
import json
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import mp

import mllosses_jax as mll
from mllosses_jax.pseudo_labels import PseudoLabels, add_pseudo_negatives, initial_label_logits

GOLDEN = Path(__file__).parent / "golden"


def _data(seed=0, samples=40, labels=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=2, size=(samples, labels)).astype(np.float32)
    y = rng.random(x.shape) < np.linspace(0, 1, labels)  # one label is never positive, one always
    return x, y


def _select(pseudo, x, y, share):
    """Selects the pseudo-negatives of one epoch, label by label."""
    values, where = (np.array(part) for part in pseudo)
    for c in range(x.shape[1]):
        number = int(share * np.sum(~y[:, c]))
        free = [i for i in range(len(x)) if not y[i, c] and not where[i, c]]
        for i in sorted(free, key=lambda i, c=c: x[i, c])[:number]:
            values[i, c], where[i, c] = 1 / (1 + np.exp(-x[i, c])), True
    return PseudoLabels(values, where)


def test_each_epoch_selects_the_least_probable_unknown_labels():
    _, y = _data()
    ours = reference = PseudoLabels.none(*y.shape)
    for epoch in range(5):
        x, _ = _data(epoch)
        before = ours
        ours = add_pseudo_negatives(ours, x, y, share=0.26)
        reference = _select(reference, x, y, 0.26)
        np.testing.assert_array_equal(ours.where, reference.where)
        np.testing.assert_allclose(ours.labels, reference.labels, rtol=1e-6)
        kept = np.asarray(before.where)
        np.testing.assert_array_equal(ours.labels[kept], before.labels[kept])
    assert np.array_equal(ours.where, ~y)  # 5 * 0.26 > 1: nothing is left


def test_ties_and_infinite_logits_are_selected_to_the_number():
    x = np.array([[np.inf, 0], [-np.inf, 0], [np.inf, 0], [1, 0]], np.float32)
    y = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    pseudo = add_pseudo_negatives(PseudoLabels.none(4, 2), x, y, share=0.5)
    np.testing.assert_array_equal(pseudo.where.sum(0), [1, 2])
    pseudo = add_pseudo_negatives(PseudoLabels.none(4, 2), x, y, share=1)
    np.testing.assert_array_equal(pseudo.where, y == 0)
    np.testing.assert_array_equal(pseudo.labels[:, 0], [0, 0, 1, jax.nn.sigmoid(1.0)])


def test_another_share_does_not_recompile(caplog):
    x, y = _data()
    pseudo = add_pseudo_negatives(PseudoLabels.none(*y.shape), x, y, share=0.2)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        add_pseudo_negatives(pseudo, x, y, share=0.3)
    assert not [r for r in caplog.records if r.getMessage().startswith("Compiling")]


def test_bad_input_of_a_selection_is_named():
    x, y = _data()
    none = PseudoLabels.none(*y.shape)
    with pytest.raises(ValueError, match="labels must have the shape of logits"):
        add_pseudo_negatives(none, x, y[:3], share=0.1)
    with pytest.raises(ValueError, match=r"pseudo\.labels must have the shape of logits"):
        add_pseudo_negatives(none, x[:3], y[:3], share=0.1)
    with pytest.raises(TypeError, match="logits must be a floating-point array"):
        add_pseudo_negatives(none, y, y, share=0.1)
    with pytest.raises(ValueError, match="share must be a scalar"):
        add_pseudo_negatives(none, x, y, share=jnp.asarray(x[0]))
    for share in (-0.1, 1.5, 90):
        with pytest.raises(ValueError, match=r"share must lie in \[0, 1\]"):
            add_pseudo_negatives(none, x, y, share=share)


def test_first_estimates():
    _, y = _data(samples=500)
    known = y | (np.arange(6) == 1)
    for where, negative in ((None, np.zeros_like(y)), (known, known & ~y)):
        p = np.asarray(jax.nn.sigmoid(initial_label_logits(jax.random.key(0), y, where=where)))
        np.testing.assert_allclose(p[y], 0.995, rtol=1e-6)
        np.testing.assert_allclose(p[negative], 0.005, rtol=1e-5)
        unknown = p[~y & ~negative]
        assert 0.4 <= unknown.min() < 0.41
        assert 0.59 < unknown.max() <= 0.6
        assert abs(unknown.mean() - 0.5) < 0.01
    one = initial_label_logits(jax.random.key(1), y)
    assert not np.array_equal(one, initial_label_logits(jax.random.key(2), y))


def test_both_parties_of_role_are_alike():
    x, y = _data()
    g = np.flip(x)
    mask = np.random.default_rng(1).random(x.shape) < 0.7

    @jax.jit
    def both(x, g):
        return jax.value_and_grad(
            lambda x, g: mll.role_loss(
                x, y, estimated_logits=g, expected_positives=2.5, where=mask
            ),
            argnums=(0, 1),
        )(x, g)

    value, (by_x, by_g) = both(x, g)
    swapped, (by_first, by_second) = both(g, x)
    np.testing.assert_allclose(value, swapped, rtol=1e-6)
    np.testing.assert_allclose(by_x, by_second, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(by_g, by_first, rtol=1e-5, atol=1e-9)
    assert np.all(np.asarray(by_g)[~mask] == 0)
    assert np.all(np.asarray(by_g)[mask] != 0)


def test_gradient_of_the_estimates_is_that_of_the_authors():
    for case in json.loads((GOLDEN / "spml_role.json").read_text()):
        x, y, g = (np.array(case["inputs"][name]) for name in ("logits", "labels", "est"))
        k = case["params"]["expected_num_pos"]
        with jax.enable_x64(True):
            gradient = jax.grad(
                lambda g, x=x, y=y, k=k: mll.role_loss(
                    x, y, estimated_logits=g, expected_positives=k
                )
            )(jnp.asarray(g))
        # The whole difference is the log(p + 1e-5) of the source; see golden_calls/differences.py.
        p, q, s = 1 / (1 + np.exp(-g)), 1 / (1 + np.exp(g)), 1 / (1 + np.exp(-x))
        e = 1e-5
        offset = -(s + (y > 0)) * q * e / (p + e) + (1 - s) * p * e / (q + e)
        np.testing.assert_allclose(
            np.asarray(gradient) - offset / 2 / x.size, case["grad_est"], rtol=1e-10, atol=1e-13
        )


def test_pseudo_labels_need_both_arrays():
    x, y = _data()
    loss = mll.entropy_maximization_loss
    with pytest.raises(ValueError, match="must be given together"):
        loss(x, y, pseudo_labels=x)
    with pytest.raises(ValueError, match="must be given together"):
        loss(x, y, pseudo_where=y)
    with pytest.raises(TypeError, match="pseudo_where must be a bool array"):
        loss(x, y, pseudo_labels=x, pseudo_where=x)
    with pytest.raises(ValueError, match="pseudo_labels must have the shape of logits"):
        loss(x, y, pseudo_labels=x[:3], pseudo_where=y)


def test_observed_positives_are_never_pseudo_labelled():
    x, y = _data()
    with_all = mll.entropy_maximization_loss(
        x, y, pseudo_labels=np.zeros_like(x), pseudo_where=np.ones_like(y), reduction="none"
    )
    without = mll.entropy_maximization_loss(x, y, reduction="none")
    np.testing.assert_array_equal(with_all[y], without[y])
    assert np.all(with_all[~y] > without[~y])


def test_divergence_of_nearby_logits_does_not_cancel():
    rng = np.random.default_rng(0)
    teacher = rng.uniform(-30, 30, 500).astype(np.float32)
    step = rng.choice([-1, 1], 500) * 10.0 ** rng.uniform(-4, 1, 500)
    x = (teacher + step).astype(np.float32)

    def divergence(t, s):
        p, q = (1 / (1 + mp.exp(-mp.mpf(float(z)))) for z in (t, s))
        return float(p * mp.log(p / q) + (1 - p) * mp.log((1 - p) / (1 - q)))

    reference = np.array([divergence(t, s) for t, s in zip(teacher, x, strict=True)])
    ours, same = (
        mll.multilabel_distillation_loss(
            x[:, None], x[:, None] > 0, teacher_logits=t[:, None], reduction="none"
        )
        for t in (teacher, x)
    )
    error = np.abs(np.asarray(ours, np.float64) / reference - 1)
    near = np.abs(x - teacher) < 0.5
    assert error[near].max() < 5e-7
    assert error.max() < 2e-5
    assert np.all(np.asarray(ours) >= 0)
    assert np.all(np.asarray(same) == 0)


def test_divergence_of_infinite_quotients():
    ends = np.float32([-1e15, 0, 1e15])
    x, teacher = (z.reshape(-1, 1) for z in np.meshgrid(ends, ends))
    call = functools.partial(mll.multilabel_distillation_loss, labels=x > 0, temperature=1e-30)
    found = call(x, teacher_logits=teacher, reduction="none")
    wanted = np.where(x == teacher, 0, np.where(x == 0, np.log(2), np.inf))[:, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    slope = jax.grad(lambda x: call(x, teacher_logits=teacher, reduction="sum") * 1e-30)(x)
    np.testing.assert_allclose(slope, (np.sign(x) - np.sign(teacher)) / 2, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 100.0, 1e6, 1e10])
def test_gradient_of_distillation_keeps_its_digits_near_the_teacher(temperature):
    x = np.array([0.5, -0.5, 3.0, -0.25, 1e-3], np.float32)
    teacher = np.array([0.501, -0.3, 2.9, 0.125, -1e-3], np.float32)
    a, b = (np.asarray(z / np.float32(temperature), float) for z in (x, teacher))
    difference = np.sinh((a - b) / 2) / (2 * np.cosh(a / 2) * np.cosh(b / 2))
    loss = functools.partial(
        mll.multilabel_distillation_loss, teacher_logits=teacher, temperature=temperature
    )
    slope = jax.grad(loss)(x, x > 0)
    np.testing.assert_allclose(slope, difference / temperature, rtol=2e-6)


def test_distillation_writes_neither_exponentials_nor_divergences():
    x = jax.ShapeDtypeStruct((512, 1000), jnp.float32)

    def loss(x, teacher):
        return mll.multilabel_distillation_loss(x, x > 0, teacher_logits=teacher)

    analysis = jax.jit(jax.value_and_grad(loss)).lower(x, x).compile().memory_analysis()
    assert analysis.temp_size_in_bytes < 0.3 * 4 * x.size


def test_teacher_gets_no_gradient_and_labels_do_nothing():
    x, y = _data()

    def loss(x, teacher, labels):
        return mll.multilabel_distillation_loss(x, labels, teacher_logits=teacher)

    teacher = np.flip(x)
    np.testing.assert_array_equal(jax.grad(loss, argnums=1)(x, teacher, y), 0)
    assert loss(x, teacher, y) == loss(x, teacher, ~y)
    with pytest.raises(ValueError, match="teacher_logits must have the shape of logits"):
        loss(x, teacher[:3], y)
