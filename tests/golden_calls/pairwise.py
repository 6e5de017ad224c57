"""Losses over pairs of labels of a sample."""

import jax
import jax.numpy as jnp

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def bp_mll(x, case):
    activations = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.asarray, "identity": jnp.asarray}
    activation = case.params["activation"]
    return mll.bp_mll_loss(activations[activation](x), case.labels, bounded=activation == "tanh")


@golden
def multilabel_margin(x, case):
    return mll.multilabel_margin_loss(
        x, case.labels, margin=case.params["margin"], reduction=case.reduction
    )


@golden
def spml_pairwise_pr(x, case):
    return mll.multilabel_margin_loss(jax.nn.sigmoid(x), case.labels)
