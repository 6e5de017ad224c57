"""What a reader of a comparison should know before trusting it: findings with stable codes.

- `finding`: what a finding holds; `check`: what a check holds.
- `labels`, `rows`: checks of the data; `training`, `decisions`, `metrics`: checks of the losses.
- `label_noise`: how likely it is that a label is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mllosses_jax._core.text import did_you_mean
from mllosses_jax.compare.checks import decisions, labels, metrics, rows, training
from mllosses_jax.compare.checks.finding import Finding
from mllosses_jax.compare.errors import ComparisonError

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

# A code is never given to another check.
CHECKS = {
    check.code: check
    for check in (
        labels.without_positives,  # MLC001
        rows.without_labels,
        metrics.below_prior,
        training.at_edge,
        decisions.gain_not_held_out,  # MLC005
        decisions.slope_off,
        rows.duplicates,
        training.diverged,
        metrics.few_positives,
        metrics.ties,  # MLC010
        decisions.never_predicted,
        labels.always_together,
        labels.likely_errors,
        training.not_converged,
        rows.shared_groups,  # MLC015
    )
}


def find_all(comparison: Comparison, ignore: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Returns all findings about a comparison: issues first, then tips, each by code.

    Args:
        comparison: the comparison, of one or more losses.
        ignore: codes of checks to leave out.
    """
    kept = comparison.lasting_findings
    looked = {}
    for code, check in CHECKS.items():
        if code not in ignore:
            looked[code] = kept[code] if code in kept else check.finding(comparison)
            if check.lasting:
                kept[code] = looked[code]
    found = [finding for finding in looked.values() if finding is not None]
    return tuple(sorted(found, key=lambda finding: (finding.kind != "issue", finding.code)))


def known_codes(codes: str | Sequence[str]) -> tuple[str, ...]:
    """Returns codes of checks without repetitions, from a sequence or separated by commas.

    Raises:
        ComparisonError: there is no such check.
    """
    given = codes.split(",") if isinstance(codes, str) else codes
    if not isinstance(given, Iterable) or not all(isinstance(code, str) for code in given):
        raise ComparisonError(f"checks to ignore must be codes (ignore), got {codes!r}")
    found = [code.strip() for code in given if code.strip()]
    for code in found:
        if code not in CHECKS:
            hint = did_you_mean(code.upper(), CHECKS) or f"; known: {', '.join(CHECKS)}"
            raise ComparisonError(f"unknown check {code!r} (ignore){hint}")
    return tuple(dict.fromkeys(found))
