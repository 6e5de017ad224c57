"""A finding about a comparison, under a code that never changes its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    """

    code: str
    kind: Literal["issue", "tip"]
    title: str
    why: str
    remedy: str
    evidence: tuple[str, ...]
