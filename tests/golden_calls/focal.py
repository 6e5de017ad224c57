"""Focal and asymmetric losses."""

import jax
import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def sigmoid_focal(x, case):
    alpha = case.params["alpha"]
    return mll.sigmoid_focal_loss(
        x,
        case.labels,
        gamma=case.params["gamma"],
        alpha=None if alpha < 0 else alpha,
        reduction=case.reduction,
    )


@golden
def keras_binary_focal(x, case):
    params = case.params
    balanced = params.get("apply_class_balancing", False)
    return mll.sigmoid_focal_loss(
        x,
        mll.labels.smooth_labels(case.labels, params.get("label_smoothing", 0), "half"),
        gamma=params.get("gamma", 2.0),
        alpha=params.get("alpha", 0.25) if balanced else None,
    )


@golden
def monai_focal(x, case):
    params = case.params
    if not params.get("use_softmax"):
        return mll.sigmoid_focal_loss(
            x,
            case.labels,
            gamma=params["gamma"],
            alpha=params.get("alpha"),
            weights=case.array("weight"),
            reduction="none",
        )
    alpha = None
    if "alpha" in params:  # class 0 is the background of a segmentation
        alpha = np.where(np.arange(7) == 0, 1 - params["alpha"], params["alpha"])
    return mll.softmax_focal_loss(
        x, case.labels, gamma=params["gamma"], alpha=alpha, reduction="none"
    )


def _asymmetric(x, y, params, **kwargs):
    return mll.asymmetric_loss(
        x,
        y,
        gamma_neg=params.get("gamma_neg", 4),
        gamma_pos=params.get("gamma_pos", 1),
        clip=params.get("clip", 0.05),
        detach_focus=params.get("disable_torch_grad_focal_loss", False),
        **kwargs,
    )


@golden
def asl(x, case):
    return _asymmetric(x, case.labels, case.params, reduction="sum")


@golden
def asl_mmpretrain(x, case):
    if not case.params["use_sigmoid"]:  # p is a softmax, so x becomes its logit
        p = jax.nn.softmax(x)
        x = jnp.log(p) - jnp.log1p(-p)
    return _asymmetric(x, case.labels, case.params)


@golden
def timm_asl(x, case):
    y = mll.labels.smooth_labels(case.labels, case.params.get("smoothing", 0), "half")
    weights = np.ones((5, 7), case.dtype)
    if "pos_weight" in case.params:
        given = case.array("pos_weight")
        pos_weight = case.params["pos_weight"] if given is None else given
        weights = np.where(case.labels > 0, pos_weight, weights).astype(case.dtype)
    if case.array("weight") is not None:
        weights = weights * case.array("weight")
    reduction = case.params.get("reduction", "batchmean")
    return _asymmetric(x, y, case.params, weights=weights, reduction=reduction)


@golden
def class_balanced_focal(x, case):
    # The weight of the class scales its row.
    weights = _effective(case)[jnp.asarray(case.ids)][:, None]
    losses = mll.sigmoid_focal_loss(
        x, case.one_hot, gamma=case.params["gamma"], weights=weights, reduction="sum"
    )
    return losses / case.one_hot.sum()


@golden
def class_balanced_focal_multilabel_by_class(x, case):
    losses = mll.sigmoid_focal_loss(
        x, case.labels, gamma=case.params["gamma"], weights=_effective(case), reduction="sum"
    )
    return losses / case.labels.sum()


def _effective(case):
    counts = np.array(case.params["class_counts"], case.dtype)
    return mll.weighting.effective_number_weights(counts, case.params["beta"])
