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
        rounds: how often each call is timed.
        seconds: after this time no further round starts once three are done, and after ten times
            this time none at all.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    first = time.perf_counter()
    for done in range(rounds):
        enough = seconds if done >= FEWEST_ROUNDS else 10 * seconds
        if done and time.perf_counter() - first > enough:
            break
        for name, call in order.sample(list(calls.items()), len(calls)):
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: min(values) for name, values in times.items()}
