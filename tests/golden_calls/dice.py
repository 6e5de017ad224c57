"""Dice, Tversky and Jaccard losses."""

import jax.numpy as jnp

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def monai_overlap(x, case):
    """Without `batch` each entry is a set of its own; its Jaccard loss doubles the denominator."""
    y, params, smooth = case.labels, case.params, case.params["smooth_nr"]
    batch = params.get("batch", False)
    options = {"average": "macro" if batch else "samples", "reduction": "none"}
    x, y = (x, y) if batch else (x[..., None], y[..., None])
    if params["cls"] == "TverskyLoss":
        weights = {"alpha": params["alpha"], "beta": params["beta"]}
        return mll.tversky_loss(x, y, smooth=smooth, **weights, **options)
    if params.get("jaccard"):
        return mll.jaccard_loss(x, y, smooth=smooth / 2, **options)[..., None]
    return mll.dice_loss(x, y, smooth=smooth, **options)[..., None]


@golden
def smp_overlap(x, case):
    """Labels without a positive have weight 0 but count in the mean.

    The source's Dice is its Tversky with both weights one half.
    """
    params, y, where = case.params, case.labels, None
    present = (y > 0).any(0).astype(case.dtype)
    if "ignore_index" in params:
        y, where = mll.labels.from_minus_one_unknown(y)
    options = {"smooth": params.get("smooth", 0.0), "where": where, "weights": present}
    if params["cls"] == "JaccardLoss":
        return mll.jaccard_loss(x, y, **options)
    if params["cls"] == "TverskyLoss":
        loss = mll.tversky_loss(x, y, alpha=params["alpha"], beta=params["beta"], **options)
        return loss ** params.get("gamma", 1.0)
    options["smooth"] *= 2
    if params.get("log_loss"):
        options["weights"] = None
        return -jnp.mean(present * jnp.log(1 - mll.dice_loss(x, y, reduction="none", **options)))
    return mll.dice_loss(x, y, **options)


@golden
def keras_overlap(x, case):
    """Keras's Dice has epsilon in the denominator alone, which is soft F1; alpha weighs FN."""
    average = "macro" if case.params.get("axis") == 0 else "micro"
    if case.params["cls"] == "Dice":
        return mll.soft_f1_loss(x, case.labels, epsilon=1e-7, average=average, reduction="none")
    alpha, beta = case.params["beta"], case.params["alpha"]
    return mll.tversky_loss(x, case.labels, alpha=alpha, beta=beta, smooth=0.0, average=average)


@golden
def focal_tversky(x, case):
    """The source's alpha weighs false negatives."""
    params = case.params
    name, _, per = params["function"].partition(" per ")
    average = {"": "micro", "row": "samples", "column": "macro"}[per]
    options = {"smooth": params["smooth"], "average": average, "reduction": "none"}
    weights = {"alpha": params["alpha_fp"], "beta": params["alpha_fn"]}
    if name == "dice_loss":
        return mll.dice_loss(x, case.labels, **options)
    if name == "tversky_loss":
        return mll.tversky_loss(x, case.labels, **weights, **options)
    return mll.focal_tversky_loss(x, case.labels, gamma=params["gamma"], **weights, **options)
