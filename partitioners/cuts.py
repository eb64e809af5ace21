"""Finds where the line of all sources of a plan is cut: at records, as near to even weights as asked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from cbtool import split
from cbtool.asked import Options
from cbtool.errors import UsageError
from cbtool.partitioners.container import Container, Marks, Place, is_after
from cbtool.partitioners.grammar import Grammar
from cbtool.source import Source

Found = TypeVar("Found")

SLACK = 0.009
"""A cut may lie this part of a chunk beside its target, where that saves reading."""


@dataclass(frozen=True)
class Track:
    """One source on the line along which is cut; *how* says how its records lie, as JSON."""

    source: Source
    container: Container
    grammar: Grammar
    how: Mapping[str, Any]
    marks: Marks | None
    empty: bool
    """Whether it is known to hold nothing."""

    def total(self, by: str) -> int:
        """Return the weight of all: exact from the index, else bytes as stored."""
        return int(self.marks.weights(by)[-1]) if self.marks else self.source.size


@dataclass(frozen=True)
class Cut:
    """A place on the line: before the record at *place* of track number *track*."""

    track: int
    place: Place


def asked(tracks: Sequence[Track], by: str, options: Options) -> list[Cut]:
    """Return the cuts that *options* ask for."""
    total = sum(track.total(by) for track in tracks)
    wanted = targets(total, sum(track.source.size for track in tracks), options)
    found = find(tracks, wanted, by, 0 if options.records else SLACK * total / (len(wanted) + 1))
    if wanted and not found and options.on_the_fly and not tracks[0].container.free:
        raise UsageError(
            f"{tracks[0].source.uri}: cannot be cut on the fly: no gzip member begins near a cut",
            hint="leave out --on-the-fly: one pass makes an index",
        )
    return found


def targets(total: int, read_bytes: int, options: Options) -> list[int]:
    """Return the weights at which to cut, as `--chunks`, `--size` or `--records` says; default 'auto'."""
    if options.records:
        return split.multiples(total, options.records)
    if options.size:
        return split.even(total, split.count_for_size(total, options.size))
    n = options.chunks if isinstance(options.chunks, int) else split.auto(read_bytes, options.workers)
    return split.even(total, n)


def find(tracks: Sequence[Track], wanted: Sequence[int], by: str, slack: float) -> list[Cut]:
    """Return the cuts nearest to the *wanted* weights: sorted, none twice, none at either end.

    A cut may lie up to *slack* (in weight) beside its target where that needs no decoding.
    """
    before = list(accumulate((track.total(by) for track in tracks), initial=0))

    def cut_at(target: int) -> Cut | None:
        number = bisect_right(before, target) - 1
        return _cut(tracks, number, target - before[number], by, slack)

    found: list[Cut] = []
    for cut in at_once(cut_at, wanted, tracks[0].source.readers):
        if cut and (not found or _after(cut, found[-1])):
            found.append(cut)
    return found


def at_once(function: Callable[[int], Found], targets: Sequence[int], readers: int) -> Iterator[Found]:
    """Yield what *function* finds for each target, in order; with some *readers*, so many are sought at once."""
    if readers == 1:
        yield from map(function, targets)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(readers) as pool:
        yield from pool.map(function, targets)


def _after(one: Cut, other: Cut) -> bool:
    if one.track == other.track:
        return is_after(one.place, other.place)
    return one.track > other.track


def _cut(tracks: Sequence[Track], number: int, target: int, by: str, slack: float) -> Cut | None:
    """Return the cut nearest to *target* in one track; its end is the begin of the next that holds anything."""
    track = tracks[number]
    if target == 0:
        place: Place | None = track.container.begin()
    elif track.marks:
        from cbtool.partitioners.nearest import nearest

        place = nearest(track, target, by, slack)
    else:
        place = track.container.sync(track.source, target, track.grammar)
    if place is None:
        later = next((i for i in range(number + 1, len(tracks)) if tracks[i].source.size), None)
        return Cut(later, tracks[later].container.begin()) if later is not None else None
    at_begin = place.offset == 0 if place.offset is not None else not (place.at or place.skip)
    return Cut(number, place) if number or not at_begin else None
