"""The multi-label logistic loss is a binary cross-entropy, by brute force over all label sets.

For a sample with labels y in {−1, 1}^L, logits x and a target loss D(y', y) in [0, 1], it is

    ℓ = Σ_{y'} (1 − D(y', y))·log Σ_{y''} exp(Σ_c (y''_c − y'_c)·x_c)

over all 2^L label sets. See A. Mao, M. Mohri and Y. Zhong, "Multi-Label Learning with Stronger
Consistency Guarantees", 2024 (NeurIPS), arXiv:2407.13746.
"""

import itertools
import math

import jax
import numpy as np
import pytest

import mllosses_jax as mll

SIZE = 4
SETS = np.array(list(itertools.product([False, True], repeat=SIZE)))
LOGITS = np.random.default_rng(0).normal(scale=1.5, size=(len(SETS), SIZE))  # a row for each set


def multilabel_logistic(logits, labels, accuracy):
    """Returns the loss of a sample; `accuracy` is 1 − D, a function of two label sets."""
    signed = 2.0 * SETS - 1
    return sum(
        accuracy(SETS[k], labels) * np.log(np.exp((signed - signed[k]) @ logits).sum())
        for k in range(len(SETS))
    )


def hamming_accuracy(predicted, labels):
    return np.mean(predicted == labels)


def f_measure(beta):
    def measure(predicted, labels):
        total = predicted.sum() + beta**2 * labels.sum()
        return (1 + beta**2) * (predicted & labels).sum() / total if total else 1.0

    return measure


def test_with_the_hamming_loss_it_is_cross_entropy_with_smoothed_labels():
    """It is 2^(L − 1) times the cross-entropy of 2x with a label smoothing of (L − 1)/L.

    Of 2^(L − 1) sets y' that have label c right, the mean of 1 − D is (L + 1)/(2L); of those that
    have it wrong, it is (L − 1)/(2L). For large L nearly nothing is left of the labels but their
    sign, so the loss keeps all logits near 0.
    """
    with jax.enable_x64(True):
        losses = mll.sigmoid_binary_cross_entropy(
            2 * LOGITS, SETS, label_smoothing=(SIZE - 1) / SIZE, reduction="none"
        ).sum(-1)
    for x, y, found in zip(LOGITS, SETS, np.asarray(losses), strict=True):
        wanted = multilabel_logistic(x, y, hamming_accuracy)
        np.testing.assert_allclose(2 ** (SIZE - 1) * found, wanted, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_with_an_f_measure_it_is_cross_entropy_with_weights_by_label_and_set_size(beta):
    """The weights of log σ(2x) and log σ(−2x) depend on the label and on how many are positive.

    A weight is the sum of the F-measure over the sets y' that contain the label, or over those that
    do not. The measure depends on how many of y' are right and wrong, so the sets are counted by
    two binomial coefficients.
    """

    def weight(predicted, label, positives):
        """Sums the measure over the sets that contain a label (`predicted`), or that do not."""
        other_positives, other_negatives = positives - label, SIZE - 1 - (positives - label)
        total = 0.0
        for right, wrong in itertools.product(
            range(other_positives + 1), range(other_negatives + 1)
        ):
            sets = math.comb(other_positives, right) * math.comb(other_negatives, wrong)
            hits, size = right + predicted * label, right + wrong + predicted
            below = size + beta**2 * positives
            total += sets * ((1 + beta**2) * hits / below if below else 1.0)
        return total

    def weights(predicted):
        return np.array([[weight(predicted, int(c), int(y.sum())) for c in y] for y in SETS])

    for_, against = weights(1), weights(0)
    with jax.enable_x64(True):
        found = mll.sigmoid_binary_cross_entropy(
            2 * LOGITS, for_ / (for_ + against), weights=for_ + against, reduction="none"
        ).sum(-1)
    for x, y, ours in zip(LOGITS, SETS, found, strict=True):
        np.testing.assert_allclose(ours, multilabel_logistic(x, y, f_measure(beta)), rtol=1e-12)
