"""Every public function of metrics and decisions that takes labels, with required arguments."""

import functools
import inspect

import jax
import jax.numpy as jnp

from mllosses_jax import decisions, metrics

ON_HOST = {
    "bootstrap",
    *("classification_report", "precision_recall_curve", "roc_curve"),
    *("threshold_report", "fit_frank_wolfe"),
}


def _needed(num_labels: int, k: int) -> dict[str, object]:
    return {
        "average_precision": 0.5,
        "beta": 2.0,
        "fbr": 0.3,
        "information": jnp.linspace(0.5, 2.0, num_labels),
        "inputs": "probabilities",
        "inverse_propensity": jnp.linspace(1.0, 3.0, num_labels),
        "k": k,
        "key": jax.random.key(0),
        "metric": metrics.average_precision,
        "new_scores": jnp.linspace(0.0, 1.0, 2 * num_labels).reshape(2, num_labels),
        "precision": 0.5,
        "recall": 0.5,
        "sensitivity": 0.5,
        "specificity": 0.5,
        "threshold": 0.5,
    }


def calls(num_labels: int, k: int) -> dict[str, functools.partial]:
    """Returns functions by name, to be called with labels=, where= and what `first` names."""
    needed, found = _needed(num_labels, k), {}
    for module in (metrics, decisions):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isclass(function) or not callable(function):
                continue
            parameters = inspect.signature(function).parameters
            if "labels" not in parameters:
                continue
            options = {
                key: needed[key]
                for key, parameter in parameters.items()
                if parameter.default is parameter.empty and key not in FIRST
            }
            found[name] = functools.partial(function, **options)
    return found


DECISIONS = {  # functions of scores, which are probabilities here
    "apply_thresholds": lambda s: decisions.apply_thresholds(s, 0.5),
    "block_coordinate_sets": lambda s: decisions.block_coordinate_sets(s, 1),
    "expected_f_sets": decisions.expected_f_sets,
    "gfm_sets": lambda s: decisions.gfm_sets(*decisions.gfm_matrix(s)),
    "largest_gap_sets": decisions.largest_gap_sets,
    "plugin_f_thresholds": decisions.plugin_f_thresholds,
    "proportional_thresholds": lambda s: decisions.proportional_thresholds(
        s, jnp.full(s.shape[1], 0.26)
    ),
    "sets_from_counts": lambda s: decisions.sets_from_counts(s, jnp.full(s.shape[:1], 1)),
    "top_k": lambda s: decisions.top_k(s, 1),
}


FIRST = ("predictions", "scores", "probabilities", "labels")


def first(call: functools.partial) -> str | None:
    """Returns the name of the argument that a function takes besides labels, or None."""
    names = inspect.signature(call.func).parameters
    return next((name for name in FIRST[:3] if name in names), None)
