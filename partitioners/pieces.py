"""Makes chunks from cuts, and streams them back: a chunk is a run of pieces, one for each source that it crosses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.errors import FormatError
from cbtool.naming import numbered
from cbtool.partitioners.container import Place, is_after
from cbtool.partitioners.cuts import Cut, Track
from cbtool.partitioners.grammar import Grammar
from cbtool.partitioners.gzip.container import Gzip
from cbtool.partitioners.plain import Plain
from cbtool.source import Source

CONTAINERS = {"plain": Plain.open, "gzip": Gzip.open}


def runs(tracks: Sequence[Track], first: Cut | None, last: Cut | None) -> Iterator[tuple[Track, Place, Place]]:
    """Yield ``(track, from, to)`` for each source that lies between two cuts; *last* None is the end of all."""
    assert first
    stop = last.track if last else len(tracks) - 1
    for number in range(first.track, stop + 1):
        track = tracks[number]
        a = first.place if number == first.track else track.container.begin()
        b = last.place if last and number == last.track else track.container.end(track.source, track.marks)
        if is_after(b, a):
            yield track, a, b


class Lane:
    """What one part of every chunk is made from: sources in order, cut at as many places as other lanes.

    *cuts* begins with the begin of the first source and ends with None, the end of the last.
    """

    def __init__(self, tracks: Sequence[Track], cuts: Sequence[Cut | None], stem: str, suffix: str, by: str) -> None:
        self.tracks, self.cuts, self.stem, self.suffix, self.by = tracks, cuts, stem, suffix, by
        exact = all(track.marks for track in tracks)
        self._weights = list(accumulate((track.total(by) for track in tracks), initial=0))
        self._records = list(accumulate((track.total("records") for track in tracks), initial=0)) if exact else None

    def before(self, cut: Cut | None) -> tuple[int | None, int]:
        """Return how many records (None where that is not known) and how much weight lie before a cut."""
        number = cut.track if cut else len(self.tracks)
        weight = self._weights[number] + (cut.place.weight if cut else 0)
        if self._records is None:
            return None, weight
        return self._records[number] + (cut.place.record or 0 if cut else 0), weight


def make(lanes: Sequence[Lane], number: int, stem: str, form: str, how: Mapping[str, Any]) -> Chunk:
    """Return chunk *number*: one part from each lane, between its cuts *number* and *number* + 1.

    *how* says how the records of all sources lie.
    """
    of = len(lanes[0].cuts) - 1
    sources: list[SourceRanges] = []
    found: list[dict[str, Any]] = []
    parts = []
    for part, lane in enumerate(lanes):
        begin = len(sources)
        for track, a, b in runs(lane.tracks, lane.cuts[number], lane.cuts[number + 1]):
            one, recipe = track.container.piece(track.source, track.marks, a, b)
            found.append({"part": part, "source": len(sources), "begin": a == track.container.begin(), **recipe})
            sources.append(SourceRanges(track.source.uri, track.source.version, track.source.size, (one,)))
        parts.append(PartOf(numbered(lane.stem, number, of) + lane.suffix, tuple(range(begin, len(sources)))))
    edges = [(lane.before(lane.cuts[number]), lane.before(lane.cuts[number + 1])) for lane in lanes]
    (first, begin_weight), (last, end_weight) = edges[0]
    exact = first is not None and last is not None
    return Chunk(
        plan="",
        chunk=number,
        of=of,
        format=form,
        exact=exact,
        name=numbered(stem, number, of) + lanes[0].suffix,
        sources=tuple(sources),
        parts=tuple(parts),
        records=sum((b or 0) - (a or 0) for (a, _), (b, _) in edges) if exact else None,
        weight=sum(b - a for (_, a), (_, b) in edges),
        by=lanes[0].by,
        core={"records": [first, last]} if exact else {"bytes": [begin_weight, end_weight]},
        overlap=None,
        requests=sum(length > 0 for source in sources for _, length in source.ranges),
        n_bytes=sum(length for source in sources for _, length in source.ranges),
        recipe={"how": dict(how), "pieces": found},
    )


def build(chunk: Chunk, grammar: Grammar, part: int, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the plain bytes of one part of *chunk*.

    Each file begins with the grammar's prefix, once; a source that lacks its last newline gets one if more follows.
    """
    last = grammar.newline
    if grammar.prefix:
        yield grammar.prefix
    for piece in recipe_pieces(chunk):
        if piece["part"] != part:
            continue
        number = piece["source"]
        blocks = CONTAINERS[piece["kind"]](sources[number], chunk.sources[number].ranges[0], piece)
        blocks = _without(blocks, grammar.prefix) if grammar.prefix and piece["begin"] else blocks
        first = next(blocks, b"")
        if first and not last.endswith(grammar.newline):
            yield grammar.newline
        for last in itertools.chain([first] if first else [], blocks):
            yield last


def recipe_pieces(chunk: Chunk) -> list[dict[str, Any]]:
    """Return the pieces of a recipe, checked as far as all containers share them; FormatError if they are not right."""
    pieces = chunk.recipe.get("pieces")
    if isinstance(pieces, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("kind"), str)
        and one["kind"] in CONTAINERS
        and type(one.get("part")) is int
        and one["part"] in range(len(chunk.parts))
        and type(one.get("source")) is int
        and one["source"] in range(len(chunk.sources))
        and len(chunk.sources[one["source"]].ranges) == 1
        and isinstance(one.get("begin"), bool)
        for one in pieces
    ):
        return pieces
    raise FormatError(f"chunk {chunk.chunk}: its recipe is not one of {chunk.format}", hint="make the plan again")


def _without(blocks: Iterator[bytes], prefix: bytes) -> Iterator[bytes]:
    """Drop *prefix* from the beginning of a stream."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(prefix):
            yield head.removeprefix(prefix)
            yield from blocks
            return
    yield head.removeprefix(prefix)
