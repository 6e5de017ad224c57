"""How far a comparison is, and how long the rest will take."""

from __future__ import annotations

import time
from typing import Protocol

MIN_SECONDS_TOLD = 20


class OnProgress(Protocol):
    """A callback at the start of each loss and after each pass of training."""

    def __call__(self, done_passes: int, total_passes: int, text: str) -> None:
        """Receives how far the comparison is and what it is doing, such as "training: NAME"."""


class Passes:
    """Counts passes of training, and reports them and the time that is left."""

    def __init__(self, num_losses: int, passes: int, tell: OnProgress | None) -> None:
        self.num_losses, self.passes, self.tell = num_losses, passes, tell
        self.done, self.losses, self.text = 0, 0, ""
        self.clock: list[float] = []  # when each pass of training ended

    def begin(self, label: str, *, trained: bool) -> None:
        """Reports which loss is next."""
        self.done = self.losses * self.passes
        self.losses += 1
        self.text = f"{'training' if trained else 'finished before'}: {label}"
        if trained and self.clock:
            self.text += self._left()
        self._say()

    def advance(self) -> None:
        """Counts a pass; the second, which compiles nothing, shows how long all will take."""
        self.done = min(self.done + 1, self.losses * self.passes)  # a search may take more passes
        self.clock.append(time.perf_counter())
        if len(self.clock) == 2:
            self.text += self._left()
        self._say()

    def say(self, text: str) -> None:
        """Reports what is done besides training, which counts no passes."""
        self.done, self.text = self.losses * self.passes, text
        self._say()

    def _left(self) -> str:
        seconds = (self.clock[-1] - self.clock[0]) / max(len(self.clock) - 1, 1)
        left = seconds * (self.num_losses * self.passes - self.done)
        return f" (about {_duration(left)} left)" if left >= MIN_SECONDS_TOLD else ""

    def _say(self) -> None:
        if self.tell is not None:
            self.tell(self.done, self.num_losses * self.passes, self.text)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
