"""Hierarchies."""

import jax.numpy as jnp

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def mcloss_chmcnn(x, case):
    evaluated = jnp.array(case.params["to_eval"], x.dtype)
    return mll.hierarchical_coherence_loss(
        x,
        case.labels,
        ancestors=case.array("R") > 0,
        weights=evaluated,
        reduction="weighted_mean",
    )
