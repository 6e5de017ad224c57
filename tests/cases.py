"""The cases that drive the contract suite: one or more rows per public loss.

`kwargs` are passed to the loss and, as float64, to the oracle. Arrays of shape (L,) among them are
per label, and are cut when the suite deletes labels. To add a loss, write its oracle in `oracles/`
and a row in `CASES`. An oracle may have a `NAME_slope` beside it, if the slope is not the
derivative of the value or if differences of the value would be noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
from batch_inputs import INPUTS, pseudo_labels

from mllosses_jax import catalogue

NUM_SAMPLES, NUM_LABELS = 8, 5
PER_LABEL = np.linspace(0.3, 1.9, NUM_LABELS).astype(np.float32)
IN_UNIT = np.linspace(0.1, 0.9, NUM_LABELS).astype(np.float32)
COUNTS = np.array([4, 150, 12, 180, 60], np.float32)  # positives among 200 samples


@dataclass(frozen=True, eq=False)
class Case:
    """A loss with parameters, and its oracle.

    Attributes:
        name: the public name of the loss.
        oracle: the unreduced float64 loss as a function of (logits, labels, mask, **kwargs).
        kwargs: the loss's own parameters.
        slope: the gradient of the sum of the loss as (logits, labels, mask, **kwargs) -> (B, L),
            if differences of the oracle do not give it.
        kind: what one unreduced entry stands for, if a parameter changes it from the catalogue's.
        traced: the name of a parameter that changes without recompilation, and two values for
            it; the first case of a loss has it.
        inputs: computes the parameters that come with the batch, such as a second head's logits,
            from its labels and `where` (None if all count), so that they are cut, split and
            masked with it.
    """

    name: str
    oracle: Callable[..., np.ndarray]
    kwargs: dict[str, Any] = field(default_factory=dict)
    slope: Callable[..., np.ndarray] | None = None
    kind: str = ""
    traced: tuple[str, float, float] | None = None
    inputs: Callable[..., dict[str, jax.Array]] | None = None

    @property
    def entry(self) -> catalogue.Entry:
        return catalogue.find(self.name)

    @property
    def loss(self) -> Callable[..., Any]:
        """The public loss, with its batch inputs filled in."""
        if self.inputs is None:
            return self.entry.loss

        def loss(logits, labels, *, where=None, **kwargs):
            inputs = self.inputs(labels, where)
            return self.entry.loss(logits, labels, where=where, **inputs, **kwargs)

        return loss

    def batch_inputs(self, labels: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
        """Returns the parameters that come with a batch."""
        return {} if self.inputs is None else self.inputs(jnp.asarray(labels), mask)

    def reference(
        self, logits: np.ndarray, labels: np.ndarray, mask: np.ndarray, **kwargs: Any
    ) -> np.ndarray:
        """Computes the oracle in float64, with parameters rounded to float32; `kwargs` override."""
        kwargs = self._exactly({**self.kwargs, **kwargs}, labels, mask)
        return self.oracle(*self._in_float64(logits, labels, mask), **kwargs)

    def reference_slope(
        self, logits: np.ndarray, labels: np.ndarray, mask: np.ndarray, h: float = 1e-6
    ) -> np.ndarray:
        """Computes the gradient of the oracle's sum, by central differences if `slope` is None."""
        kwargs = self._exactly(self.kwargs, labels, mask)
        logits, labels, mask = self._in_float64(logits, labels, mask)
        if self.slope is not None:
            return self.slope(logits, labels, mask, **kwargs)
        result = np.zeros(logits.shape)
        for index in np.ndindex(logits.shape):
            step = np.zeros(logits.shape)
            step[index] = h
            above, below = (
                np.sum(self.oracle(logits + sign * step, labels, mask, **kwargs))
                for sign in (1, -1)
            )
            result[index] = (above - below) / (2 * h)
        return result

    def cut(self, columns: list[int]) -> dict[str, Any]:
        """Returns the parameters for some of the labels; every axis of an array indexes labels."""
        return {
            name: value[np.ix_(*(columns,) * value.ndim)]
            if isinstance(value, np.ndarray)
            else value
            for name, value in self.kwargs.items()
        }

    @property
    def unreduced(self) -> str:
        return self.kind or self.entry.kind

    def __str__(self) -> str:
        values = ",".join(
            f"{k}={'array' if isinstance(v, np.ndarray) else v}" for k, v in self.kwargs.items()
        )
        return f"{self.name}({values})"

    def _in_float64(self, logits, labels, mask):
        return logits.astype(np.float64), labels.astype(np.float64), mask

    def _exactly(self, kwargs, labels, mask):
        def in_float64(value):
            if type(value) is float:
                return np.float64(np.float32(value))
            if isinstance(value, np.ndarray | jax.Array):
                value = np.asarray(value)
                floating = np.issubdtype(value.dtype, np.floating)
                return value.astype(np.float64) if floating else value
            return value

        values = {**kwargs, **self.batch_inputs(labels, mask)}
        return {name: in_float64(value) for name, value in values.items()}


def _row(
    name: str,
    *,
    traced: tuple[str, float, float] | None = None,
    inputs: Callable[..., dict] | None = None,
    **kwargs: Any,
) -> Case:
    kind = {"samples": "sample", "micro": "batch"}.get(kwargs.get("average", ""), "")
    slope = oracles.find(f"{name}_slope", None)
    return Case(name, oracles.find(name), kwargs, slope, kind, traced, inputs or INPUTS.get(name))


# These losses depend on how many labels are masked, so masking a label is not deleting it.
DEPENDENT_ON_KNOWN_SHARE = {"partial_binary_cross_entropy"}

CASES: tuple[Case, ...] = (
    _row("sigmoid_binary_cross_entropy", traced=("label_smoothing", 0.1, 0.2)),
    _row("sigmoid_binary_cross_entropy", pos_weight=PER_LABEL, label_smoothing=0.1),
    _row("binary_cross_entropy"),
    _row("balanced_binary_cross_entropy", traced=("alpha", 0.3, 0.4), alpha=0.75),
    _row("balanced_binary_cross_entropy", alpha=IN_UNIT),
    _row("multilabel_soft_margin_loss"),
    _row("multilabel_soft_margin_loss", label_weights=PER_LABEL),
    _row("ova_n_loss"),
    _row("sigmoid_focal_loss", traced=("gamma", 1.5, 2.5)),
    _row("sigmoid_focal_loss", gamma=0.5, alpha=0.25),
    _row("sigmoid_focal_loss", gamma=PER_LABEL, alpha=IN_UNIT),
    _row("asymmetric_loss", traced=("gamma_neg", 3.5, 4.5)),
    _row("asymmetric_loss", gamma_pos=0.0, detach_focus=False),
    _row("asymmetric_loss", gamma_neg=PER_LABEL, gamma_pos=0.5, clip=0.0, detach_focus=False),
    _row("asymmetric_loss", gamma_neg=2.5, gamma_pos=1.5, clip=0.3),
    _row("strictly_proper_asymmetric_loss", traced=("k_neg", 2.5, 3.5)),
    _row("strictly_proper_asymmetric_loss", k_neg=PER_LABEL, b_pos=-0.5, k_pos=1.5, zeta_pos=2.5),
    _row(
        "distribution_balanced_loss", traced=("gamma", 1.5, 2.5), label_counts=30, num_samples=200
    ),
    _row("distribution_balanced_loss", label_counts=COUNTS, num_samples=200, gamma=0.5, kappa=0.5),
    _row(
        "distribution_balanced_loss",
        label_counts=COUNTS,
        num_samples=200,
        neg_scale=PER_LABEL,
        gamma=0,
        mu=0.3,
        balance=1.0,
    ),
    _row("ldam_loss", traced=("max_margin", 0.3, 0.7), label_counts=30, scale=3.0),
    _row("ldam_loss", label_counts=COUNTS, scale=1.5, max_margin=0.7),
    _row("logit_adjusted_binary_cross_entropy", traced=("tau", 0.5, 1.5), prior=0.15),
    _row("logit_adjusted_binary_cross_entropy", prior=IN_UNIT, tau=1.5),
    _row("equalization_loss", traced=("threshold", 0.2, 0.4), label_frequencies=0.3),
    _row("equalization_loss", label_frequencies=IN_UNIT, threshold=0.4),
    _row("unbiased_binary_cross_entropy", traced=("propensity", 0.4, 0.6), propensity=0.4),
    _row("unbiased_binary_cross_entropy", propensity=IN_UNIT),
    _row("quality_focal_loss", traced=("beta", 1.5, 2.5)),
    _row("quality_focal_loss", beta=np.array([0, 0.5, 1, 1.5, 3], np.float32)),
    _row("poly1_binary_cross_entropy", traced=("epsilon", 0.5, 1.5)),
    _row("poly1_binary_cross_entropy", epsilon=PER_LABEL - 1),
    _row("poly1_focal_loss", traced=("gamma", 1.5, 2.5)),
    _row("poly1_focal_loss", epsilon=-1.0, gamma=0.5, alpha=0.25),
    _row("asymmetric_polynomial_loss", traced=("epsilon_pos_pow", -2.5, -1.5)),
    _row("asymmetric_polynomial_loss", gamma_pos=1.0, epsilon_neg=0.3, detach_focus=False),
    _row("asymmetric_polynomial_loss", gamma_neg=PER_LABEL, clip=0.0, epsilon_pos=IN_UNIT),
    _row("robust_asymmetric_loss", traced=("lamb", 1.5, 1.2)),
    _row("robust_asymmetric_loss", gamma_neg=1.5, lamb=PER_LABEL + 1, detach_focus=True),
    _row("generalized_binary_cross_entropy", traced=("q", 0.7, 0.5)),
    _row("generalized_binary_cross_entropy", q=np.array([0, 1e-3, 0.1, 0.7, 1], np.float32)),
    _row("hill_loss", traced=("margin", 0.5, 0.7)),
    _row("hill_loss", margin=PER_LABEL, gamma=0.5, lamb=1.2),
    _row("splc_loss", traced=("margin", 0.5, 0.7)),
    _row("splc_loss", correct=False, gamma=0.5),
    _row("splc_loss", threshold=IN_UNIT, margin=PER_LABEL),
    _row("hinge_loss", traced=("margin", 0.5, 0.7)),
    _row("hinge_loss", margin=PER_LABEL),
    _row("squared_hinge_loss", traced=("margin", 0.5, 0.7)),
    _row("squared_hinge_loss", margin=0.5),
    _row("softmax_cross_entropy"),
    _row("softmax_cross_entropy", normalize=False),
    _row("decoupled_softmax_loss", traced=("temperature", 0.5, 1.5)),
    _row("decoupled_softmax_loss", temperature=0.7, normalize=False),
    _row("smoothed_softmax_cross_entropy", traced=("label_smoothing", 0.1, 0.2)),
    _row("smoothed_softmax_cross_entropy", convention="uniform", label_smoothing=0.3),
    _row("softmax_focal_loss", traced=("gamma", 1.5, 2.5)),
    _row("softmax_focal_loss", gamma=0.5, alpha=PER_LABEL),
    _row("single_label_asymmetric_loss", traced=("gamma_neg", 1.5, 2.5)),
    _row("single_label_asymmetric_loss", gamma_neg=1.5, gamma_pos=0.5, label_smoothing=0.3),
    _row("sparsemax_loss"),
    _row("entmax15_loss"),
    _row("soft_top_k_loss", traced=("temperature", 0.5, 1.5)),
    _row("soft_top_k_loss", k=2, temperature=0.7),
    _row("factorized_count_loss", traced=("count_weight", 0.5, 1.5)),
    _row("factorized_count_loss", count="poisson", count_weight=0.3),
    _row("factorized_count_loss", on="product"),
    _row("factorized_count_loss", count="poisson", on="product", count_weight=0),
    _row("abs_kl_divergence", traced=("epsilon", 0.01, 0.02)),
    _row("abs_kl_divergence", activation="softmax", epsilon=0.01),
    _row("abs_kl_divergence", activation="exp"),
    _row("abs_kl_divergence", activation=None, epsilon=0.1),
    _row("lsep_loss"),
    _row("zlpr_loss"),
    _row("adaptive_threshold_loss"),
    _row("none_class_ranking_loss", traced=("shift", 0.05, 0.1)),
    _row("none_class_ranking_loss", shift=0.2, regularize=False),
    _row("two_way_sample_loss", traced=("positive_temperature", 1.5, 2.5)),
    _row("two_way_sample_loss", positive_temperature=1.0, negative_temperature=2.5),
    _row("two_way_label_loss", traced=("positive_temperature", 1.5, 2.5)),
    _row("two_way_loss", traced=("positive_temperature", 1.5, 2.5)),
    _row("bp_mll_loss"),
    _row("bp_mll_loss", bounded=False),
    _row("multilabel_margin_loss", traced=("margin", 0.5, 1.5)),
    _row("multilabel_margin_loss", margin=2.5),
    _row("pairwise_hinge_loss", traced=("margin", 0.5, 1.5)),
    _row("pairwise_logistic_loss"),
    _row("warp_loss", traced=("margin", 0.5, 1.5)),
    _row("warp_loss", margin=2.5),
    _row("smooth_ap_loss", traced=("temperature", 0.5, 1.5), temperature=0.7),
    _row("smooth_ap_loss", temperature=0.1),
    _row("auc_margin_loss", traced=("margin", 0.5, 1.5)),
    _row("auc_margin_loss", margin=0.3),
    _row("pairwise_auc_loss"),
    _row("pairwise_auc_loss", surrogate="squared_hinge", margin=2.5),
    _row("pairwise_auc_loss", surrogate="squared"),
    _row("pairwise_auc_loss", max_fpr=0.5),
    _row("pairwise_auc_loss", surrogate="squared", max_fpr=0.3),
    _row("partial_auc_loss", traced=("temperature", 0.5, 1.5)),
    _row("partial_auc_loss", surrogate="squared_hinge", margin=0.7, temperature=2.0),
    _row("partial_auc_loss", temperature=0.3),
    _row("soft_f1_loss", traced=("epsilon", 0.1, 0.2)),
    _row("soft_f1_loss", activation="softmax"),
    _row("soft_fbeta_loss", traced=("beta", 0.5, 1.5), beta=2.0, epsilon=0.01),
    _row("soft_fbeta_loss", beta=0.5, average="samples"),
    _row("soft_fbeta_loss", beta=0.5, average="micro"),
    _row(
        "expected_positive_regularized_loss",
        traced=("expected_positives", 1.5, 2.5),
        expected_positives=1.5,
    ),
    _row("role_loss", traced=("expected_positives", 1.5, 2.5), expected_positives=1.5),
    _row("entropy_maximization_loss", traced=("alpha", 0.3, 0.4)),
    _row("entropy_maximization_loss", inputs=pseudo_labels, alpha=0.3, beta=PER_LABEL),
    _row("generalized_robust_loss", traced=("sigma", 0.6, 1.5)),
    _row("generalized_robust_loss", inputs=pseudo_labels, w=PER_LABEL, q2=0.5, q3=0.7, rho=0.7),
    _row("multilabel_distillation_loss", traced=("temperature", 1.5, 2.5)),
    _row("multilabel_distillation_loss", temperature=2.5),
    _row("assume_negative_loss", traced=("label_smoothing", 0.1, 0.2)),
    _row("assume_negative_loss", label_smoothing=0.1),
    _row("weak_assume_negative_loss", traced=("gamma", 0.3, 0.4)),
    _row("weak_assume_negative_loss", gamma=PER_LABEL),
    _row("partial_binary_cross_entropy", traced=("alpha", -3.5, -2.5)),
    _row("partial_binary_cross_entropy", alpha=-1.5, beta=2.0, gamma=0.5),
    _row("partial_binary_cross_entropy", alpha=1.0, beta=0.0, gamma=-1),
    _row("positive_unlabeled_loss", traced=("prior", 0.3, 0.4), prior=0.3),
    _row("positive_unlabeled_loss", prior=IN_UNIT),
    _row("large_loss_rejection", traced=("relative_rate", 0.21, 0.41), relative_rate=0.2),
    _row("large_loss_correction", traced=("relative_rate", 0.21, 0.41), relative_rate=0.2),
    _row("class_aware_selective_loss", traced=("gamma_unannotated", 1.5, 2.5), likelihood_topk=1),
    _row(
        "class_aware_selective_loss",
        gamma_unannotated=1.5,
        alpha_pos=PER_LABEL,
        alpha_unannotated=0.5,
        clip=0.05,
        prior=IN_UNIT,
        prior_threshold=0.5,
        likelihood_topk=1,
    ),
    _row("class_aware_selective_loss", mode="ignore_normalize_classes", gamma_pos=1.5),
    _row("double_soft_f1_loss", traced=("epsilon", 0.1, 0.2)),
    _row("double_soft_f1_loss", average="samples", epsilon=0.01),
    _row("sigmoid_f1_loss", traced=("eta", 0.1, 0.2)),
    _row("sigmoid_f1_loss", beta=2.5, eta=-0.3, average="samples"),
    _row("sigmoid_f1_loss", beta=7.5, eta=-0.5, applied_to="probabilities"),
    _row("soft_mcc_loss", traced=("smooth", 0.1, 0.2)),
    _row("soft_mcc_loss", smooth=0.25, average="samples"),
    _row("soft_balanced_accuracy_loss"),
    _row("soft_balanced_accuracy_loss", average="micro"),
    _row("dice_loss", traced=("smooth", 0.5, 1.5)),
    _row("dice_loss", smooth=0.25, average="samples"),
    _row("tversky_loss", traced=("alpha", 0.4, 0.6)),
    _row("tversky_loss", alpha=0.25, beta=1.5, smooth=0.5, average="micro"),
    _row("focal_tversky_loss", traced=("gamma", 0.8, 1.5)),
    _row("focal_tversky_loss", gamma=2.0, alpha=0.6, average="samples"),
    _row("jaccard_loss", traced=("smooth", 0.5, 1.5)),
    _row("jaccard_loss", smooth=0.5, average="samples"),
    _row("lovasz_hinge_loss"),
    _row("soft_calibration_loss"),
    _row("soft_calibration_loss", num_bins=1),
    _row("hierarchical_coherence_loss"),
    _row("hierarchy_penalty"),
    _row("label_graph_penalty"),
)

FIRST_OF_EACH: tuple[Case, ...] = tuple(
    next(case for case in CASES if case.name == name)
    for name in dict.fromkeys(case.name for case in CASES)
)

# Where shapes matter, a case whose parameters change the unreduced shape is another loss.
FIRST_OF_EACH_SHAPE: tuple[Case, ...] = tuple(
    {(case.name, case.unreduced): case for case in reversed(CASES)}.values()
)[::-1]
