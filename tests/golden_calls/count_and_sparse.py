"""Losses of label counts, and sparse losses."""

import jax
import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def abs_kl_seed001(x, case):
    y = case.labels
    if case.params["normalise_labels"]:
        y = y / y.sum(-1, keepdims=True)
    activation, epsilon = case.params["activation"], case.params["epsilon"]
    return mll.abs_kl_divergence(x, y, activation=activation, epsilon=epsilon, reduction="none")


@golden
def keras_poisson(x, case):
    """Computes the loss of one Poisson variable per label, as distribution times count."""
    y = case.labels
    k = y.sum(-1)
    q = y / np.maximum(k, 1)[:, None]
    entropy = -(q * np.log(np.where(q == 0, 1, q))).sum(-1)
    log_total = jax.nn.logsumexp(x, axis=-1)

    def losses(weight):
        return mll.factorized_count_loss(
            x,
            y,
            count_logits=log_total,
            count="poisson",
            count_weight=weight,
            reduction="none",
        )

    divergence = losses(0)
    return ((divergence + entropy) * k + losses(1) - divergence).sum() / y.size


@golden
def entmax(x, case):
    if case.params["function"].startswith("sparsemax") or case.params.get("alpha") == 2:
        return mll.sparsemax_loss(x, case.one_hot, reduction="none")
    return mll.entmax15_loss(x, case.one_hot, reduction="none")
