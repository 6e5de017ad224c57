"""A check: what is looked for in a comparison, and the words for what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.compare.checks.finding import Finding, Kind
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

MOST_EVIDENCE = 10  # lines


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        code: its code, such as "MLC001".
        kind: the kind of its finding; this and the words are those of `Finding`.
        title: what is found, in one line.
        why: why it matters.
        remedy: what to do.
        look: gives the evidence, one line for each label, loss or row; none if nothing is found.
        lasting: whether it looks at nothing but the data and the baseline, so that what it finds
            stays the same when further losses are added.
    """

    code: str
    kind: Kind
    title: str
    why: str
    remedy: str
    look: Callable[[Comparison], Iterable[str]]
    lasting: bool = False

    def finding(self, comparison: Comparison) -> Finding | None:
        """Returns what is found in a comparison, or None."""
        evidence = tuple(self.look(comparison))
        if not evidence:
            return None
        more = max(len(evidence) - MOST_EVIDENCE, 0)
        if more:
            evidence = (*evidence[:MOST_EVIDENCE], f"and {more} more")
        return Finding(self.code, self.kind, self.title, self.why, self.remedy, evidence, more)


def check(
    code: str, kind: Kind, *, title: str, why: str, remedy: str, lasting: bool = False
) -> Callable[[Callable[[Comparison], Iterable[str]]], Check]:
    """Returns a decorator that makes a check of a function which gives the evidence."""

    def of(look: Callable[[Comparison], Iterable[str]]) -> Check:
        return Check(code, kind, title, why, remedy, look, lasting)

    return of


def num_diverged(outcome: Outcome | RankedOutcome) -> int:
    """Returns the number of models with a test score that is NaN or infinite."""
    if isinstance(outcome, RankedOutcome):
        return sum(not ranked.usable for ranked in outcome.test)
    return sum(not np.isfinite(scores).all() for scores in outcome.test_scores)


def with_all_scores(comparison: Comparison) -> Iterator[tuple[str, Outcome]]:
    """Yields the losses whose outcomes keep all scores, and whose training did not diverge."""
    for label, outcome in comparison.outcomes.items():
        if isinstance(outcome, Outcome) and not num_diverged(outcome):
            yield label, outcome
