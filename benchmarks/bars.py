"""Bars that figures of a run must reach, and a report of those that are met and missed."""

from collections.abc import Sequence
from typing import NamedTuple


class Bar(NamedTuple):
    """A figure and its bar.

    Attributes:
        what: what the figure says, with its unit.
        figure: what was measured.
        bar: the bar.
        at_least: whether the figure must reach the bar, rather than stay below it.
    """

    what: str
    figure: float
    bar: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.bar if self.at_least else self.figure <= self.bar


def report(bars: Sequence[Bar]) -> str:
    """Returns a line for each bar: whether it is met, the figure and the bar."""
    met = sum(bar.met for bar in bars)
    lines = [
        f"{'met' if bar.met else 'MISSED'}: {bar.what}: {bar.figure:.3g}, "
        f"at {'least' if bar.at_least else 'most'} {bar.bar:g}"
        for bar in bars
    ]
    return "\n".join([f"{met} of {len(bars)} bars are met.", *lines])
