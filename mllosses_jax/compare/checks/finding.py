"""A finding about a comparison, under a code that never changes its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["issue", "tip"]


@dataclass(frozen=True)
class Finding:
    """A finding.

    Attributes:
        code: its code, such as "MLC001".
        kind: "issue" if a figure or a model cannot be trusted as it is, "tip" if something could be
            better.
        title: what was found, in one line.
        why: why it matters.
        remedy: what to do.
        evidence: the labels, losses or rows concerned, with their figures, one line each.
        more: how many more there are, which the last line of the evidence says.
    """

    code: str
    kind: Kind
    title: str
    why: str
    remedy: str
    evidence: tuple[str, ...]
    more: int = 0

    def brief(self, most: int) -> str:
        """Returns at most so many lines of evidence in one line, and how many more there are."""
        lines = self.evidence[:-1] if self.more else self.evidence
        hidden = self.more + max(len(lines) - most, 0)
        return "; ".join([*lines[:most], *([f"and {hidden} more"] if hidden else [])])
