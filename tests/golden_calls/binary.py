"""Binary cross-entropy and its relatives."""

import jax
import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def bce_with_logits(x, case):
    return mll.sigmoid_binary_cross_entropy(
        x,
        case.labels,
        pos_weight=case.array("pos_weight"),
        weights=case.array("weight"),
        reduction=case.reduction,
    )


@golden
def bce_probs(x, case):
    return mll.binary_cross_entropy(
        jax.nn.sigmoid(x), case.labels, weights=case.array("weight"), reduction=case.reduction
    )


@golden
def multilabel_soft_margin(x, case):
    return mll.multilabel_soft_margin_loss(
        x, case.labels, label_weights=case.array("weight"), reduction=case.reduction
    )


@golden
def timm_bce(x, case):
    params = case.params
    if params.get("target") == "index":
        y = mll.labels.smooth_labels(case.one_hot, params["smoothing"], "uniform")
    else:  # without smooth_dense the source ignores the smoothing of label sets
        smoothing = params["smoothing"] if params.get("smooth_dense") else 0
        y = mll.labels.smooth_labels(case.labels, smoothing, "half")
    reduction = "batchmean" if params.get("sum_classes") else "mean"
    return mll.sigmoid_binary_cross_entropy(
        x, y, pos_weight=params.get("pos_weight"), reduction=reduction
    )


@golden
def keras_bce(x, case):
    y = mll.labels.smooth_labels(case.labels, case.params["label_smoothing"], "half")
    if case.params["from_logits"]:
        return mll.sigmoid_binary_cross_entropy(x, y)
    return mll.binary_cross_entropy(jax.nn.sigmoid(x), y)


@golden
def smp_soft_bce(x, case):
    known = case.labels >= 0
    labels = np.maximum(case.labels, 0)
    y = mll.labels.smooth_labels(labels, case.params["smooth_factor"] or 0, "full")
    # The source takes the mean over all entries, including the ignored ones.
    return mll.sigmoid_binary_cross_entropy(x, y, where=known, reduction="sum") / known.size


@golden
def distribution_balanced_partial_ce(x, case):
    y, where = mll.labels.from_minus_one_unknown(case.labels)
    return mll.sigmoid_binary_cross_entropy(x, y, where=where)


@golden
def spml_an(x, case):
    return mll.sigmoid_binary_cross_entropy(x, case.labels)


@golden
def spml_bce_ls(x, case):
    y = mll.labels.smooth_labels(case.labels, case.params["ls_coef"], "full")
    return mll.sigmoid_binary_cross_entropy(x, y)


@golden
def spml_iu(x, case):
    y, where = mll.labels.from_zero_unknown(case.labels)
    return mll.sigmoid_binary_cross_entropy(x, y, where=where, reduction="sum") / y.size
