"""Writing all chunks of a cloud by passing over it once: points are scattered to their chunks, and then gathered.

Every stretch of groups is decoded once, and its points are put, in the order of the chunks that they go to, into one
object: a *segment*. A chunk is then made from its slices of all segments, in the order of the sources, and from the
groups that it has whole; its file is the same, byte for byte, as `build` makes alone.

A segment: the 8 bytes ``cbscat\\x01\\n``, the number of boxes (8 bytes), how many points go to each (8 bytes each),
then the points. Numbers are little endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.errors import FormatError
from cbtool.partitioners.las.build import Reading, add_whole, marked, region_of, with_mark
from cbtool.partitioners.las.frame import into
from cbtool.partitioners.las.groups import Ints
from cbtool.partitioners.las.recipe import Box, Piece, Recipe, recipe_of, to_json
from cbtool.partitioners.las.records import Records
from cbtool.partitioners.las.writing import Writer
from cbtool.routing import Sorter
from cbtool.source import Source, coalesce

MAGIC = b"cbscat\x01\n"
STRETCH_POINTS = 1_000_000
"""How many points a task scatters: they are all in memory."""
WORTH = 1.2
"""How many times the sources' bytes chunks must read before scattering is less work."""


def is_worth(chunks: Sequence[Chunk]) -> bool:
    """Say whether reading each chunk alone reads so much more that one pass for all is less work."""
    sizes = {source.uri: source.size for chunk in chunks for source in chunk.sources}
    return len(chunks) > 1 and sum(chunk.n_bytes for chunk in chunks) > WORTH * sum(sizes.values())


def boxes_of(chunks: Sequence[Chunk]) -> list[Box]:
    """Return the different boxes of the chunks, in their order: those cut by ranks share one."""
    return list(dict.fromkeys(recipe_of(chunk).box for chunk in chunks))


def targets(chunks: Sequence[Chunk]) -> bytes:
    """Return what tasks need to know of all chunks."""
    first = recipe_of(chunks[0])
    return json.dumps({"boxes": boxes_of(chunks), "reach": first.reach, "only": first.only}).encode()


def stretches(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return tasks that together read, once, every group that no chunk has whole, in the order of the sources."""
    found = [
        one
        for source, piece in _members(chunks)
        for at, end in _runs(piece.count)
        if (one := _stretch(chunks[0], source, _slice(piece, at, end)))
    ]
    return [replace(one, chunk=number, of=len(found), name=f"segment-{number:05d}") for number, one in enumerate(found)]


def _members(chunks: Sequence[Chunk]) -> Iterator[tuple[SourceRanges, Piece]]:
    """Yield each source once, with those of its groups that must be decoded."""
    held: dict[str, tuple[SourceRanges, Piece, dict[int, tuple[int, int]]]] = {}
    for chunk in chunks:
        for source, piece in zip(chunk.sources, recipe_of(chunk).pieces, strict=True):
            of = held.setdefault(source.uri, (source, piece, {}))[2]
            whole = set(piece.whole.tolist())
            rows = zip(piece.start.tolist(), piece.length.tolist(), piece.count.tolist(), strict=True)
            of.update((start, (length, n)) for i, (start, length, n) in enumerate(rows) if i not in whole)
    order = {one.uri: number for number, one in enumerate(_in_order(chunks))}
    for uri in sorted(held, key=order.__getitem__):
        source, piece, of = held[uri]
        table = np.array([(start, *of[start]) for start in sorted(of)], np.int64).reshape(-1, 3)
        start, length, count = (np.ascontiguousarray(table[:, i]) for i in range(3))
        yield source, replace(piece, start=start, length=length, count=count, whole=np.zeros(0, np.int64))


def _in_order(chunks: Sequence[Chunk]) -> list[SourceRanges]:
    """Return all sources in the order of the cloud: each chunk names its own in that order, and the first always."""
    after: dict[str, set[str]] = {}
    by_uri: dict[str, SourceRanges] = {}
    for chunk in chunks:
        for number, source in enumerate(chunk.sources):
            by_uri.setdefault(source.uri, source)
            after.setdefault(source.uri, set()).update(one.uri for one in chunk.sources[:number])
    found: list[SourceRanges] = []
    placed: set[str] = set()
    while len(found) < len(by_uri):
        uri = next(uri for uri, before in after.items() if uri not in placed and before <= placed)
        found.append(by_uri[uri])
        placed.add(uri)
    return found


def _runs(count: Ints) -> Iterator[tuple[int, int]]:
    at = n = 0
    for i, one in enumerate(count.tolist()):
        if i > at and n + one > STRETCH_POINTS:
            yield at, i
            at, n = i, 0
        n += one
    if at < len(count):
        yield at, len(count)


def _slice(piece: Piece, at: int, end: int) -> Piece:
    return replace(piece, start=piece.start[at:end], length=piece.length[at:end], count=piece.count[at:end])


def _stretch(like: Chunk, source: SourceRanges, piece: Piece) -> Chunk:
    ranges = tuple(coalesce(list(zip(piece.start.tolist(), piece.length.tolist(), strict=True))))
    recipe = replace(recipe_of(like), pieces=(piece,), points_at=0, evlrs=(), ranks=None)
    return replace(
        like,
        sources=(replace(source, ranges=ranges),),
        parts=(PartOf("segment", (0,)),),
        records=int(piece.count.sum()),
        weight=int(piece.count.sum()),
        core=None,
        requests=len(ranges),
        n_bytes=sum(length for _, length in ranges),
        recipe=to_json(recipe),
    )


class Scatterer:
    """Sends points to the boxes of all chunks."""

    def __init__(self, said: bytes, recipe: Recipe) -> None:
        fields: Mapping[str, Any] = json.loads(said)
        self.boxes: list[Box] = [(a, b, c, d) for a, b, c, d in fields["boxes"]]
        self.sort = Sorter(self.boxes, recipe.reach or 0)
        self.recipe = recipe
        only = fields["only"]
        self.region = None if only is None else region_of(only, recipe.frame)

    def __call__(self, records: Records, piece: Piece) -> tuple[Records, Ints]:
        """Return the points that go to each box, box after box, as records of chunks' files, and how many those are."""
        records = into(records, piece.place, self.recipe.frame)
        x, y = np.ascontiguousarray(records["X"]), np.ascontiguousarray(records["Y"])
        if self.region is not None:
            kept = self.region.contains(x, y)
            records, x, y = records[kept], x[kept], y[kept]
        order, counts, beside = self.sort(x, y)
        marks = None if self.recipe.reach is None else beside
        return with_mark(records.take(order), marks, marked(self.recipe)), counts


def segment(chunk: Chunk, sources: Sequence[Source], said: bytes) -> Iterator[bytes]:
    """Yield the segment of one stretch; *said* is what `targets` says."""
    reading = Reading(chunk, sources)
    scatter = Scatterer(said, reading.recipe)
    found = [scatter(batch.records(), batch.piece) for batch in reading.batches()]
    counts = np.array([to_each for _, to_each in found], "<i8").reshape(-1, len(scatter.boxes))
    yield MAGIC + struct.pack("<Q", counts.shape[1]) + counts.sum(0).tobytes()
    ends = np.cumsum(counts, axis=1) * marked(reading.recipe).record_bytes
    blocks = [cast(bytes, records.view(np.uint8).data) for records, _ in found]  # not copied
    begins = [0] * len(blocks)
    for to in ends.T.tolist():
        for block, begin, end in zip(blocks, begins, to, strict=True):
            if begin < end:
                yield block[begin:end]
        begins = to


def read_counts(source: Source, n_boxes: int, record_bytes: int) -> Ints:
    """Return how many points a segment has for each box: one request. FormatError if it is not whole."""
    n = len(MAGIC) + 8 + 8 * n_boxes
    head = source.read(0, n) if source.size >= n else b""
    if not head.startswith(MAGIC) or struct.unpack_from("<Q", head, len(MAGIC))[0] != n_boxes:
        raise FormatError(f"{source.uri}: not a segment of these chunks", hint="begin anew: --force")
    counts = np.frombuffer(head, "<i8", n_boxes, len(MAGIC) + 8).astype(np.int64)
    if (counts < 0).any() or source.size != n + int(counts.sum()) * record_bytes:
        raise FormatError(f"{source.uri}: a segment that is not whole", hint="begin anew: --force")
    return counts


def gathered(chunks: Sequence[Chunk], segments: Sequence[Source]) -> list[Chunk]:
    """Return for each chunk one of the same file that is made from its slices of *segments*."""
    boxes = boxes_of(chunks)
    number_of = {box: number for number, box in enumerate(boxes)}
    record_bytes = marked(recipe_of(chunks[0])).record_bytes
    counts = np.array([read_counts(one, len(boxes), record_bytes) for one in segments], np.int64)
    counts = counts.reshape(len(segments), len(boxes))
    begin = (np.cumsum(counts, axis=1) - counts) * record_bytes + len(MAGIC) + 8 + 8 * len(boxes)
    length = counts * record_bytes
    found = []
    for chunk in chunks:
        target = number_of[recipe_of(chunk).box]
        slices = [
            SourceRanges(one.uri, one.version, one.size, ((int(begin[i, target]), int(length[i, target])),))
            for i, one in enumerate(segments)
            if length[i, target]
        ]
        found.append(_gathering(chunk, slices))
    return found


def _gathering(chunk: Chunk, slices: Sequence[SourceRanges]) -> Chunk:
    recipe = recipe_of(chunk)
    sources, pieces = [], []
    for number, (source, piece) in enumerate(zip(chunk.sources, recipe.pieces, strict=True)):
        if number and not len(piece.whole):
            continue
        kept = replace(
            piece,
            start=piece.start[piece.whole],
            length=piece.length[piece.whole],
            count=piece.count[piece.whole],
            whole=np.arange(len(piece.whole)),
        )
        wanted = list(zip(kept.start.tolist(), kept.length.tolist(), strict=True))
        wanted += [] if number else [(0, recipe.points_at), *recipe.evlrs]
        sources.append(replace(source, ranges=tuple(coalesce(wanted))))
        pieces.append(kept)
    made = to_json(replace(recipe, pieces=tuple(pieces)))
    sources += slices
    return replace(
        chunk,
        sources=tuple(sources),
        parts=(PartOf(chunk.name, tuple(range(len(sources)))),),
        requests=sum(len(one.ranges) for one in sources),
        n_bytes=sum(length for one in sources for _, length in one.ranges),
        recipe=made | {"n_slices": len(slices)},
    )


def gather(chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the file of a chunk of `gathered`."""
    n = int(chunk.recipe.get("n_slices", 0))
    n_files = len(chunk.sources) - n
    reading = Reading(
        replace(chunk, sources=chunk.sources[:n_files], parts=(PartOf(chunk.name, tuple(range(n_files))),)), sources
    )
    frame = marked(reading.recipe)
    writer = Writer(frame, compressed=reading.recipe.compressed)
    for batch in reading.batches():
        add_whole(writer, batch)
    rank = 0
    for planned, source in zip(chunk.sources[n_files:], sources[n_files:], strict=True):
        for start, length in planned.ranges:
            records = np.frombuffer(source.read(start, length), frame.dtype)
            if reading.recipe.ranks is not None:
                records, rank = _ranked(records, rank, reading.recipe)
            writer.add(records)
    yield from reading.blocks(writer)


def points(chunk: Chunk, sources: Sequence[Source]) -> Iterator[Records]:
    """Yield the points of a chunk of `gathered` that has overlap, in blocks, as the records of its file.

    What of them is core is not told where chunks share a box: this is for those who take all points alike.
    """
    n_files = len(chunk.sources) - int(chunk.recipe["n_slices"])
    recipe = recipe_of(replace(chunk, sources=chunk.sources[:n_files]))
    if recipe.reach is None or any(len(piece.start) for piece in recipe.pieces):
        raise FormatError(f"chunk {chunk.chunk}: it has no overlap", hint="make the plan again: --overlap")
    for planned, source in zip(chunk.sources[n_files:], sources[n_files:], strict=True):
        for start, length in planned.ranges:
            yield np.frombuffer(source.read(start, length), marked(recipe).dtype)


def _ranked(records: Records, rank: int, recipe: Recipe) -> tuple[Records, int]:
    """Return those of a box's points that are the chunk's, or its overlap, and the rank of the next one."""
    assert recipe.ranks is not None
    first, last = recipe.ranks
    if recipe.reach is None:
        return records[max(0, first - rank) : max(0, last - rank)], rank + len(records)
    flat = records.view(np.uint8).reshape(-1, records.dtype.itemsize).copy()
    inside = flat[:, -1] == 0
    ranks = rank + np.cumsum(inside) - 1
    flat[:, -1] |= (inside & ((ranks < first) | (ranks >= last))).astype(np.uint8)
    return flat.reshape(-1).view(records.dtype), rank + int(inside.sum())
