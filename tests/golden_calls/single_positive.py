"""Losses for single positive labels, and distillation."""

import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def spml_epr(x, case):
    k = case.params["expected_num_pos"]
    return mll.expected_positive_regularized_loss(x, case.labels, expected_positives=k)


@golden
def spml_role(x, case):
    return mll.role_loss(
        x,
        case.labels,
        estimated_logits=case.array("est"),
        expected_positives=case.params["expected_num_pos"],
    )


def pseudo_labels(case):
    """Returns which labels of an entropy-maximisation case have pseudo-labels, these, and beta."""
    y, params = case.labels, case.params
    if case.name == "spml_em_apl":
        return y < 0, -y, params["beta"]
    if case.name == "spml_vlpl" and params["epoch"] > params["warmup_epoch"]:
        return (y == 0) & (case.array("pseudo") == 1), np.full_like(y, 0.9), params["beta_pos"]
    return y < 0, y, 0


def _entropy_maximization(x, case):
    where, labels, beta = pseudo_labels(case)
    return mll.entropy_maximization_loss(
        x,
        np.maximum(case.labels, 0),
        alpha=case.params["alpha"],
        beta=beta,
        pseudo_labels=labels,
        pseudo_where=where,
    )


@golden
def spml_em(x, case):
    return mll.entropy_maximization_loss(x, case.labels, alpha=case.params["alpha"])


@golden
def spml_em_apl(x, case):
    return _entropy_maximization(x, case)


@golden
def spml_vlpl(x, case):
    return _entropy_maximization(x, case)


def _generalized_robust(x, case, **parameters):
    parameters |= {name: case.params[name] for name in ("w", "b", "mu", "sigma", "q2", "q3")}
    return mll.generalized_robust_loss(x, case.labels, **parameters)


@golden
def generalized_robust(x, case):
    return _generalized_robust(x, case)


@golden
def generalized_robust_pseudo(x, case):
    """The source adds a share of the regulariser of another loss, divided by its size."""
    params, pseudo = case.params, case.array("pseudo_labels")
    loss = _generalized_robust(
        x,
        case,
        pseudo_labels=np.maximum(pseudo, 0),
        pseudo_where=pseudo != 0,
        rho=params["rho"],
        lamb_low=params["lam_2"],
        lamb_high=params["lam_1"],
    )
    k = params["expected_num_pos"]
    regularizer = mll.expected_positive_regularized_loss(x, 0 * case.labels, expected_positives=k)
    return loss + params["reg"] * regularizer


@golden
def mld(x, case):
    reduction = {"batchmean": "mean", "sum": "sum", "mean": "mean"}[case.params["reduction"]]
    loss = mll.multilabel_distillation_loss(
        x, x > 0, teacher_logits=case.array("teacher"), reduction=reduction
    )
    return loss / x.shape[-1] if case.params["reduction"] == "mean" else loss
