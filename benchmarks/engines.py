"""What engines add to tasks that do nothing: ``python -m benchmarks.engines [NAME...]``.

Each row is measured in rounds, all rows in turn: an engine is opened, answers a first task, and then does many. The
time to the first counts from the opening; CPU is of this process and of the workers that it waited for. Figures are
medians. The exit status is 1 if a row misses what was wanted of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.table import Row, markdown
from cbtool.backends.probe import CALL
from cbtool.batching import Batched
from cbtool.contracts import Backend, EngineSettings
from cbtool.runner import run_tasks
from cbtool.session import engine

N_WORKERS = 2
TASK = {"call": CALL}

Start = Callable[[Path], AbstractContextManager[EngineSettings]]
"""Starts what an engine needs that is not there, given a folder; nothing of that is measured."""


@contextmanager
def alone(folder: Path) -> Iterator[EngineSettings]:
    """Start nothing."""
    yield EngineSettings(N_WORKERS)


@contextmanager
def lithops_here(folder: Path) -> Iterator[EngineSettings]:
    """Keep whatever Lithops is configured for out of it: this machine is measured."""
    config = folder / "lithops.yaml"
    config.write_text("lithops: {backend: localhost, storage: localhost}\n")
    yield EngineSettings(N_WORKERS, config=str(config))


@dataclass(frozen=True)
class Entry:
    """A way to run *n_tasks* on an engine, *per_call* of them in each call (None is ``auto``)."""

    engine: str
    n_tasks: int
    per_call: int | None = 1
    start: Start = alone
    wanted_task_ms: float | None = None
    wanted_first_s: float | None = None

    @property
    def called(self) -> str:
        shared = "auto" if self.per_call is None else str(self.per_call)
        return f"{self.engine}, --tasks-per-call {shared}"


ENTRIES = (
    Entry("local", 1000, wanted_task_ms=0.5, wanted_first_s=0.3),
    Entry("dask", 1000),
    Entry("dask", 1000, per_call=None),
    Entry("lithops", 40, start=lithops_here),
    Entry("lithops", 1000, per_call=None, start=lithops_here),
)
"""To add an engine: an entry, and a function that starts what it needs."""


@dataclass(frozen=True)
class Measured:
    """One round of an entry. *cpu_s* is what one task took of all processors."""

    first_s: float
    task_s: float
    cpu_s: float


def measure(entry: Entry, settings: EngineSettings) -> Measured:
    cpu, began = _cpu_s(), time.perf_counter()
    with engine(entry.engine, settings) as backend:
        _do(backend, 1)
        first = time.perf_counter()
        shared = backend if entry.per_call == 1 else Batched(backend, entry.per_call, entry.n_tasks)
        _do(shared, entry.n_tasks)
        ended = time.perf_counter()
    return Measured(first - began, (ended - first) / entry.n_tasks, (_cpu_s() - cpu) / entry.n_tasks)


def _do(backend: Backend, n_tasks: int) -> None:
    for outcome in run_tasks((TASK for _ in range(n_tasks)), backend):
        if outcome.error is not None:
            raise outcome.error


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def rows(entry: Entry, rounds: Sequence[Measured]) -> Iterator[Row]:
    """Yield what the table says of *entry*."""

    def median(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in rounds))

    task_ms, first_s = 1000 * median("task_s"), median("first_s")
    cpu = f"{1000 * median('cpu_s'):.3g} ms CPU"
    work = f"{entry.called}: {entry.n_tasks} empty tasks"
    yield Row(work, "", "ms a task", cpu, "", task_ms, entry.wanted_task_ms, at_most=True, unit="ms")
    yield Row(entry.called, "", "s to the first", "", "", first_s, entry.wanted_first_s, at_most=True, unit="s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="engines; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    asked = parser.parse_args()
    chosen = [entry for entry in ENTRIES if not asked.names or entry.engine in asked.names]
    found: list[list[Measured]] = [[] for _ in chosen]
    before = machine.facts()
    for _ in range(asked.rounds):
        for entry, rounds in zip(chosen, found, strict=True):
            with tempfile.TemporaryDirectory(prefix="cbtool-benchmark-") as folder, entry.start(Path(folder)) as how:
                rounds.append(measure(entry, how))
    table = [row for entry, rounds in zip(chosen, found, strict=True) for row in rows(entry, rounds)]
    print(markdown(table))
    print(json.dumps({"machine": before, "load": machine.load()}), file=sys.stderr)
    if asked.json:
        named = [(entry.called, rounds) for entry, rounds in zip(chosen, found, strict=True)]
        figures = [{"row": name, "rounds": [vars(one) for one in rounds]} for name, rounds in named]
        Path(asked.json).write_text(json.dumps({"machine": before, "rows": figures}, indent=1))
    return int(any(row.verdict == "FAIL" for row in table))


if __name__ == "__main__":
    sys.exit(main())
