"""A comparison that nothing was trained for, with hostile names, for the tests of its page."""

import dataclasses

import numpy as np
import pytest
from comparison_inputs import make_dataset, make_outcome

from mllosses_jax.compare import judgment
from mllosses_jax.compare.checks.finding import Finding
from mllosses_jax.compare.choice import parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.settings import Settings

BASELINE = "sigmoid_binary_cross_entropy"
OTHER, ORDERING = "zlpr_loss", "lsep_loss"
HOSTILE = ("<script>alert(1)</script>", "\"' onload=x", "a|b*c_", "$x$ & \x1b[31m")
FINDINGS = (
    Finding("MLC004", "tip", "The value is at <i>an edge</i>", "Why.", "Widen it.", ("a < b",)),
    Finding("MLC001", "issue", "No positive", "It is left out.", "Add rows.", ("label 1",) * 15),
)


def make_comparison(*, labels=4, masked=False, names=HOSTILE, skill=1.6, **changed):
    """Returns a comparison of three losses, of which the last only orders the labels."""
    dataset = make_dataset(masked=masked, labels=labels)
    names = (*names, *dataset.label_names[len(names) :])[:labels]
    dataset = dataclasses.replace(dataset, name="<b>toy</b>", label_names=names)
    tried = {
        "strength": np.array([1e-4, 1e-3, 1e-2]),
        "score": np.array([0.4, changed.pop("validation", 0.6), 0.3]),
    }
    outcomes = {
        BASELINE: make_outcome(dataset, models=1),
        OTHER: make_outcome(dataset, models=2, skill=skill, tried=tried, **changed),
        ORDERING: make_outcome(dataset, models=1, skill=0.1, seed=5, cpu_seconds=9.0),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judgment, "NUM_RESAMPLES", 40)
        comparison = Comparison(dataset, Settings(), baseline=BASELINE)
        for label, outcome in outcomes.items():
            comparison.add(parse(label), outcome)
    comparison.checks = FINDINGS
    comparison.references = {"prior only": {"map": {"mean": 0.3, "low": 0.2, "high": 0.4}}}
    return comparison
