"""Polynomial losses."""

import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def poly1_focal(x, case):
    epsilon, gamma, alpha = (case.params[name] for name in ("epsilon", "gamma", "alpha"))
    if case.array("weight") is not None:  # the source's weights scale the focal term alone
        balance = np.where(case.labels > 0, case.array("pos_weight") * alpha, 1 - alpha)
        extra = case.array("weight") * balance - 1
        losses = mll.poly1_focal_loss(
            x, case.labels, epsilon=epsilon, gamma=gamma, reduction="none"
        )
        focal = mll.sigmoid_focal_loss(x, case.labels, gamma=gamma, reduction="none")
        return losses + extra * focal
    alpha = None if alpha < 0 else alpha
    if alpha is None and gamma == 0:
        return mll.poly1_binary_cross_entropy(x, case.labels, epsilon=epsilon, reduction="none")
    return mll.poly1_focal_loss(
        x, case.labels, epsilon=epsilon, gamma=gamma, alpha=alpha, reduction="none"
    )


@golden
def timm_poly_bce(x, case):
    y, alpha = case.labels, case.params["alpha"]
    # The source's alpha scales both terms.
    weights = None if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return mll.poly1_focal_loss(
        x,
        y,
        epsilon=case.params["epsilon"],
        gamma=case.params["gamma"],
        weights=weights,
        reduction="none",
    )


def _polynomial(loss, x, case):
    params = dict(case.params)
    del params["labels"]
    detach = params.pop("disable_torch_grad_focal_loss")
    return loss(x, case.labels, detach_focus=detach, reduction="sum", **params)


@golden
def apl(x, case):
    return _polynomial(mll.asymmetric_polynomial_loss, x, case)


@golden
def ral(x, case):
    return _polynomial(mll.robust_asymmetric_loss, x, case)
