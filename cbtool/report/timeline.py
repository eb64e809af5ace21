"""When and where the attempts of a run ran: records to bars, lanes, an axis without pauses, stragglers.

Nothing here reads a file or a clock: the same records give the same timeline.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from statistics import median
from typing import Any

from cbtool.report.measures import measure

PARTS = ("start", "read", "work", "write", "untold")
"""What a bar is stacked of; *untold* is the time of an attempt whose worker could not say what it spent."""
STRAGGLES = 2.0
STRAGGLERS_FROM = 4
SLIP_S = 0.005
PAUSE_SHARE, PAUSE_S = 0.1, 1.0


@dataclass(frozen=True)
class Attempt:
    """One attempt at one chunk. Times are seconds since the epoch, by the driver's clock."""

    chunk: int
    attempt: int
    ended: str
    began: float
    """When the task itself began; its worker's start, if it was the first there, came before."""
    wall_s: float
    seconds: float
    """As the driver saw it, from submission to the end: with waiting and transport."""
    worker: str | None
    parts: Mapping[str, float]
    """Seconds of each of `PARTS`; reads and writes that overlapped the work are shortened to fit the wall time."""
    record: Mapping[str, Any] = field(repr=False)

    @property
    def end(self) -> float:
        return self.began + self.wall_s

    @property
    def appeared(self) -> float:
        """When its bar begins: with the start of its worker."""
        return self.began - self.parts["start"]

    def spent(self, name: str) -> float:
        """Return what its worker said it spent of *name*; 0 if it could not say."""
        return measure(_spent(self.record).get(name)) or 0.0


def _spent(record: Mapping[str, Any]) -> Mapping[str, Any]:
    spent = record.get("spent")
    return spent if isinstance(spent, dict) else {}


def attempts(records: Iterable[Mapping[str, Any]]) -> list[Attempt]:
    """Return the attempts that *records* tell of, in order; those that name no time are left out."""
    found = [_attempt(record) for record in records if measure(record.get("at")) is not None]
    return sorted(found, key=lambda one: (one.began, one.chunk, one.attempt))


def _attempt(record: Mapping[str, Any]) -> Attempt:
    at, seconds, spent = measure(record["at"]) or 0.0, measure(record.get("seconds")) or 0.0, _spent(record)
    told = measure(spent.get("wall_s"))
    wall = seconds if told is None else told
    submitted = measure(record.get("submitted"))
    earliest = at - max(seconds, wall) if submitted is None else submitted
    # Workers elsewhere have clocks of their own: a task cannot begin before it was submitted, nor end after its record.
    began = min(max(measure(spent.get("began")) or earliest, earliest), max(earliest, at - wall))
    read = min(measure(spent.get("read_s")) or 0.0, wall)
    write = min(measure(spent.get("write_s")) or 0.0, wall - read)
    rest = wall - read - write
    start = measure(spent.get("start_s")) or 0.0
    work, untold = (0.0, rest) if told is None else (rest, 0.0)
    return Attempt(
        chunk=record["chunk"],
        attempt=int(measure(record.get("attempt")) or 1),
        ended=str(record.get("ended")),
        began=began,
        wall_s=wall,
        seconds=max(seconds, wall),
        worker=str(spent["worker"]) if spent.get("worker") else None,
        parts=dict(zip(PARTS, (start, read, work, write, untold), strict=True)),
        record=record,
    )


@dataclass(frozen=True)
class Lane:
    """A row of the picture: attempts that did not overlap, of one worker or of workers that followed each other."""

    attempts: Sequence[Attempt]

    @property
    def workers(self) -> list[str]:
        """Return its workers in order, each once; attempts whose worker is not known add none."""
        return list(dict.fromkeys(one.worker for one in self.attempts if one.worker))


def lanes(tried: Sequence[Attempt]) -> list[Lane]:
    """Put attempts into as few rows as ran at once: each with its worker's last one, else where a worker had ended."""
    leaves: dict[str, float] = {}
    for one in tried:
        if one.worker:
            leaves[one.worker] = max(leaves.get(one.worker, 0.0), one.end)
    rows: list[list[Attempt]] = []
    for one in sorted(tried, key=lambda one: (one.appeared, one.chunk, one.attempt)):
        free = [row for row in rows if row[-1].end <= one.appeared + SLIP_S]
        row = next((row for row in free if one.worker and row[-1].worker == one.worker), None)
        if row is None:
            left = (row for row in free if leaves.get(row[-1].worker or "", 0.0) <= one.appeared + SLIP_S)
            row = next(left, None)
        if row is None:
            rows.append(row := [])
        row.append(one)
    return [Lane(row) for row in rows]


@dataclass(frozen=True)
class Axis:
    """Time without long pauses in which nothing ran: the nights between a run and the same command again."""

    stretches: Sequence[tuple[float, float]]
    """What is shown, half-open ``[begin, end)``, in order."""

    @cached_property
    def _before(self) -> list[float]:
        """What is shown before each stretch, and in all."""
        return [0.0, *accumulate(end - begin for begin, end in self.stretches)]

    @property
    def seconds(self) -> float:
        """How long all that is shown is."""
        return self._before[-1]

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """Return where, in shown seconds, time was cut out, and how much."""
        both = zip(self.stretches, self.stretches[1:], strict=False)
        return [(self._before[i], after - end) for i, ((_, end), (after, _)) in enumerate(both, 1)]

    def place(self, moment: float) -> float:
        """Return how many shown seconds lie before *moment*."""
        i = bisect_right(self.stretches, (moment, float("inf"))) - 1
        if i < 0:
            return 0.0
        begin, end = self.stretches[i]
        return self._before[i] + min(moment, end) - begin


def axis(tried: Sequence[Attempt]) -> Axis:
    """Return the time in which *tried* ran; a pause of more than a tenth of it (and a second) is cut out."""
    busy: list[tuple[float, float]] = []
    for begin, end in sorted((one.appeared, one.end) for one in tried):
        if busy and begin <= busy[-1][1]:
            busy[-1] = (busy[-1][0], max(busy[-1][1], end))
        else:
            busy.append((begin, end))
    most = max(PAUSE_S, PAUSE_SHARE * sum(end - begin for begin, end in busy))
    shown: list[tuple[float, float]] = []
    for begin, end in busy:
        if shown and begin - shown[-1][1] <= most:
            shown[-1] = (shown[-1][0], end)
        else:
            shown.append((begin, end))
    return Axis(shown)


def last_done(tried: Iterable[Attempt]) -> dict[int, Attempt]:
    """Return the attempt by which each chunk was done, by chunk."""
    found = {one.chunk: one for one in sorted(tried, key=lambda one: one.end) if one.ended == "done"}
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Straggler:
    """A chunk that took more than twice the time that the others let one expect."""

    attempt: Attempt
    expected_s: float

    @property
    def times(self) -> float:
        """How many times as long as expected it took."""
        return self.attempt.wall_s / self.expected_s


RULE = "took more than twice the median seconds per weight, and more than twice the median time"


def stragglers(done: Iterable[Attempt], weights: Mapping[int, float]) -> list[Straggler]:
    """Return the attempts that took more than twice what the others let one expect, the worst first.

    Expected is the median of seconds per weight times the chunk's weight, but no less than the median of seconds:
    a light chunk is not slow because it takes its share of what every chunk costs. Fewer than four tell nothing.
    """
    timed = [one for one in done if one.wall_s > 0 and weights.get(one.chunk, 0) > 0]
    if len(timed) < STRAGGLERS_FROM:
        return []
    usual = median(one.wall_s for one in timed)
    rate = median(one.wall_s / weights[one.chunk] for one in timed)
    found = [Straggler(one, max(usual, rate * weights[one.chunk])) for one in timed]
    slow = [one for one in found if one.attempt.wall_s > STRAGGLES * one.expected_s]
    return sorted(slow, key=lambda one: (-one.times, one.attempt.chunk))
