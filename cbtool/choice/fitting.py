"""Finds out from tasks that were done what tasks take. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from cbtool.choice.model import Line, Rates
from cbtool.errors import UsageError

SCATTER = 0.05
"""How much tasks of one size are taken to differ in time (one standard deviation): machines are never quite quiet."""
APART = 1.5
"""By what factor sizes must differ for the fixed part of a time to be told from the part that grows."""
DISTURBANCE_S = 0.05
"""How long a task is held up now and then: what differs along the sources counts less where tasks are not long."""
MOST_POINTS = 200
MOST_PACES = 64


@dataclass(frozen=True)
class Sample:
    """How one task went. Times are in seconds; *place* is its middle along all weights, from 0 to 1."""

    weight: int
    place: float
    seconds: float
    """As the driver saw it, from submission to end."""
    wall_s: float
    """As the worker saw it."""
    first: bool = False
    """Whether its worker was started for it."""
    cpu_s: float = 0.0
    peak_bytes: float = 0.0
    read_bytes: float = 0.0
    read_s: float = 0.0
    written_bytes: float = 0.0
    write_s: float = 0.0
    writes: int = 1
    requests: int = 1


def fit_line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line through *points* (weight, value), neither part below 0.

    The slope is the median of those between points of which one has `APART` times the weight of the other, so that a
    stray point does not bend it (Theil and Sen); without such points all is taken to grow.

    >>> fit_line([(0, 2.0), (10, 4.0), (20, 6.0)])
    Line(fixed=2.0, slope=0.2)
    """
    if not points:
        return Line()
    step = -(-len(points) // MOST_POINTS)
    some = sorted(points)[::step]
    slopes = [(d - b) / (c - a) for i, (a, b) in enumerate(some) for c, d in some[i + 1 :] if c > APART * a]
    if not slopes:
        weights = sum(weight for weight, _ in points)
        return Line(0.0, sum(value for _, value in points) / weights if weights else 0.0)
    slope = max(0.0, median(slopes))
    return Line(max(0.0, median(value - slope * weight for weight, value in some)), slope)


def can_tell(samples: Iterable[Sample]) -> bool:
    """Say whether *samples* can tell the fixed part of a time from the part that grows."""
    weights = [sample.weight for sample in samples if not sample.first]
    return bool(weights) and max(weights) > APART * min(weights)


def fit(samples: Sequence[Sample]) -> Rates:
    """Return what *samples* say tasks take; UsageError if there are none."""
    if not samples:
        raise UsageError("nothing was measured", hint="name a run that has done some chunks: --like DEST")
    warm = [sample for sample in samples if not sample.first] or list(samples)
    fixed_s = _fixed_s(warm)
    slope, pace = _along(warm, fixed_s)
    task = Line(fixed_s, slope)
    large = [sample for sample in warm if sample.weight * 2 >= max(one.weight for one in warm)]
    overhead_s = median(max(0.0, one.seconds - one.wall_s) for one in warm)
    first = [
        one.seconds - overhead_s - task.at(one.weight) for one in samples if one.first and len(warm) < len(samples)
    ]
    return Rates(
        task,
        overhead_s,
        max(0.0, median(first)) if first else 0.0,
        sum(one.cpu_s for one in large) / max(1e-9, sum(one.wall_s for one in large)),
        fit_line([(one.weight, one.peak_bytes) for one in warm]),
        fit_line([(one.weight, one.written_bytes) for one in warm]),
        _per_second([(one.read_bytes, one.read_s) for one in large]),
        _per_second([(one.written_bytes, one.write_s) for one in large]),
        sum(one.writes for one in samples) / len(samples),
        pace,
        SCATTER,
    )


def _per_second(pairs: Sequence[tuple[float, float]]) -> float:
    seconds = sum(s for _, s in pairs)
    return sum(n for n, _ in pairs) / seconds if seconds > 0 else 0.0


def _fixed_s(samples: Sequence[Sample]) -> float:
    """Return the fixed part of the time: of sizes that differ at the same place, if there are any, else of all."""
    pairs = [
        (one, more)
        for group in _by_place(samples)
        for one in group
        for more in group
        if more.weight > APART * one.weight
    ]
    if not pairs:
        return fit_line([(one.weight, one.wall_s) for one in samples]).fixed
    slopes = [max(0.0, (more.wall_s - one.wall_s) / (more.weight - one.weight)) for one, more in pairs]
    return max(0.0, median(one.wall_s - slope * one.weight for (one, _), slope in zip(pairs, slopes, strict=True)))


def _by_place(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return *samples* grouped by where they lie, in order."""
    bins: dict[int, list[Sample]] = {}
    for one in samples:
        bins.setdefault(min(int(one.place * MOST_PACES), MOST_PACES - 1), []).append(one)
    return [bins[number] for number in sorted(bins)]


def _along(samples: Sequence[Sample], fixed_s: float) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the mean time for a unit of weight, and how it differs along the sources: `Rates.pace`.

    Every stretch counts as much as it is long, however often it was measured.
    """
    groups = _by_place(samples)
    work = [sum(max(0.0, one.wall_s - fixed_s) for one in group) for group in groups]
    weights = [max(1, sum(one.weight for one in group)) for group in groups]
    mean = sum(work) / sum(weights)
    if len(groups) < 4 or not mean:
        return mean, ((1.0, 1.0),)
    middles = [sum(one.place for one in group) / len(group) for group in groups]
    ends = [(a + b) / 2 for a, b in zip(middles, middles[1:], strict=False)] + [1.0]
    lengths = [end - start for end, start in zip(ends, [0.0, *ends], strict=False)]
    trust = [one / (one + DISTURBANCE_S * len(group)) for one, group in zip(work, groups, strict=True)]
    times = [one / weight for one, weight in zip(work, weights, strict=True)]
    mean = sum(length * one for length, one in zip(lengths, times, strict=True))
    times = [1 + much * (one / mean - 1) for much, one in zip(trust, times, strict=True)]
    whole = sum(length * one for length, one in zip(lengths, times, strict=True))
    return mean, tuple((end, one / whole) for end, one in zip(ends, times, strict=True))
