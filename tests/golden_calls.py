"""The calls of this package that the golden cases stand for, one mapping function per file.

`golden/NAME.json` is a list of cases computed with the authors' own code: inputs, parameters,
value, gradient with respect to the logits (of the sum, where the value is an array) and the
tolerance of a float64 implementation. The mapping of the same name makes the same call of ours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll


class Case(NamedTuple):
    """One golden case, its arrays in the dtype of the run."""

    name: str
    index: int
    stored: dict[str, Any]
    dtype: Any = np.float64

    @property
    def params(self) -> dict[str, Any]:
        return self.stored["params"]

    @property
    def reduction(self) -> str:
        """The reduction, for files that name it as we do."""
        return self.stored["reduction"].split(" (")[0]

    def array(self, name: str) -> np.ndarray | None:
        """An input, or None."""
        values = self.stored["inputs"].get(name)
        return None if values is None else np.array(values, self.dtype)

    @property
    def labels(self) -> np.ndarray:
        return self.array("labels")

    @property
    def ids(self) -> np.ndarray:
        return np.array(self.stored["inputs"]["target"])

    @property
    def one_hot(self) -> np.ndarray:
        return np.eye(7, dtype=self.dtype)[self.ids]

    def __str__(self) -> str:
        return f"{self.name}-{self.index}"


MAPPINGS: dict[str, Callable[[jax.Array, Case], jax.Array]] = {}


def golden(mapping: Callable[[jax.Array, Case], jax.Array]) -> Callable[..., jax.Array]:
    """Registers the mapping of the file of the same name."""
    MAPPINGS[mapping.__name__] = mapping
    return mapping


# Binary cross-entropy


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
    y = mll.labels.smooth_labels(case.labels, case.params["smooth_factor"] or 0, "full")
    # The mean of the source is over all entries, the ignored ones among them.
    return mll.sigmoid_binary_cross_entropy(x, y, where=known, reduction="sum") / known.size


@golden
def distribution_balanced_partial_ce(x, case):
    y, where = mll.labels.from_signed(case.labels)
    return mll.sigmoid_binary_cross_entropy(x, y, where=where)


@golden
def spml_an(x, case):
    return mll.sigmoid_binary_cross_entropy(x, case.labels)


@golden
def spml_wan(x, case):
    weights = np.where(case.labels > 0, 1, 1 / 6).astype(case.dtype)
    return mll.sigmoid_binary_cross_entropy(x, case.labels, weights=weights)


@golden
def spml_bce_ls(x, case):
    y = mll.labels.smooth_labels(case.labels, case.params["ls_coef"], "full")
    return mll.sigmoid_binary_cross_entropy(x, y)


@golden
def spml_iu(x, case):
    y, where = mll.labels.from_zero_signed(case.labels)
    return mll.sigmoid_binary_cross_entropy(x, y, where=where, reduction="sum") / y.size


# Focal and asymmetric losses


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
    if not case.params["use_sigmoid"]:  # p is a softmax: its logit is that of the softmax
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
    weights = _effective(case)[jnp.asarray(case.ids)][
        :, None
    ]  # the weight of the class scales its row
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


# Softmax losses


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
def softmax_multilabel_smoothing_ral(x, case):
    s, y = case.params["smoothing"], case.labels
    y = (1 - s) * y + s / 6 * (1 - y)  # of which the sum is not 1
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


# Ranking and overlap losses


@golden
def zlpr(x, case):
    return mll.zlpr_loss(x, case.labels, reduction="none")


@golden
def timm_zlpr(x, case):
    return mll.zlpr_loss(x, case.labels)


@golden
def two_way(x, case):
    y, where = mll.labels.from_signed(case.labels)
    return mll.two_way_loss(
        x,
        y,
        where=where,
        positive_temperature=case.params["Tp"],
        negative_temperature=case.params["Tn"],
    )


@golden
def timm_two_way(x, case):
    return mll.two_way_loss(
        x,
        case.labels,
        positive_temperature=case.params["tp"],
        negative_temperature=case.params["tn"],
    )


@golden
def macro_soft_f1(x, case):
    return mll.soft_f1_loss(x, case.labels, epsilon=1e-16)


@golden
def macro_soft_f1_sigmoidf1repo(x, case):
    return mll.soft_f1_loss(x, case.labels, epsilon=1e-16)


@golden
def macro_soft_f1_seed003(x, case):
    return mll.soft_f1_loss(x, case.ids, activation="softmax", epsilon=case.params["epsilon"])


# Weights, which depend on no logits: their gradient is 0


@golden
def timm_class_weights(x, case):
    params = case.params
    counts = np.array(params["class_counts"], case.dtype)
    if params["method"] == "neg_pos":
        ratio = mll.weighting.negative_positive_ratio(counts, params["num_samples"])
        return jnp.minimum(ratio ** params.get("power", 1), params.get("max_weight", np.inf))
    beta = 1 if params["method"] == "inv_freq" else params.get("beta", 0.999)
    return mll.weighting.effective_number_weights(counts, beta)
