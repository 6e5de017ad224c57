"""The sentences of a report about a comparison over very many labels."""

from __future__ import annotations

from collections.abc import Mapping

from mllosses_jax.compare.large.linear import HELD_OUT
from mllosses_jax.compare.large.training import GAP, KEPT, ROUNDS
from mllosses_jax.compare.settings import MANY_LABELS

DECISIONS = (
    f"Of each row, the {KEPT} labels with the highest scores are kept. One threshold for all "
    "labels is tuned for micro-F1 on the kept scores of the held-out rows; labels that are not "
    "kept are not predicted."
)


def model(*, given: bool) -> str:
    """Returns how models are trained, with a validation part that is given or held out."""
    share = "the validation part" if given else f"{HELD_OUT:.0%} of the training rows"
    return (
        f"Model: linear, trained through a head, as there are more than {MANY_LABELS} labels: "
        "stochastic gradient descent on the mean over rows of the loss, summed over labels if it "
        "has one value per label, + (strength / 2) ||kernel||^2 with a free bias. The strength of "
        f"each loss is chosen on {share} for the best nDCG@5, its learning rate by the fall of the "
        f"loss in an epoch, and the model is fitted{'' if given else ' again'} to all training "
        f"rows. Training ends after at most {sum(ROUNDS)} epochs, or earlier once the squared norm "
        f"of the objective's gradient over twice the strength is below {GAP:.0%} of the "
        "objective's fall; for a convex loss, that bounds how far it is above its minimum."
    )


def metrics(held_out: str) -> str:
    """Returns what the metrics of the tables mean; `held_out` are the rows of the choices."""
    return (
        "Higher is better for all metrics. P@k: the share of positives among the k labels with "
        "the highest scores. nDCG@k: the positives among them, discounted by the logarithm of "
        "their rank, as a share of the largest possible value. PSP@k: P@k in which a label weighs "
        "the more the rarer it is, by the propensities of Jain, Prabhu and Varma (2016), as a "
        f"share of the largest possible value. The held-out score is nDCG@5 on {held_out}; it "
        "chose the settings, and it chooses the best loss."
    )


def left_out(reasons: Mapping[str, str]) -> list[str]:
    """Returns which losses are not compared, and why, as no or one paragraph."""
    if not reasons:
        return []
    each = "; ".join(f"{label} {reason}" for label, reason in reasons.items())
    return [f"Left out, as a head over very many labels cannot train with them: {each}."]
