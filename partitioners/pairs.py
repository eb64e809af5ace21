"""Cuts the two mates of paired reads at the same record numbers, and checks that they are mates."""

from __future__ import annotations

import itertools
import os.path
import re
from collections.abc import Iterator, Sequence

import numpy as np

from cbtool.asked import Options
from cbtool.errors import FormatError, UsageError
from cbtool.naming import safe, stem_and_suffix
from cbtool.partitioners import cuts
from cbtool.partitioners.container import Place
from cbtool.partitioners.cuts import Cut, Track
from cbtool.partitioners.nearest import nearest
from cbtool.partitioners.pieces import Lane
from cbtool.source import Cached

PEEK_BYTES = 64 * 1024


MATE = re.compile(
    r"(?P<before>.*?[._-]R?)(?P<mate>[12])(?P<after>(?:_\d{3})?\.(?:fastq|fq)(?:\.[a-z]+)?)", re.IGNORECASE
)
"""Names of mates: ``reads_1.fq.gz``, ``S1_L001_R2_001.fastq``; the rest of the name is what the two share."""


def in_pairs(uris: Sequence[str]) -> list[str]:
    """Return R1, R2, R1, R2, …: two files as given, more by their names, and one with the mate that its name implies.

    >>> in_pairs(["a_R1.fq", "b_R1.fq", "a_R2.fq", "b_R2.fq"])
    ['a_R1.fq', 'a_R2.fq', 'b_R1.fq', 'b_R2.fq']
    >>> in_pairs(["s3://b/x_1.fastq.gz"])
    ['s3://b/x_1.fastq.gz', 's3://b/x_2.fastq.gz']
    """
    if len(uris) == 2:
        return list(uris)
    named: dict[tuple[str, str], dict[str, str]] = {}
    for uri in uris:
        match = MATE.fullmatch(uri)
        if not match:
            raise UsageError(f"{uri}: its name does not say which mate it is", hint="name two files: R1 R2")
        named.setdefault((match["before"], match["after"]), {})[match["mate"]] = uri
    if len(uris) == 1:
        (((before, after), one),) = named.items()
        return [one.get(mate, before + mate + after) for mate in "12"]
    alone = next((uri for mates in named.values() for uri in mates.values() if len(mates) != 2), None)
    if alone:
        raise UsageError(f"{alone}: its mate is not among the files", hint="name both mates of every pair")
    return [mates[mate] for mates in named.values() for mate in "12"]


def lanes(tracks: Sequence[Track], by: str, options: Options) -> tuple[list[Lane], str]:
    """Return a lane for each mate, and the stem that the pair shares. *tracks* alternate: R1, R2, R1, R2, …

    FormatError if the totals of a pair differ, or the names at any cut.
    """
    if len(tracks) % 2:
        raise UsageError(f"paired reads come in twos, not {len(tracks)} files", hint="name R1 R2 (then the next pair)")
    ones, twos = tracks[0::2], tracks[1::2]
    for one, two in zip(ones, twos, strict=True):
        counts = one.total("records"), two.total("records")
        if counts[0] != counts[1]:
            raise FormatError(
                f"{one.source.uri} has {counts[0]} records, {two.source.uri} has {counts[1]}: not mates",
                hint="are they of one run, both whole?",
            )
    first: list[Cut | None] = [Cut(0, ones[0].container.begin())]
    second: list[Cut | None] = [Cut(0, twos[0].container.begin())]
    for cut, mate in _mates(ones, twos, by, options):
        first.append(cut)
        second.append(mate)
    for one, two in zip(ones, twos, strict=True):
        if not one.empty:
            _check_names(one, two, one.container.begin(), two.container.begin())
    stem, suffixes = _names(ones[0], twos[0], options)
    return [
        Lane(ones, [*first, None], f"{stem}_1", suffixes[0], by),
        Lane(twos, [*second, None], f"{stem}_2", suffixes[1], by),
    ], stem


def _names(one: Track, two: Track, options: Options) -> tuple[str, list[str]]:
    """Return what the names of two mates share, and their suffixes.

    ``reads_R1_001.fq`` and ``reads_R2_001.fq`` share ``reads``.
    """
    (stem, suffix), (other, other_suffix) = (stem_and_suffix(t.source.uri, t.grammar.suffix) for t in (one, two))
    shared = os.path.commonprefix([stem, other]).rstrip("Rr").rstrip("._-")
    return safe(options.name or shared or stem), [suffix, other_suffix]


def _mates(ones: Sequence[Track], twos: Sequence[Track], by: str, options: Options) -> Iterator[tuple[Cut, Cut]]:
    """Yield the cuts of both lanes, at the same records, that make the weights of both together even."""
    totals = [one.total(by) + two.total(by) for one, two in zip(ones, twos, strict=True)]
    if options.records or by == "records":
        totals = [one.total("records") for one in ones]
    before = np.cumsum([0, *totals])
    wanted = cuts.targets(int(before[-1]), sum(t.source.size for t in [*ones, *twos]), options)
    slack = 0 if options.records else cuts.SLACK * int(before[-1]) / (len(wanted) + 1)

    def mates_at(target: int) -> tuple[Cut, Cut] | None:
        i = int(np.searchsorted(before, target, "right")) - 1
        record = round(_record_at(ones[i], twos[i], target - int(before[i]), by))
        one = nearest(ones[i], record, "records", _records_in(ones[i], slack, by))
        if one is None and i + 1 < len(ones):
            i, one = i + 1, ones[i + 1].container.begin()
        if one is None or not (i or one.record):
            return None
        two = nearest(twos[i], one.record, "records", 0) if one.record else twos[i].container.begin()
        assert two
        _check_names(ones[i], twos[i], one, two)
        return _weighed(ones[i], Cut(i, one), by), _weighed(twos[i], Cut(i, two), by)

    last = (0, 0)
    for found in cuts.at_once(mates_at, wanted, ones[0].source.readers):
        if found and last < (found[0].track, found[0].place.record or 0):
            last = found[0].track, found[0].place.record or 0
            yield found


def _record_at(one: Track, two: Track, target: int, by: str) -> float:
    """Return the record number before which both mates together weigh about *target*."""
    assert one.marks and two.marks
    if by == "records":
        return target
    records = np.union1d(one.marks.record, two.marks.record)
    both = sum(np.interp(records, m.record, m.weights(by)) for m in (one.marks, two.marks))
    return float(np.interp(target, both, records))


def _records_in(track: Track, weight: float, by: str) -> float:
    """Return how many records of *track* weigh *weight* on average."""
    total = track.total(by)
    return 0 if by == "records" or not total else weight / 2 * track.total("records") / total


def _weighed(track: Track, cut: Cut, by: str) -> Cut:
    """Return *cut*, which was found by record number, with the weight before it."""
    assert track.marks and cut.place.record is not None
    if by == "records":
        return cut
    weight = cut.place.offset if by == "bytes" else np.interp(cut.place.record, track.marks.record, track.marks.third)
    return Cut(cut.track, Place(**{**vars(cut.place), "weight": int(weight or 0)}))


def _check_names(one: Track, two: Track, first: Place, second: Place) -> None:
    """Raise FormatError unless the records at both places carry the same name."""
    names = []
    for track, place in ((one, first), (two, second)):
        source = Cached(track.source, PEEK_BYTES)
        end = track.container.end(source, track.marks)
        span, recipe = track.container.piece(source, track.marks, place, end)
        blocks = track.container.open(source, span, {**recipe, "crc": None})
        names.append(track.grammar.name(b"".join(itertools.islice(blocks, 1))))
    if names[0] != names[1]:
        raise FormatError(
            f"record {(first.record or 0) + 1}: {one.source.uri} has {names[0].decode(errors='replace')!r}, "
            f"{two.source.uri} has {names[1].decode(errors='replace')!r}: not mates",
            hint="were both files filtered alike? re-pair them",
        )
