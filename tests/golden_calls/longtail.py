"""Long-tail losses, and the weights that make them."""

import jax
import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden

UNWEIGHTED = {"alpha": 0.5, "beta": 0.0}  # every weight is 1


def _weights_of_distribution_balance(case):
    """Returns the source's weights where they differ from the rebalanced ones of our loss."""
    params, weighting = case.params, mll.weighting
    counts = np.array(params["class_counts"], case.dtype)
    kind = params["reweight_func"]
    if kind is None:  # here the source does not divide negatives by their scale
        neg_scale = params["logit_reg"].get("neg_scale", 1.0)
        return np.where(case.labels > 0, 1, neg_scale).astype(case.dtype)
    if kind == "CB":
        cb = params["CB_loss"]
        mode = cb["CB_mode"]
        return weighting.class_balanced_weights(case.labels, counts, beta=cb["CB_beta"], mode=mode)
    if kind in ("inv", "sqrt_inv"):
        return (params["train_num"] / counts) ** (0.5 if kind == "sqrt_inv" else 1)
    weights = weighting.rebalanced_weights(case.labels, counts, **_rebalancing(params))
    axis = {"by_instance": -1, "by_batch": None}[params["weight_norm"]]
    return weights / weights.max(axis, keepdims=True)


def _rebalancing(params):
    given = params.get("map_param", {"alpha": 10.0, "beta": 0.2, "gamma": 0.1})
    return {"alpha": given["alpha"], "beta": given["beta"], "mu": given["gamma"]}


def _distribution_balanced(x, case, *, undivided, balance):
    params = case.params
    tolerance = params.get("logit_reg", {"neg_scale": 5.0, "init_bias": 0.1})
    neg_scale = tolerance.get("neg_scale", 1.0)
    rebalances = params["reweight_func"] == "rebalance" and "weight_norm" not in params
    focus = params.get("focal", {"focal": True, "gamma": 2})
    return mll.distribution_balanced_loss(
        x,
        case.labels,
        label_counts=np.array(params["class_counts"], case.dtype),
        num_samples=params["train_num"],
        **(_rebalancing(params) if rebalances else UNWEIGHTED),
        weights=None if rebalances else _weights_of_distribution_balance(case),
        kappa=tolerance.get("init_bias", 0.0) * (neg_scale if undivided else 1),
        neg_scale=neg_scale,
        gamma=focus["gamma"] if focus["focal"] else 0,
        balance=balance if focus["focal"] else 1,
        reduction=case.reduction,
    )


@golden
def distribution_balanced(x, case):
    return _distribution_balanced(x, case, undivided=False, balance=2.0)


@golden
def distribution_balanced_nlp(x, case):
    losses = _distribution_balanced(x, case, undivided=True, balance=0.5)
    return losses * case.params.get("loss_weight", 1.0)


@golden
def timm_distribution_balanced(x, case):
    params, counts = case.params, np.array(case.params["class_counts"], case.dtype)
    gamma, mu = params.get("focal_gamma", 2.0), params.get("map_mu", 0.2)
    return mll.distribution_balanced_loss(
        x,
        mll.labels.smooth_labels(case.labels, params.get("smoothing", 0), "half"),
        label_counts=counts,
        num_samples=params["num_samples"],
        **UNWEIGHTED,  # the weights come from labels before smoothing
        weights=mll.weighting.rebalanced_weights(case.labels, counts, mu=mu),
        neg_scale=params.get("neg_scale", 2.0),
        gamma=gamma,
        balance=2 if gamma else 1,
        reduction="none",
    )


@golden
def ldam(x, case):
    """The source is a softmax of the logits minus margins, which are recovered from our loss."""
    params, y = case.params, case.one_hot
    losses = mll.ldam_loss(
        x,
        y > 0,
        label_counts=np.array(params["class_counts"], case.dtype),
        max_margin=params["max_m"],
        scale=params["s"],
        reduction="none",
    )
    z = (1 - 2 * y) * jnp.log(jnp.expm1(losses))  # a loss is softplus(z), softplus(-z) if positive
    entropy = -jnp.sum(y * jax.nn.log_softmax(z), axis=-1)
    weight = case.array("weight")
    weight = np.ones(len(y)) if weight is None else weight[case.ids]
    return jnp.sum(weight * entropy) / weight.sum()


@golden
def eql(x, case):
    return mll.equalization_loss(
        x,
        case.one_hot,
        label_frequencies=np.array(case.params["freq"], case.dtype),
        threshold=case.params["lambda_"],
        reduction="batchmean",
    )


@golden
def propensity_weighted_bce(x, case):
    params = case.params
    weights = mll.weighting.propensity_weights(
        np.array(params["class_counts"], case.dtype),
        params["N"],
        a=params["A"],
        b=params["B"],
        beta=params["beta"] if params["reweighting"] == "PW-cb" else None,
    )
    return mll.sigmoid_binary_cross_entropy(x, case.labels, pos_weight=weights)


@golden
def propensity_weights(x, case):
    del x
    params = case.params
    counts = np.array(params["class_counts"], case.dtype)
    return mll.weighting.inverse_propensity(counts, params["N"], a=params["A"], b=params["B"])
