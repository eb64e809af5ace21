"""What a command costs: wall, CPU, memory; and the same for a piece of work inside a process, start-up apart."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LOOK_S = 0.05
"""How often a tree of processes is looked at."""


@dataclass(frozen=True)
class Cost:
    """One measurement. CPU is of the process and all that it started and waited for.

    Memory is what the largest of them had; or, if the tree was watched, what all had for themselves at one moment.

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


def command(line: str | Sequence[str], *, tree: bool = False) -> Cost:
    """Run *line*, by bash if it is one string, and return what it cost; with *tree*, watch all its processes.

    The kernel counts as peak memory at least what this process has, for it is the one that forks: keep it small.
    """
    argv = ["bash", "-o", "pipefail", "-c", line] if isinstance(line, str) else list(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        start = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=told)
        with _watching(process.pid, tree) as most:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise Failed(f"{line}: status {process.returncode}: {told.read().decode(errors='replace')[-500:]}")
        out.seek(0)
        said = out.read().decode()
    return Cost(wall, usage.ru_utime + usage.ru_stime, most() if tree else usage.ru_maxrss * 1024, said)


@contextmanager
def _watching(pid: int, tree: bool) -> Iterator[Callable[[], int]]:
    """Watch *pid* and all below it for the block, if *tree*; yield what tells the most that was seen."""
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(LOOK_S):
            peak = max(peak, private_bytes(pid))

    watcher = threading.Thread(target=watch)
    if tree:
        watcher.start()
    try:
        yield lambda: peak
    finally:
        over.set()
        if tree:
            watcher.join()


def private_bytes(pid: int) -> int:
    """Return the memory of *pid* and all below it, without what are pages of files.

    What a process shares with the one it was forked from, or by shared memory, counts for each.
    """
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
        below = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for file in below for child in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total + sum(map(private_bytes, children))


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
