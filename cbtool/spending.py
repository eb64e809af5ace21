"""What a task takes: bytes, requests, time that it waited for storage, processor time, memory."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

READ, WRITE = "read_s", "write_s"

host: str | None = None
"""What this worker's machine is called, where its host name is others' as well."""


class Spending:
    """Sums that grow, of this process, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, **more: float) -> None:
        with self._lock:
            for name, number in more.items():
                self._sums[name] = self._sums.get(name, 0) + number

    def sums(self) -> dict[str, float]:
        with self._lock:
            return dict(self._sums)


SPENT = Spending()
"""Of this process. A worker does one task at a time, so what is added during a task is the task's."""


def waiting_for(blocks: Iterable[bytes], spent: Spending = SPENT) -> Iterator[bytes]:
    """Yield *blocks* of a chunk, and count the time that they keep their reader waiting (fetching and decoding)."""
    iterator = iter(blocks)
    while True:
        began = time.perf_counter()
        block = next(iterator, None)
        spent.add(read_s=time.perf_counter() - began)
        if block is None:
            return
        yield block


class Written:
    """Blocks on their way into an output, counted; time spent in getting them is no time of writing."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.n_bytes, self.waited_s = 0, 0.0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            began = time.perf_counter()
            block = next(self._blocks, None)
            self.waited_s += time.perf_counter() - began
            if block is None:
                return
            self.n_bytes += len(block)
            yield block


@contextmanager
def writing(blocks: Iterable[bytes], spent: Spending = SPENT) -> Iterator[Iterable[bytes]]:
    """Give *blocks* to write, and count what the block writes and how long that takes beyond getting them."""
    written, began = Written(blocks), time.perf_counter()
    try:
        yield written
    finally:
        taken = time.perf_counter() - began - written.waited_s
        spent.add(write_s=taken, written_bytes=written.n_bytes, writes=1)


class Account:
    """Measures one task: made when it begins, `close`d when it ends."""

    def __init__(self, start_s: float | None = None) -> None:
        self._start_s = start_s
        self._before = SPENT.sums()
        self.began = time.time()
        self._clock, self._cpu = time.perf_counter(), _cpu_s()
        _forget_peak()

    def close(self) -> dict[str, Any]:
        """Return what was spent: seconds, bytes, counts, and who spent it.

        *peak_bytes* is the resident memory of the worker at its highest in this task, or of the largest child that
        it ever waited for, whichever is more.
        """
        after = SPENT.sums()
        grown = {name: after[name] - self._before.get(name, 0) for name in after}
        spent: dict[str, Any] = {
            "worker": f"{host or os.uname().nodename}/{os.getpid()}",
            "began": round(self.began, 4),
            "wall_s": round(time.perf_counter() - self._clock, 5),
            "cpu_s": round(_cpu_s() - self._cpu, 4),
            "peak_bytes": _peak_bytes(),
            **{name: round(number, 5) for name, number in grown.items() if number},
        }
        return spent if self._start_s is None else {**spent, "start_s": round(self._start_s, 4)}


def total(spent: Iterable[Mapping[str, Any]], name: str) -> float:
    """Return the sum of one thing over many tasks."""
    return float(sum(one.get(name, 0) for one in spent))


def process_age_s(process: int | None = None) -> float:
    """Return how long ago *process*, or this one, was started."""
    with open(f"/proc/{process or 'self'}/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _cpu_s() -> float:
    """Return the processor time of this process and of the children that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _forget_peak() -> None:
    # Linux (proc(5)): 5 sets the peak of the resident memory back to what it is now.
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak_bytes() -> int:
    both = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * max(both)
