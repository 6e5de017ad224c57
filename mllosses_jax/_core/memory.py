"""How much memory is available, so that files that do not fit are refused before reading."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource


SMALL = 2**26  # bytes; what needs less is always tried, whatever the system reports


def available_memory() -> int:
    """Returns how many bytes this process can still allocate, as far as the system reports."""
    found = [sys.maxsize]
    with contextlib.suppress(OSError, ValueError, AttributeError):  # the whole machine
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # a container; the file says "max" if unlimited
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(int(free.split()[1]) * 1024)
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        with contextlib.suppress(OSError, ValueError):
            if limit != resource.RLIM_INFINITY:
                taken = int(Path("/proc/self/statm").read_text().split()[0])
                found.append(max(limit - taken * resource.getpagesize(), 0))
    return max(min(found), SMALL)
