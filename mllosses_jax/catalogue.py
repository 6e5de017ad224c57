"""The catalogue of losses: one row per loss, the source of lists, descriptions and tests.

A row holds what cannot be read from the code. The summary, formula, parameters and reference are
read from the docstring of the loss.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mllosses_jax import losses
from mllosses_jax._core.public import show_public_names

__all__ = ["CATALOGUE", "CONTRACT_PARAMETERS", "UNREDUCED_SHAPE", "Entry", "find"]

show_public_names(__name__)

Kind = Literal["element", "sample", "label", "batch"]

UNREDUCED_SHAPE: dict[str, str] = {
    "element": "(..., L)",
    "sample": "(...)",
    "label": "(L,)",
    "batch": "()",
}
CONTRACT_PARAMETERS = ("weights", "where", "reduction", "axis_name")


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue.

    Attributes:
        loss: the public function.
        kind: what one unreduced entry is: an element, a sample, a label or the batch.
        soft_labels: whether labels strictly between 0 and 1 are meaningful.
        class_ids: whether labels may also be class ids (...).
        takes: what the first argument holds, logits or probabilities.
        zero_decides: whether a logit above 0, or above the learned threshold of the sample, is the
            loss's own decision for a label. Losses that only order the labels have no such
            threshold.
        separable: whether an entry needs no other logit, so that a head can compute the labels in
            chunks; what it needs of the other labels of its sample, their ids give.
        penalty: whether the function is a term to add to a loss, because alone it does not teach
            which labels are positive.
        grid: values of its parameters that are worth trying, the default among them, as
            `mllosses compare` reads them.
    """

    loss: Callable[..., Any]
    kind: Kind
    soft_labels: bool = True
    class_ids: bool = False
    takes: Literal["logits", "probabilities"] = "logits"
    zero_decides: bool = True
    separable: bool = False
    penalty: bool = False
    grid: str = ""

    @property
    def name(self) -> str:
        """The public name of the loss."""
        return self.loss.__name__

    @property
    def family(self) -> str:
        """The module of `mllosses_jax.losses` in which the loss is defined."""
        return self.loss.__module__.rpartition(".")[2]

    @property
    def required(self) -> tuple[str, ...]:
        """The loss's own parameters without a default."""
        parameters = inspect.signature(self.loss).parameters.values()
        own = (p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        return tuple(p.name for p in own if p.default is inspect.Parameter.empty)

    @property
    def own_parameters(self) -> dict[str, Any]:
        """The parameters that are not in the common signature, with their defaults."""
        parameters = inspect.signature(self.loss).parameters.values()
        return {
            p.name: p.default
            for p in parameters
            if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in CONTRACT_PARAMETERS
        }

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return inspect.getdoc(self.loss).split("\n", 1)[0]  # type: ignore[union-attr]

    def section(self, title: str) -> str:
        """Returns a section of the docstring, such as "Formula", without its indentation."""
        lines = iter(inspect.getdoc(self.loss).splitlines())  # type: ignore[union-attr]
        for line in lines:
            if line == f"{title}:":
                break
        else:
            raise KeyError(f"{self.name} has no section {title!r}")
        body = []
        for line in lines:
            if line and not line.startswith(" "):
                break
            body.append(line)
        return inspect.cleandoc("\n".join(["", *body])).strip()

    @property
    def formula(self) -> str:
        """The mathematical definition."""
        return self.section("Formula")

    @property
    def reference(self) -> str:
        """The paper or other source, on one line."""
        return " ".join(self.section("Reference").split())

    @property
    def parameters(self) -> dict[str, str]:
        """The description of each argument in the docstring."""
        described: dict[str, str] = {}
        name = ""
        for line in self.section("Args").splitlines():
            if line.startswith(" "):
                described[name] += " " + line.strip()
            else:
                name, text = line.split(":", 1)
                described[name] = text.strip()
        return described


CATALOGUE: tuple[Entry, ...] = (
    Entry(losses.sigmoid_binary_cross_entropy, "element", separable=True),
    Entry(losses.binary_cross_entropy, "element", separable=True, takes="probabilities"),
    Entry(losses.balanced_binary_cross_entropy, "element", separable=True),
    Entry(losses.multilabel_soft_margin_loss, "sample"),
    Entry(losses.ova_n_loss, "sample", zero_decides=False),
    Entry(losses.hinge_loss, "element", separable=True, grid="margin=0.5|1|2"),
    Entry(losses.squared_hinge_loss, "element", separable=True, grid="margin=0.5|1|2"),
    Entry(losses.sigmoid_focal_loss, "element", separable=True, grid="gamma=0.5|1|2"),
    Entry(losses.quality_focal_loss, "element", separable=True, grid="beta=1|2|3"),
    Entry(losses.poly1_binary_cross_entropy, "element", separable=True, grid="epsilon=0.5|1|2"),
    Entry(losses.poly1_focal_loss, "element", separable=True),
    Entry(losses.asymmetric_loss, "element", separable=True, grid="gamma_neg=1|2|4, clip=0|0.05"),
    Entry(
        losses.strictly_proper_asymmetric_loss,
        "element",
        separable=True,
        zero_decides=False,
        grid="k_neg=1|2|3, zeta_neg=1|5",
    ),
    Entry(
        losses.asymmetric_polynomial_loss,
        "element",
        separable=True,
        grid="gamma_neg=2|4, clip=0|0.05",
    ),
    Entry(
        losses.robust_asymmetric_loss, "element", separable=True, grid="gamma_neg=2|4, clip=0|0.05"
    ),
    Entry(losses.generalized_binary_cross_entropy, "element", separable=True, grid="q=0.3|0.5|0.7"),
    Entry(losses.hill_loss, "element", separable=True, grid="margin=0.5|0.75|1"),
    Entry(
        losses.splc_loss, "element", separable=True, soft_labels=False, grid="threshold=0.5|0.6|0.7"
    ),
    Entry(losses.softmax_cross_entropy, "sample", zero_decides=False),
    Entry(
        losses.decoupled_softmax_loss,
        "sample",
        soft_labels=False,
        zero_decides=False,
        grid="temperature=0.5|1|2",
    ),
    Entry(
        losses.smoothed_softmax_cross_entropy,
        "sample",
        class_ids=True,
        zero_decides=False,
        grid="label_smoothing=0.05|0.1|0.2",
    ),
    Entry(
        losses.softmax_focal_loss, "sample", class_ids=True, zero_decides=False, grid="gamma=1|2|3"
    ),
    Entry(
        losses.single_label_asymmetric_loss,
        "sample",
        soft_labels=False,
        class_ids=True,
        zero_decides=False,
        grid="gamma_neg=2|4",
    ),
    Entry(losses.sparsemax_loss, "sample", zero_decides=False),
    Entry(losses.entmax15_loss, "sample", zero_decides=False),
    Entry(
        losses.soft_top_k_loss,
        "sample",
        soft_labels=False,
        zero_decides=False,
        grid="temperature=0.5|1|2",
    ),
    Entry(losses.factorized_count_loss, "sample", zero_decides=False),
    Entry(losses.abs_kl_divergence, "sample"),
    Entry(losses.lsep_loss, "sample", soft_labels=False, zero_decides=False),
    Entry(losses.zlpr_loss, "sample"),
    Entry(losses.adaptive_threshold_loss, "sample", soft_labels=False),
    Entry(losses.none_class_ranking_loss, "sample", soft_labels=False, grid="shift=0|0.05|0.2"),
    Entry(losses.two_way_sample_loss, "sample", soft_labels=False, zero_decides=False),
    Entry(losses.two_way_label_loss, "label", soft_labels=False, zero_decides=False),
    Entry(
        losses.two_way_loss,
        "batch",
        soft_labels=False,
        zero_decides=False,
        grid="positive_temperature=2|4|8",
    ),
    Entry(losses.bp_mll_loss, "sample", soft_labels=False, zero_decides=False),
    Entry(
        losses.multilabel_margin_loss,
        "sample",
        soft_labels=False,
        zero_decides=False,
        grid="margin=0.5|1|2",
    ),
    Entry(
        losses.pairwise_hinge_loss,
        "sample",
        soft_labels=False,
        zero_decides=False,
        grid="margin=0.5|1|2",
    ),
    Entry(losses.pairwise_logistic_loss, "sample", soft_labels=False, zero_decides=False),
    Entry(losses.warp_loss, "sample", soft_labels=False, zero_decides=False, grid="margin=0.5|1|2"),
    Entry(losses.smooth_ap_loss, "label", soft_labels=False, zero_decides=False),
    Entry(
        losses.auc_margin_loss,
        "label",
        soft_labels=False,
        zero_decides=False,
        grid="margin=0.5|1|2",
    ),
    Entry(losses.pairwise_auc_loss, "label", soft_labels=False, zero_decides=False),
    Entry(losses.partial_auc_loss, "label", soft_labels=False, zero_decides=False),
    Entry(losses.soft_f1_loss, "label", class_ids=True),
    Entry(losses.soft_fbeta_loss, "label", class_ids=True),
    Entry(losses.double_soft_f1_loss, "label"),
    Entry(losses.sigmoid_f1_loss, "label"),
    Entry(losses.soft_mcc_loss, "label"),
    Entry(losses.soft_balanced_accuracy_loss, "label"),
    Entry(losses.dice_loss, "label"),
    Entry(losses.tversky_loss, "label", grid="alpha=0.3|0.5, beta=0.5|0.7"),
    Entry(losses.focal_tversky_loss, "label", grid="gamma=0.75|1"),
    Entry(losses.jaccard_loss, "label"),
    Entry(losses.lovasz_hinge_loss, "sample", soft_labels=False),
    Entry(losses.assume_negative_loss, "element", separable=True),
    Entry(losses.weak_assume_negative_loss, "element", separable=True),
    Entry(losses.partial_binary_cross_entropy, "sample"),
    Entry(losses.positive_unlabeled_loss, "label", soft_labels=False),
    Entry(losses.class_aware_selective_loss, "element", soft_labels=False),
    Entry(losses.large_loss_rejection, "element", soft_labels=False),
    Entry(losses.large_loss_correction, "element", soft_labels=False),
    Entry(losses.expected_positive_regularized_loss, "batch", soft_labels=False),
    Entry(losses.role_loss, "batch", soft_labels=False),
    Entry(losses.entropy_maximization_loss, "element", separable=True, soft_labels=False),
    Entry(
        losses.generalized_robust_loss,
        "element",
        separable=True,
        soft_labels=False,
        grid="w=0|2|10, sigma=0.5|2",
    ),
    Entry(losses.ldam_loss, "element", separable=True, grid="max_margin=0.3|0.5|1"),
    Entry(
        losses.logit_adjusted_binary_cross_entropy, "element", separable=True, grid="tau=0.5|1|2"
    ),
    Entry(losses.equalization_loss, "element", separable=True),
    Entry(losses.unbiased_binary_cross_entropy, "element", separable=True),
    Entry(
        losses.distribution_balanced_loss,
        "element",
        separable=True,
        grid="mu=0.2|0.3, neg_scale=2|5",
    ),
    Entry(losses.multilabel_distillation_loss, "sample"),
    Entry(losses.hierarchical_coherence_loss, "element", soft_labels=False),
    Entry(losses.soft_calibration_loss, "label", zero_decides=False, penalty=True),
    Entry(losses.hierarchy_penalty, "sample", zero_decides=False, penalty=True),
    Entry(losses.label_graph_penalty, "sample", zero_decides=False, penalty=True),
)


def find(name: str) -> Entry:
    """Returns the row of a loss.

    Args:
        name: the public name of the loss.

    Returns:
        The row with this name.

    Raises:
        KeyError: if no row has this name; the message lists the nearest names.

    Example:
        >>> from mllosses_jax import catalogue
        >>> catalogue.find("zlpr_loss").kind
        'sample'
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    if name == "multilabel_contrastive_loss":
        raise KeyError(f"{name} takes embeddings, not logits; see help(mllosses_jax.{name})")
    names = [entry.name for entry in CATALOGUE]
    near = [entry.name for entry in CATALOGUE if f"({name.upper()}" in entry.summary]
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else f"; known are {', '.join(names)}"
    raise KeyError(f"no loss is called {name!r}{hint}")
