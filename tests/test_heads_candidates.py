"""Losses over candidates, and labels hashed into buckets, against float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll
from mllosses_jax import heads

B, L, D = 4, 23, 5
POSITIVES = np.array([[2, 2, -1], [0, 22, 7], [-1, -1, -1], [5, -1, -1]])
SHORTLIST = np.array([[2, 3, 3, -1], [22, 1, 4, 9], [0, 1, 2, 3], [9, 8, 7, 6]])


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(0)
    features, kernel, bias = rng.normal(size=(B, D)), rng.normal(size=(L, D)), rng.normal(size=L)
    return tuple(x.astype(np.float32) for x in (features, kernel, bias))


def logits_of(head):
    features, kernel, bias = (x.astype(np.float64) for x in head)
    return features @ kernel.T + bias


def softplus(x):
    return np.logaddexp(0, x)


def loss_of(head, candidates, **options):
    features, kernel, bias = head
    return heads.candidate_head_loss(features, kernel, POSITIVES, candidates, bias=bias, **options)


def test_shortlist(head):
    x = logits_of(head)
    expected = []
    for row in range(B):
        positives = set(POSITIVES[row]) - {-1}
        negatives = set(SHORTLIST[row]) - {-1} - positives
        expected.append(
            sum(softplus(-x[row, p]) for p in positives)
            + sum(softplus(x[row, s]) for s in negatives)
        )
    np.testing.assert_allclose(loss_of(head, SHORTLIST, reduction="none"), expected, rtol=2e-6)
    for reduction, divisor in (("sum", 1), ("batchmean", B), ("mean", B * L)):
        found = loss_of(head, SHORTLIST, reduction=reduction)
        np.testing.assert_allclose(found, np.sum(expected) / divisor, rtol=2e-6)
    weights = np.arange(B, dtype=np.float32)
    found = loss_of(head, SHORTLIST, reduction="sum", sample_weights=weights)
    np.testing.assert_allclose(found, weights @ np.array(expected), rtol=2e-6)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("loss", [mll.sigmoid_binary_cross_entropy, mll.asymmetric_loss])
def test_sampled_loss_is_unbiased(head, loss, per_row):
    """The mean over all draws, each with its probability, is the loss of all labels."""
    features, kernel, bias = head
    q = np.linspace(1, 2, L)
    q = (q / q.sum()).astype(np.float32)
    everything = heads.dense_head_loss(
        features, kernel, jnp.asarray(POSITIVES), bias=bias, loss=loss, reduction="none"
    )

    def of_draw(label):
        candidates = jnp.full((B, 1), label) if per_row else label[None]
        counts = jnp.broadcast_to(jnp.asarray(q)[label], candidates.shape)
        return loss_of(head, candidates, loss=loss, expected_counts=counts, reduction="none")

    draws = jax.vmap(of_draw)(jnp.arange(L))
    np.testing.assert_allclose(q @ np.asarray(draws), everything, rtol=2e-5)


def test_gbce(head):
    x, t, size = logits_of(head), 0.75, 4
    rate = size / (L - 1)
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)  # as the paper has it
    found = loss_of(head, SHORTLIST, calibration=t, reduction="none")
    plain = loss_of(head, SHORTLIST, reduction="none")
    positive = [sum(softplus(-x[r, p]) for p in set(POSITIVES[r]) - {-1}) for r in range(B)]
    np.testing.assert_allclose(found - plain, (beta - 1) * np.array(positive), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "loss", [mll.softmax_cross_entropy, mll.decoupled_softmax_loss, mll.zlpr_loss, mll.lsep_loss]
)
def test_all_labels_as_candidates_give_the_loss_of_all(head, loss):
    features, kernel, bias = head
    labels = heads.positives_to_dense(POSITIVES, L)
    expected = loss(features @ kernel.T + bias[None], labels, reduction="none")
    found = loss_of(
        head, np.arange(L), loss=loss, expected_counts=np.ones(L, np.float32), reduction="none"
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_candidate_stands_for_equal_labels_in_a_softmax():
    """One of four equal negatives, expected a quarter of a time, stands for all of them."""
    kernel = np.array([[1.0], [0.5], [0.5], [0.5], [0.5]], np.float32)
    found = heads.candidate_head_loss(
        np.ones((1, 1), np.float32),
        kernel,
        np.array([[0]]),
        np.array([3]),
        loss=mll.softmax_cross_entropy,
        expected_counts=np.array([0.25], np.float32),
    )
    np.testing.assert_allclose(found, np.log(np.exp(1) + 4 * np.exp(0.5)) - 1, rtol=1e-6)


def test_gradients_and_parameters_per_label(head):
    prior = np.linspace(0.01, 0.5, L).astype(np.float32)
    options = {"loss": mll.logit_adjusted_binary_cross_entropy, "loss_kwargs": {"prior": prior}}

    def sampled(features, kernel, bias):
        return heads.candidate_head_loss(
            features, kernel, POSITIVES, np.arange(L), bias=bias, **options
        )

    def dense(features, kernel, bias):
        return heads.dense_head_loss(features, kernel, POSITIVES, bias=bias, **options)

    found = jax.value_and_grad(sampled, (0, 1, 2))(*head)
    expected = jax.value_and_grad(dense, (0, 1, 2))(*map(jnp.asarray, head))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": np.array([40])}, r"candidates must hold ids in \[0, 23\)"),
        ({"candidates": np.array([0.5])}, "candidates must hold integer ids"),
        ({"candidates": np.array([[1]])}, r"candidates must have shape \(4, K\)"),
        ({"expected_counts": np.ones(3)}, "expected_counts must have the shape of candidates"),
        ({"reduction": "weighted_mean"}, "reduction must be one of"),
        ({"loss": mll.soft_f1_loss}, "soft_f1_loss has one value per label"),
        (
            {"loss": mll.ldam_loss, "loss_kwargs": {"label_counts": np.ones(L)}},
            "ldam_loss needs all labels",
        ),
    ],
)
def test_refused(head, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        loss_of(head, **({"candidates": np.array([1, 2])} | change))


def test_buckets():
    buckets = heads.label_buckets(jax.random.key(0), L, num_buckets=6, num_heads=3)
    assert buckets.shape == (3, L)
    assert set(np.unique(buckets)) == set(range(6))
    table = np.asarray(buckets)
    positives = np.asarray(heads.bucket_positives(POSITIVES, buckets))
    for head_number in range(3):
        for row in range(B):
            expected = [table[head_number, p] if p >= 0 else -1 for p in POSITIVES[row]]
            assert positives[head_number, row].tolist() == expected


@pytest.mark.parametrize("chunk_size", [None, 10])
def test_top_k_of_buckets(chunk_size):
    buckets = heads.label_buckets(jax.random.key(1), L, num_buckets=6, num_heads=3)
    scores = np.random.default_rng(0).integers(0, 4, (3, B, 6)).astype(np.float32)
    means = np.mean([scores[r][:, np.asarray(buckets)[r]] for r in range(3)], axis=0)
    order = np.argsort(-means, axis=1, kind="stable")[:, :7]
    found = heads.bucket_top_k(scores, buckets, 7, chunk_size=chunk_size)
    assert (np.asarray(found.ids) == order).all()
    np.testing.assert_allclose(found.scores, np.take_along_axis(means, order, 1), rtol=1e-6)
