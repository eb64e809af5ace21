"""On what, and how busy it was: without that, figures say nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "name" in line]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cbtool": version("cbtool"),
    }


def load() -> float:
    """Return the load average of the last minute: on an idle machine the measurements themselves make about 1."""
    return os.getloadavg()[0]
