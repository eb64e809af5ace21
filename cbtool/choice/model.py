"""Predicts how long a run takes, and what it costs, from what its tasks take. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from cbtool.batching import MOST, WORTH


class Slice(NamedTuple):
    """What the model knows of a chunk: its weight, and what is read for it."""

    weight: int
    n_bytes: int
    requests: int


@dataclass(frozen=True)
class Line:
    """Something that has a fixed part and grows with the weight of a chunk."""

    fixed: float = 0.0
    slope: float = 0.0

    def at(self, weight: float) -> float:
        return self.fixed + self.slope * weight


@dataclass(frozen=True)
class Rates:
    """What tasks take, on as many lanes as were measured at once."""

    task: Line
    """Seconds of a task in its worker."""
    overhead_s: float = 0.0
    """Between tasks on a lane: what the engine and the driver take."""
    start_s: float = 0.0
    """What the first task of a lane takes besides."""
    cpus: float = 0.0
    """Processors that a task keeps busy."""
    peak: Line = Line()
    """Bytes of memory."""
    written: Line = Line()
    """Bytes of output."""
    read_bytes_per_s: float = 0.0
    write_bytes_per_s: float = 0.0
    writes: float = 1.0
    """Outputs of a task."""
    pace: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    """How the time for a weight differs along the sources: (where a stretch ends, from 0 to 1; times the mean)."""
    scatter: float = 0.0


@dataclass(frozen=True)
class Lanes:
    """Where tasks run: how many at once, and what each may take; None is no limit."""

    count: int
    cores: int | None = None
    """Processors that all lanes share."""
    memory_bytes: int | None = None
    time_s: float | None = None
    call_s: float = 0.0
    """What a call of the engine takes besides its tasks: where that is much, several tasks go into one."""
    tasks_per_call: int | None = None
    """How many do; None leaves it to `cbtool.batching`."""

    def batch(self, n_tasks: int, mean_s: float) -> int:
        """Return how many of *n_tasks*, which take *mean_s*, go into a call, as `Batched` has it."""
        if not self.call_s and self.tasks_per_call is None:
            return 1
        worth = self.tasks_per_call or math.ceil(WORTH * self.call_s / max(mean_s, 1e-6))
        return max(1, min(worth, MOST, math.ceil(n_tasks / self.count)))


@dataclass(frozen=True)
class Prediction:
    """What a run is expected to take. *cost_usd* is None where the price is not known."""

    n_chunks: int
    makespan_s: float
    """From the first submission to the last end."""
    longest_s: float
    gb_s: float
    calls: int
    gets: int
    puts: int
    peak_bytes: float
    cost_usd: float | None = 0.0


Cost = Callable[[Prediction], float | None]


def seconds_of(slices: Sequence[Slice], rates: Rates) -> list[float]:
    """Return how long each chunk keeps its worker, in order."""
    weights = np.array([one.weight for one in slices], float)
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    ends = np.array([0.0, *(end for end, _ in rates.pace)]) * edges[-1]
    times = np.array([times for _, times in rates.pace])
    done = np.concatenate([[0.0], np.cumsum(np.diff(ends) * times)])
    work = np.diff(np.interp(edges, ends, done)) * rates.task.slope
    if rates.scatter:
        differing = work * np.array([_differing(number, rates.scatter) for number in range(len(slices))])
        work = differing * (work.sum() / differing.sum()) if differing.sum() else work
    return [float(one) for one in work + rates.task.fixed]


def _differing(number: int, scatter: float) -> float:
    """Return by how much task *number* is taken to differ: normally distributed, and the same at every call.

    The quantiles are a van der Corput sequence, so that any run of them has a mean near 1.
    """
    quantile, unit, number = 0.0, 0.5, number + 1
    while number:
        quantile, unit, number = quantile + unit * (number & 1), unit / 2, number >> 1
    return max(0.5, 1 + scatter * NormalDist().inv_cdf(quantile))


def makespan_s(tasks: Iterable[float], lanes: int, start_s: float, cpus: float, cores: int | None) -> float:
    """Return how long *tasks* (seconds), in order, keep *lanes* busy.

    The next task goes to the lane that is free first, as `run_tasks` has it; a lane's first task takes *start_s* more.
    Where running tasks want more than the *cores* there are, all of them go slower alike.

    >>> makespan_s([3, 3, 2], 2, 0, 0, None), makespan_s([1, 1], 2, 0, 1.0, 1)
    (5.0, 2.0)
    """
    now = done = 0.0
    running: list[float] = []

    def step() -> None:
        # *done* is the work that each task which runs all along has done: it grows slower where cores are shared.
        nonlocal now, done
        demand = len(running) * cpus
        speed = 1.0 if cores is None or demand <= cores else cores / demand
        end = heappop(running)
        now, done = now + (end - done) / speed, end

    for number, task in enumerate(tasks):
        if len(running) == lanes:
            step()
        heappush(running, done + task + (start_s if number < lanes else 0.0))
    while running:
        step()
    return now


def predict(slices: Sequence[Slice], rates: Rates, lanes: Lanes, cost: Cost = lambda prediction: 0.0) -> Prediction:
    """Return what a run over chunks like *slices* takes on *lanes*."""
    busy = seconds_of(slices, rates)
    peak = rates.peak.at(max(one.weight for one in slices))
    started = min(len(slices), lanes.count)
    billed_s = sum(busy) + started * rates.start_s
    batch = lanes.batch(len(busy), sum(busy) / len(busy))
    tasks = [one + rates.overhead_s / batch for one in busy]
    found = Prediction(
        n_chunks=len(slices),
        makespan_s=makespan_s(tasks, lanes.count, rates.start_s, rates.cpus, lanes.cores),
        longest_s=max(busy) + rates.start_s,
        gb_s=billed_s * (lanes.memory_bytes or peak) / 2**30,
        calls=math.ceil(len(slices) / batch),
        gets=sum(one.requests for one in slices),
        puts=round(len(slices) * rates.writes),
        peak_bytes=peak,
    )
    return replace(found, cost_usd=cost(found))


def even(total: Slice, n_chunks: int) -> list[Slice]:
    """Return *total* cut into *n_chunks* even parts; each takes *total*'s requests."""
    n = max(1, min(n_chunks, total.weight))

    def part(whole: int, k: int) -> int:
        return whole * (k + 1) // n - whole * k // n

    return [Slice(part(total.weight, k), part(total.n_bytes, k), total.requests) for k in range(n)]
