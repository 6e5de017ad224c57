"""What results.json holds about the losses of a comparison."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import jax

import mllosses_jax
from mllosses_jax._core import intervals
from mllosses_jax._core.intervals import Interval
from mllosses_jax.compare import judgment, report

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


def versions() -> dict[str, str]:
    """Returns the versions of the packages that figures depend on, and the device."""
    packages = ("jax", "jaxlib", "optax", "numpy")
    return {
        "mllosses_jax": mllosses_jax.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "device": jax.devices()[0].device_kind,
    }


def document(comparison: Comparison) -> dict[str, Any]:
    """Returns what results.json holds besides the settings and the data card."""
    outcomes = comparison.outcomes.items()
    return {
        "versions": versions(),
        "interval": {"level": intervals.LEVEL, "resamples": judgment.NUM_RESAMPLES},
        "baseline": comparison.baseline,
        "best_on_validation": comparison.best,
        "recommended": comparison.recommended,
        "given": comparison.given,
        "left_out": comparison.left_out,
        "checks": [asdict(finding) for finding in comparison.checks],
        "ignored_checks": list(comparison.ignore),
        "results": comparison.results,
        "references": comparison.references,
        "references_left_out": comparison.references_left_out,
        "differences": _as_dicts(comparison.differences),
        "simultaneous": _as_dicts(comparison.simultaneous),
        "training": {
            name: {
                "chosen": outcome.chosen,
                "tried": {key: value.tolist() for key, value in outcome.tried.items()},
                "settings": {key: value.tolist() for key, value in outcome.settings.items()},
                "curves": {key: value.tolist() for key, value in outcome.curves.items()},
                "at_edge": list(outcome.at_edge),
                "models": len(outcome.residuals),
                "depends_on_seed": outcome.varies,
                "residuals": outcome.residuals.tolist(),
            }
            for name, outcome in outcomes
        },
        "report": report.parts(comparison),  # what `mllosses show` prints
    }


def _as_dicts(found: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Any]]:
    return {
        label: {metric: asdict(difference) for metric, difference in by_metric.items()}
        for label, by_metric in found.items()
    }
