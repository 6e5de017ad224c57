"""Softmax losses."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def softmax_cross_entropy_index(x, case):
    return mll.smoothed_softmax_cross_entropy(
        x,
        case.ids,
        label_smoothing=case.params["label_smoothing"],
        convention="uniform",
        reduction=case.reduction,
    )


@golden
def softmax_cross_entropy_soft(x, case):
    if "label_smoothing" in case.params:
        return mll.smoothed_softmax_cross_entropy(
            x,
            case.labels,
            label_smoothing=case.params["label_smoothing"],
            convention="uniform",
            reduction=case.reduction,
        )
    normalize = case.params["labels"] == "multi-hot, normalised"
    return mll.softmax_cross_entropy(x, case.labels, normalize=normalize, reduction=case.reduction)


@golden
def kpos_cross_entropy(x, case):
    if case.reduction == "none":
        return mll.softmax_cross_entropy(x, case.labels, reduction="none")
    return mll.softmax_cross_entropy(x, case.labels, reduction="sum") / case.labels.size


@golden
def dexml_decoupled_softmax(x, case):
    return mll.decoupled_softmax_loss(x, case.labels)


@golden
def softmax_multilabel_smoothing_ral(x, case):
    s, y = case.params["smoothing"], case.labels
    y = (1 - s) * y + s / 6 * (1 - y)  # the sum of these is not 1
    return mll.softmax_cross_entropy(x, y, normalize=False)


@golden
def label_smoothing_seed003(x, case):
    return mll.smoothed_softmax_cross_entropy(
        x, case.ids, label_smoothing=case.params["smoothing"], convention="others"
    )


@golden
def softmax_focal_seed003(x, case):
    weight = case.array("weight")
    reduction = case.reduction
    if reduction == "mean" and weight is not None:
        reduction = "weighted_mean"
    return mll.softmax_focal_loss(
        x,
        case.ids,
        gamma=case.params["gamma"],
        weights=None if weight is None else weight[case.ids],
        reduction=reduction,
    )


@golden
def keras_categorical_focal(x, case):
    y = case.one_hot if "target" in case.stored["inputs"] else case.labels
    return mll.softmax_focal_loss(
        x,
        mll.labels.smooth_labels(y, case.params.get("label_smoothing", 0), "uniform"),
        gamma=case.params.get("gamma", 2.0),
        alpha=case.params.get("alpha", 0.25),
        reduction="none",
    )


@golden
def ldam_softmax_focal(x, case):
    return mll.softmax_focal_loss(x, case.ids, gamma=case.params["gamma"])


@golden
def asl_single_label(x, case):
    return mll.single_label_asymmetric_loss(
        x,
        case.ids,
        gamma_neg=case.params["gamma_neg"],
        gamma_pos=case.params["gamma_pos"],
        label_smoothing=case.params["eps"],
        reduction=case.reduction,
    )


@golden
def dexml_soft_top_k(x, case):
    k = None if case.params["k"] == "num_pos" else case.params["k"]
    return mll.soft_top_k_loss(x, case.labels, k=k, temperature=1 / case.params["alpha"])
