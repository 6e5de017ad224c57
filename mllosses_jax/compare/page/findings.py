"""The third tab: what the checks found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mllosses_jax.compare.page.elements import prose, tag, text

if TYPE_CHECKING:
    from mllosses_jax.compare.checks.finding import Finding
    from mllosses_jax.compare.comparison import Comparison

SHOWN = 12  # lines of evidence that are seen without a click


def content(comparison: Comparison) -> str:
    """Returns the tab; issues come before tips."""
    found: tuple[Finding, ...] = comparison.checks
    title = tag("h2", "Checks")
    if not found:
        return title + tag("p", "The checks found nothing.", class_="lead")
    counts = {kind: sum(each.kind == kind for each in found) for kind in ("issue", "tip")}
    told = " and ".join(f"{n} {kind}{'s' * (n != 1)}" for kind, n in counts.items() if n)
    ordered = sorted(found, key=lambda finding: (finding.kind != "issue", finding.code))
    return title + tag("p", f"{told}.", class_="lead") + "".join(map(_finding, ordered))


def _finding(finding: Finding) -> str:
    head = (
        tag("span", text(finding.kind), class_=f"kind {finding.kind}")
        + " "
        + tag("code", text(finding.code))
        + " "
        + text(finding.title)
    )
    parts = tag("p", prose(finding.why))
    parts += tag("p", tag("b", "Remedy.") + " " + prose(finding.remedy))
    evidence = [tag("li", text(line)) for line in finding.evidence]
    if evidence:
        parts += tag("ul", "".join(evidence[:SHOWN]))
    if len(evidence) > SHOWN:
        more = tag("summary", f"{len(evidence) - SHOWN} more")
        parts += tag("details", more + tag("ul", "".join(evidence[SHOWN:])))
    return tag("article", tag("h3", head) + parts, class_="finding")
