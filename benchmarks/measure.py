"""What a command costs: wall, CPU, memory; and the same for a piece of work inside a process, start-up apart."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cost:
    """One measurement. CPU is of the process and all that it started and waited for; memory of the largest of them.

    *said* is what it printed: the answer of a command, the counts of a probe.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    said: str = field(default="", repr=False)

    @property
    def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.said)
        return found


class Failed(Exception):
    """A command that was to be measured did not do its work."""


def command(line: str | Sequence[str]) -> Cost:
    """Run *line*, by bash if it is one string, and return what it cost.

    The kernel counts as peak memory at least what this process has, for it is the one that forks: keep it small.
    """
    argv = ["bash", "-o", "pipefail", "-c", line] if isinstance(line, str) else list(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        start = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=told)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise Failed(f"{line}: status {process.returncode}: {told.read().decode(errors='replace')[-500:]}")
        out.seek(0)
        said = out.read().decode()
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, said)


def probe(*arguments: str) -> Cost:
    """Return what ``benchmarks.probe`` measured of work within one process, imports apart."""
    found = command([sys.executable, "-m", "benchmarks.probe", *arguments]).counts
    return Cost(found.pop("wall_s"), found.pop("cpu_s"), found.pop("peak_bytes"), json.dumps(found))


@dataclass(frozen=True)
class Rounds:
    """The costs of one thing, a round each."""

    costs: Sequence[Cost]

    def median(self, what: str) -> float:
        return float(statistics.median(getattr(cost, what) for cost in self.costs))

    def least(self, what: str) -> float:
        return float(min(getattr(cost, what) for cost in self.costs))

    @property
    def last(self) -> Cost:
        return self.costs[-1]

    def as_json(self) -> dict[str, Any]:
        names = ("wall_s", "cpu_s", "peak_bytes")
        return {
            "median": {name: self.median(name) for name in names},
            "min": {name: self.least(name) for name in names},
            "rounds": [asdict(cost) for cost in self.costs],
        }
