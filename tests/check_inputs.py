"""Comparisons of one loss for the tests of checks, and what a check finds in them."""

import numpy as np
from comparison_inputs import make_comparison, make_dataset, make_outcome

from mllosses_jax.compare import validation
from mllosses_jax.compare.checks import CHECKS
from mllosses_jax.compare.validation import Held

BASELINE, OTHER, ONLY_ORDERS = "sigmoid_binary_cross_entropy", "zlpr_loss", "softmax_cross_entropy"


def alone(dataset, loss=BASELINE, settings=(), **changed):
    """Returns a comparison of one loss, with changes to its outcome."""
    outcome = make_outcome(dataset, **{"models": 1} | changed)
    return make_comparison(dataset, {loss: outcome}, **dict(settings))


def evidence(code, comparison):
    """Returns the evidence of a check; () if it finds nothing."""
    finding = CHECKS[code].finding(comparison)
    return () if finding is None else finding.evidence


def tuned(dataset, held):
    """Returns the fields of an outcome that are held-out scores and what is decided on them."""
    held = Held(np.arange(len(held)), held.astype(np.float32))
    return {"held": held, "decisions": validation.decide(held, dataset)}


def decisions(label_thresholds=(0, 0, 0, 0)):
    """Returns decisions with these thresholds."""
    found = make_outcome(make_dataset()).decisions
    return found._replace(label_thresholds=np.asarray(label_thresholds, np.float32))
