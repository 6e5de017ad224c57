"""Describes where figures come from: the machine and the versions, without names or paths."""

import importlib.metadata
import os
import platform
from pathlib import Path

import jax

LIBRARIES = ("mllosses-jax", "jax", "jaxlib", "numpy", "optax", "rax", "torch", "scikit-learn")


def machine() -> dict[str, str]:
    """Returns the platform of JAX, the device, the cores of the host and the versions."""
    device = jax.devices()[0]
    gpu = device.platform != "cpu"
    return {
        "platform": device.platform,
        "device": device.device_kind if gpu else _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{library: version for library in LIBRARIES if (version := _version(library))},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
