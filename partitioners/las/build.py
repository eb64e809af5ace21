"""Makes the file of one chunk of a cloud, from the bytes that its plan names and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.partitioners.las.frame import Frame, into, spatial
from cbtool.partitioners.las.groups import records_of
from cbtool.partitioners.las.header import Vlr, parse, parse_evlrs
from cbtool.partitioners.las.recipe import Box, Piece, Recipe, recipe_of
from cbtool.partitioners.las.records import Records, dtype_of
from cbtool.partitioners.las.writing import Writer, with_overlap_byte
from cbtool.source import Source

if TYPE_CHECKING:
    from cbtool.region import Placed

AT_ONCE_POINTS = 250_000
"""How many points are decoded at once at the most, but for a group that has more."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Adjacent groups of one piece, as they are encoded."""

    piece: Piece
    first: int
    """Which of the piece's groups it begins with."""
    counts: list[int]
    lengths: list[int]
    data: memoryview
    where: str

    def records(self, selection: object = None) -> Records:
        """Return the points, as records of the piece's file."""
        dtype = dtype_of(self.piece.point_format, self.piece.record_bytes)
        return records_of(self.data, self.piece.laszip, self.counts, self.lengths, dtype, self.where, selection)


class Reading:
    """Reads a chunk's ranges, each once and in order, and hands out what lies in them."""

    def __init__(self, chunk: Chunk, sources: Sequence[Source]) -> None:
        self.chunk, self.sources, self.recipe = chunk, sources, recipe_of(chunk)
        self.head = b""
        self._evlrs: dict[tuple[int, int], bytes] = {}

    def batches(self) -> Iterator[Batch]:
        """Yield all groups in order, a few at a time; meanwhile head and extended records are kept."""
        recipe = self.recipe
        for number, (piece, planned) in enumerate(zip(recipe.pieces, self.chunk.sources, strict=True)):
            at = 0
            for start, length in planned.ranges:
                data = memoryview(self.sources[number].read(start, length))
                if not number:
                    self._keep(start, data)
                end = int(np.searchsorted(piece.start, start + length))
                if at < end and (
                    piece.start[at] < start or piece.start[end - 1] + piece.length[end - 1] > start + length
                ):
                    raise self._wrong()
                yield from _cut(piece, at, end, start, data, planned.uri)
                at = end
            if at != len(piece.start):
                raise self._wrong()

    def _keep(self, start: int, data: memoryview) -> None:
        if start == 0:
            self.head = bytes(data[: self.recipe.points_at])
        for at, length in self.recipe.evlrs:
            if start <= at and at + length <= start + len(data):
                self._evlrs[at, length] = bytes(data[at - start : at - start + length])

    def _wrong(self) -> FormatError:
        return FormatError(f"chunk {self.chunk.chunk}: its groups do not lie in its ranges", hint="make the plan again")

    def evlrs(self) -> list[Vlr]:
        """Return the extended records, once all is read."""
        if set(self._evlrs) != set(self.recipe.evlrs):
            raise self._wrong()
        where = self.chunk.sources[0].uri
        return [parse_evlrs(self._evlrs[one], one[0], 1, where)[0] for one in self.recipe.evlrs]

    def blocks(self, writer: Writer) -> Iterator[bytes]:
        """Yield the file of the points that *writer* has."""
        base = self.chunk.sources[0]
        header = parse(self.head, base.size, base.uri)
        if self.recipe.reach is not None:
            header = with_overlap_byte(header, base.uri)
        yield from writer.blocks(header, self.evlrs())


def _cut(piece: Piece, at: int, end: int, start: int, data: memoryview, where: str) -> Iterator[Batch]:
    """Yield the groups from *at* to *end* in batches: adjacent ones that are all whole or all not."""
    whole = np.zeros(len(piece.start), np.bool_)
    whole[piece.whole] = True
    ends = piece.start + piece.length
    while at < end:
        last, n = at + 1, int(piece.count[at])
        while (
            last < end
            and piece.start[last] == ends[last - 1]
            and whole[last] == whole[at]
            and n + piece.count[last] <= AT_ONCE_POINTS
        ):
            n += int(piece.count[last])
            last += 1
        span = data[int(piece.start[at]) - start : int(ends[last - 1]) - start]
        yield Batch(piece, at, piece.count[at:last].tolist(), piece.length[at:last].tolist(), span, where)
        at = last


class Selector:
    """Tells which points of a cloud are a chunk's own, and which it carries besides; points come in order."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self._rank = recipe, 0
        self._region = None
        if recipe.only is not None:
            self._region = region_of(recipe.only, recipe.frame)

    def __call__(self, records: Records, piece: Piece) -> tuple[Records, Bools | None]:
        """Return the chunk's points among *records*, in its frame, and which are overlap (None: there is none)."""
        recipe = self.recipe
        x, y = spatial(records, piece.place)
        core = _inside(x, y, recipe.box)
        if self._region is not None:
            in_region = self._region.contains(x, y)
            core &= in_region
        if recipe.ranks is not None:
            rank = np.cumsum(core) + (self._rank - 1)
            self._rank += int(core.sum())
            core &= (rank >= recipe.ranks[0]) & (rank < recipe.ranks[1])
        if recipe.reach is None:
            return into(records[core] if not core.all() else records, piece.place, recipe.frame), None
        carried = _inside(x, y, recipe.wide)
        if self._region is not None:
            carried &= in_region
        return into(records[carried], piece.place, recipe.frame), ~core[carried]


def region_of(only: Mapping[str, Any], frame: Frame) -> Placed:
    """Return the region of a recipe, for integers of the frame."""
    from cbtool.region import from_json

    return from_json(only).to_units(frame.scale[:2], frame.offset[:2])


def _inside(x: NDArray[Any], y: NDArray[Any], box: Box) -> Bools:
    x0, y0, x1, y1 = box
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def points(chunk: Chunk, sources: Sequence[Source], selection: object = None) -> Iterator[tuple[Records, Bools | None]]:
    """Yield the points of *chunk* in blocks, in its frame's dtype, and which of them are overlap (None: none is).

    *selection* (of lazrs) may leave out fields: they are then zero, or not, as the point format has it.
    """
    reading = Reading(chunk, sources)
    select = Selector(reading.recipe)
    for batch in reading.batches():
        found = select(batch.records(selection), batch.piece)
        if len(found[0]):
            yield found


def build(chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the chunk as a LAS or LAZ file: groups that it has whole, as they are; then all other points in order."""
    reading = Reading(chunk, sources)
    recipe = reading.recipe
    select, frame = Selector(recipe), marked(recipe)
    writer = Writer(frame, compressed=recipe.compressed)
    others: list[Records] = []
    for batch in reading.batches():
        if len(batch.piece.whole) and batch.first in batch.piece.whole:
            add_whole(writer, batch)
            continue
        records, overlap = select(batch.records(), batch.piece)
        others.append(with_mark(records, overlap, frame))
        if not recipe.compressed:
            writer.add(others.pop())
    for records in others:
        writer.add(records)
    yield from reading.blocks(writer)


def add_whole(writer: Writer, batch: Batch) -> None:
    """Give *writer* the groups of *batch* as they are."""
    from cbtool.partitioners.las.codec import PLACES

    records, at, point = batch.records(PLACES), 0, 0
    for count, length in zip(batch.counts, batch.lengths, strict=True):
        writer.add_whole(batch.data[at : at + length], records[point : point + count])
        at, point = at + length, point + count


def marked(recipe: Recipe) -> Frame:
    """Return the frame of the chunk's file: with an extra byte if there is overlap to be told."""
    frame = recipe.frame
    return frame if recipe.reach is None else replace(frame, record_bytes=frame.record_bytes + 1)


def with_mark(records: Records, overlap: Bools | None, frame: Frame) -> Records:
    """Return *records* with the extra byte `OVERLAP` behind each, of the dtype of *frame*."""
    if overlap is None:
        return records
    made = np.empty(len(records), [("record", f"V{frame.record_bytes - 1}"), ("mark", "u1")])
    made["record"] = np.ascontiguousarray(records).view(made.dtype["record"])
    made["mark"] = overlap
    return made.view(frame.dtype)
