"""Times several calls in turn, so that all of them see the same state of the machine."""

import ctypes
import math
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

FEWEST_ROUNDS = 3
# The numbers of options in glibc's <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_memory() -> None:
    """Lets the C library keep the memory that is freed.

    Otherwise it returns large arrays to the system, and the next call that needs one takes up to
    twice as long: which call this is changes from round to round. An arena that belongs to a thread
    returns them even so, hence all threads share one.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(option, 1 << 30)
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def interleaved(
    calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float = math.inf
) -> dict[str, float]:
    """Returns the shortest time of each call in milliseconds.

    Each call is made once before the clock starts; then all calls are made in turn, `rounds` times,
    each time in another order: a call finds in the cache what the one before it has read.
    The shortest time is the one that other work on the machine disturbed least: quotients of
    medians changed by up to a half between runs, those of the shortest times by about a tenth.

    Args:
        calls: functions without arguments, by name; each call waits for the JAX arrays it returns.
        rounds: how often each call is timed, at most.
        seconds: after this time, but not before three rounds are done, only those calls go on that
            have not yet had an equal share of it: a slow call leaves few rounds to the others. No
            further round starts after ten times these seconds.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    times: dict[str, list[float]] = {name: [] for name in calls}
    share = seconds / len(calls)
    spent = dict.fromkeys(calls, 0.0)
    order = random.Random(0)
    for done in range(rounds):
        total = sum(spent.values())
        everyone = done < FEWEST_ROUNDS or total < seconds
        left = [name for name in calls if everyone or spent[name] < share]
        if not left or (done and total > 10 * seconds):
            break
        for name in order.sample(left, len(left)):
            start = time.perf_counter()
            jax.block_until_ready(calls[name]())
            duration = time.perf_counter() - start
            spent[name] += duration
            times[name].append(1e3 * duration)
    return {name: min(values) for name, values in times.items()}
