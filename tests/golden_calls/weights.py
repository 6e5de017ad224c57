"""Weights, which do not depend on logits, so that their gradient is 0."""

import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def timm_class_weights(x, case):
    params = case.params
    counts = np.array(params["class_counts"], case.dtype)
    if params["method"] == "neg_pos":
        ratio = mll.weighting.negative_positive_ratio(counts, params["num_samples"])
        return jnp.minimum(ratio ** params.get("power", 1), params.get("max_weight", np.inf))
    beta = 1 if params["method"] == "inv_freq" else params.get("beta", 0.999)
    return mll.weighting.effective_number_weights(counts, beta)
