"""Measures work within one process, after its imports: ``python -m benchmarks.probe WHAT …`` prints JSON.

Everything is done twice, and the second time counts: code is then imported and caches are as warm as the peers'.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cbtool.asked import Options
from cbtool.index import Index
from cbtool.partitioning import partition
from cbtool.reading import open_parts
from cbtool.session import load_plan
from cbtool.source import Source, open_source


def plan(path: str, n_chunks: str) -> dict[str, Any]:
    """Plan *path* on the fly; count what is read by cbtool's own meter and by the kernel."""
    before = _read_bytes()
    with open_source(path) as source:
        starts = _logged(source)
        made = partition([source], Options(chunks=int(n_chunks), on_the_fly=True), _no_indexer)
        within_first = source.size // (2 * len(made))
        return {
            "cuts": len(made) - 1,
            "reads_at_cuts": sum(start > within_first for start in starts),
            "requests": source.meter.requests,
            "metered_bytes": source.meter.bytes,
            "read_bytes": _read_bytes() - before,
        }


def decode(path: str, number: str) -> dict[str, Any]:
    """Decode chunk *number* of the plan at *path*."""
    chunk = load_plan(path)[int(number)]
    length = sum(len(block) for part in open_parts(chunk) for block in part.blocks)
    return {"bytes": length, "promised_bytes": chunk.n_bytes, "promised_requests": chunk.requests}


def _logged(source: Source) -> list[int]:
    """Return a list that will hold where each read of *source* begins."""
    starts: list[int] = []

    def logging(way: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
        def read(start: int, length: int) -> Any:
            starts.append(start)
            return way(start, length)

        return read

    for name in ("read", "stream"):
        setattr(source, name, logging(getattr(source, name)))
    return starts


def _no_indexer(sources: Sequence[Source], form: str) -> Iterable[tuple[Source, Index]]:
    raise AssertionError("a plan on the fly does not index")


def _read_bytes() -> int:
    """Return what this process has read so far by system calls, of any file."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def measured(work: Callable[..., dict[str, Any]], *arguments: str) -> dict[str, Any]:
    work(*arguments)
    wall, cpu = time.perf_counter(), time.process_time()
    counts = work(*arguments)
    cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**cost, "peak_bytes": peak, **counts}


if __name__ == "__main__":
    print(json.dumps(measured({"plan": plan, "decode": decode}[sys.argv[1]], *sys.argv[2:])))
