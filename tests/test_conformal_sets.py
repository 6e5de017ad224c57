"""Conformal sets and p-values label by label, and the report of label sets, against numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from guarantee_inputs import CASES, broken, rows_of
from sklearn.metrics import recall_score

from mllosses_jax import decisions


@pytest.mark.parametrize("case", CASES)
def test_p_values_are_shares(case):
    scores, truth, keep = rows_of(case)
    new, _, _ = rows_of(case, count=30, seed=1)
    new[0] = scores[1]
    found = decisions.labelwise_p_values(*broken(scores, truth, keep), new, where=keep)
    for label in range(scores.shape[1]):
        s, y = scores[keep[:, label], label], truth[keep[:, label], label]
        for kind, of_kind, sign in (("present", s[y], 1), ("absent", s[~y], -1)):
            # A NaN is the strangest of all.
            known, at = (
                np.where(np.isnan(a), -np.inf, sign * a.astype(float))
                for a in (of_kind, new[:, label])
            )
            if case == "infinite scores":
                known, at = np.clip(known, -1e30, 1e30), np.clip(at, -1e30, 1e30)
            count = (known[:, None] <= at).sum(0)
            expected = (count + 1) / (of_kind.size + 1)
            np.testing.assert_allclose(getattr(found, kind)[:, label], expected, rtol=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case != "NaN scores"])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.99])
def test_sets_are_those_of_the_thresholds(case, level):
    scores, truth, keep = rows_of(case)
    new, _, _ = rows_of(case, count=30, seed=1)
    sets = decisions.labelwise_conformal_sets(scores, truth, new, level=level, where=keep)
    tune = functools.partial(decisions.threshold_for_recall, level=level, scope="label", where=keep)
    np.testing.assert_array_equal(sets.present, new >= np.asarray(tune(scores, truth)))
    np.testing.assert_array_equal(sets.absent, -new >= np.asarray(tune(-scores, ~truth)))
    kinds = np.stack([sets.predicted, sets.abstained, sets.neither, ~sets.present & sets.absent])
    np.testing.assert_array_equal(kinds.sum(0), 1)


def test_level_per_label():
    scores, truth, _ = rows_of("random")
    levels = np.array([0.5, 0.8, 0.9, 1], np.float32)
    together = decisions.labelwise_conformal_sets(scores, truth, scores, level=levels)
    for label, level in enumerate(levels):
        alone = decisions.labelwise_conformal_sets(scores, truth, scores, level=level)
        np.testing.assert_array_equal(together.present[:, label], alone.present[:, label])
    assert together.abstained[:, 3].all()  # a level of 1 rules nothing out


def test_both_promises_hold_on_average():
    rng = np.random.default_rng(3)
    draws, count, level = 1000, 60, 0.8
    truth = rng.random((draws, count + 1, 3)) < np.array([0.5, 0.2, 0.05])
    scores = (rng.standard_normal(truth.shape) + 1.5 * truth).astype(np.float32)
    scores[..., 1] = scores[..., 1].round(0)

    def of_last(scores, truth):
        sets = decisions.labelwise_conformal_sets(scores[:-1], truth[:-1], scores[-1:], level=level)
        return sets.present[0], sets.absent[0]

    present, absent = map(np.asarray, jit(jax.vmap(of_last))(scores, truth))
    last = truth[:, -1]
    for kept, of_kind in ((present, last), (absent, ~last)):
        for label in range(3):
            share, number = kept[of_kind[:, label], label].mean(), of_kind[:, label].sum()
            assert share >= level - 3 * np.sqrt(level * (1 - level) / number), label
    exact = present[last[:, 0], 0].mean()
    assert exact < level + 0.08  # for a label that is neither tied nor rare


@pytest.mark.parametrize("case", CASES)
def test_report_of_sets(case):
    scores, truth, keep = rows_of(case)
    rng = np.random.default_rng(2)
    predicted = scores >= 1
    predicted[5] = False
    left_open = rng.random(scores.shape) < 0.2
    found = decisions.set_report(
        predicted, broken(scores, truth, keep)[1], abstained=left_open, where=keep
    )
    missed, wrong, sizes, of_positive = [], [], [], []
    for p, y, k in zip(predicted, truth, keep, strict=True):
        if not k.any():
            continue
        right = (p & y & k).sum()
        missed.append(1 - right / (y & k).sum() if (y & k).any() else 0)
        of_positive += [missed[-1]] if (y & k).any() else []
        wrong.append(1 - right / (p & k).sum() if (p & k).any() else 0)
        sizes.append((p & k).sum())
    assert found.rows == len(missed)
    assert found.rows_with_positives == len(of_positive)
    np.testing.assert_allclose(found.false_negative_rate, np.mean(missed), rtol=1e-6)
    np.testing.assert_allclose(found.missed_if_any, np.mean(of_positive), rtol=1e-6)
    np.testing.assert_allclose(found.false_discovery_rate, np.mean(wrong), rtol=1e-6)
    np.testing.assert_allclose(found.set_size, np.mean(sizes), rtol=1e-6)
    np.testing.assert_allclose(found.empty, np.mean(np.array(sizes) == 0), rtol=1e-6)
    np.testing.assert_allclose(found.abstained, left_open[keep].mean(), rtol=1e-6)
    np.testing.assert_array_equal(found.label_positives, (truth & keep).sum(0))
    recall = [recall_score(truth[k, j], predicted[k, j]) for j, k in enumerate(keep.T)]
    np.testing.assert_allclose(found.label_false_negative_rate, 1 - np.array(recall), rtol=1e-5)


def test_report_of_nothing():
    found = decisions.set_report(
        np.zeros((2, 3), bool), np.zeros((2, 3), bool), where=np.zeros((2, 1), bool)
    )
    assert all(np.all(np.asarray(value) == 0) for value in found)


def test_bad_input_is_named():
    scores, truth, _ = rows_of("random")
    for function in (decisions.labelwise_p_values, decisions.labelwise_conformal_sets):
        with pytest.raises(ValueError, match=r"new_scores must have the 4 labels .* got \(2, 3\)"):
            function(scores, truth, np.zeros((2, 3), np.float32))
        with pytest.raises(ValueError, match="new_scores must have two axes"):
            function(scores, truth, np.zeros(4, np.float32))
        with pytest.raises(TypeError, match="new_scores must be a floating-point array"):
            function(scores, truth, np.zeros((2, 4), int))
    with pytest.raises(ValueError, match=r"level must lie in \[0, 1\]"):
        decisions.labelwise_conformal_sets(scores, truth, scores, level=90)
    with pytest.raises(TypeError, match="abstained must be a bool array, got float32"):
        decisions.set_report(truth, truth, abstained=scores)
    with pytest.raises(ValueError, match="abstained must have the shape of labels"):
        decisions.set_report(truth, truth, abstained=truth[:3])
    with pytest.raises(TypeError, match="predictions must be hard sets"):
        decisions.set_report(scores, truth)


def test_no_known_row_rules_nothing_out():
    scores = jnp.zeros((5, 2))
    sets = decisions.labelwise_conformal_sets(
        scores, jnp.zeros((5, 2), bool), scores[:1], level=0.5
    )
    assert sets.present.all()
