"""The search for the strength of a linear model's penalty.

Strengths are reference * 10^(k / 4). The search takes steps of half a decade until each side of the
best has one that is clearly worse or two that are worse, and then tries the two quarters next to
the best.
"""

from __future__ import annotations

from collections.abc import Callable

PER_DECADE = 4
FIRST, STRIDE = (-2, -4, -6), 2
LOWEST, HIGHEST = -24, 8
CLEARLY = 0.005
PASSES = 7  # approximate number of attempts, and the final fits


def factor(step: int) -> float:
    """Returns a strength as a multiple of the reference."""
    return float(10 ** (step / PER_DECADE))


def search(attempt: Callable[[int], float]) -> dict[int, float]:
    """Returns the scores of the steps that were tried, in the order in which they were.

    Args:
        attempt: returns the validation score of a step.
    """
    scores = {step: attempt(step) for step in FIRST}
    while True:
        top = best(scores)
        if min(scores) > LOWEST and not _bounded(scores, top, below=True):
            step = min(scores) - STRIDE
        elif max(scores) < HIGHEST and not _bounded(scores, top, below=False):
            step = max(scores) + STRIDE
        else:
            break
        scores[step] = attempt(step)
    for step in (top - 1, top + 1):
        scores[step] = attempt(step)
    return scores


def best(scores: dict[int, float]) -> int:
    """Returns the step with the highest score, the first of several."""
    return max(scores, key=scores.__getitem__)


def at_edge(step: int) -> bool:
    """Returns whether a step is at an edge of those that can be tried."""
    return not LOWEST < step < HIGHEST


def _bounded(scores: dict[int, float], top: int, *, below: bool) -> bool:
    """Returns whether enough worse strengths lie on one side of the best."""
    beyond = [score for step, score in scores.items() if (step < top if below else step > top)]
    return len(beyond) >= 2 or any(score < scores[top] - CLEARLY for score in beyond)
