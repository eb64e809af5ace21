"""LAS to LAZ and back, LAZ of COPC: parts of a file that tasks make side by side, and the file they are joined to.

Every field of every point and every record is kept, and the order of points; groups that are compressed already are
copied as they are. A part: the 8 bytes ``cbpart\\x01\\n``, the size of a description (8 bytes), the description (JSON),
then the points as they lie in the file. Numbers are little endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.partitioners.las.build import Batch, Reading, points
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.groups import CHUNK_POINTS, file_of
from cbtool.partitioners.las.header import Header, pack_vlr, parse_evlrs
from cbtool.partitioners.las.promote import promoted
from cbtool.partitioners.las.records import Records
from cbtool.partitioners.las.thin import Cells, stays
from cbtool.partitioners.las.writing import WAVEFORMS, Counts, head_of, vlrs_of
from cbtool.source import Source

MAGIC = b"cbpart\x01\n"
HEAD = struct.Struct("<8sQ")
MOST_SAID_BYTES = 1 << 28
WAVEFORM_BITS = 0x06
"""Of the global encoding: waveforms lie in the file, or in one beside it."""


@dataclass(frozen=True)
class Goal:
    """What the points become: *is_compressed*, and of which *frame*."""

    frame: Frame
    is_compressed: bool

    @property
    def has_waveforms(self) -> bool:
        return self.frame.point_format in (4, 5, 9, 10)

    def to_json(self) -> dict[str, Any]:
        return {"compressed": self.is_compressed, **asdict(self.frame)}


def goal_of(chunk: Chunk) -> Goal:
    """Return what the recipe of *chunk* says that its points become."""
    try:
        said = chunk.recipe["goal"]
        (a, b, c), (d, e, f) = said["scale"], said["offset"]
        scale, offset = (float(a), float(b), float(c)), (float(d), float(e), float(f))
        return Goal(
            Frame(scale, offset, int(said["point_format"]), int(said["record_bytes"])), bool(said["compressed"])
        )
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"chunk {chunk.chunk}: not a recipe of a conversion", hint="begin anew: --force") from None


def part(chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the part of a file that the groups of *chunk* become."""
    goal, counts = goal_of(chunk), Counts()
    found = [one for batch in Reading(chunk, sources).batches() for one in _recoded(batch, goal, counts)]
    yield from _part(counts, found)


def thinned(chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the part of a file that *chunk* becomes when one point of each cell stays: its own of those.

    Its overlap must reach over the cells that it shares with others.
    """
    goal, cells, counts = goal_of(chunk), _cells(chunk), Counts()
    blocks, own = [], []
    for records, overlap in points(chunk, sources):
        blocks.append(records)
        own.append(np.ones(len(records), np.bool_) if overlap is None else ~overlap)
    if blocks:
        every = np.concatenate(blocks)
        kept = promoted(every[stays(every, cells) & np.concatenate(own)], goal.frame.point_format)
    else:
        kept = np.zeros(0, goal.frame.dtype)
    counts.add(kept)
    groups = [kept[at : at + CHUNK_POINTS] for at in range(0, len(kept), CHUNK_POINTS)]
    yield from _part(counts, [(len(some), encoded(some, goal)) for some in groups])


def _cells(chunk: Chunk) -> Cells:
    try:
        (a, b, c), (d, e, f), (g, h, i) = chunk.recipe["cells"]
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"chunk {chunk.chunk}: not a recipe of thinning", hint="begin anew: --force") from None
    return Cells((a, b, c), (d, e, f), (g, h, i))


def _part(counts: Counts, groups: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    table = [(n, len(data)) for n, data in groups]
    said = json.dumps({**vars(counts), "table": table}).encode()
    yield HEAD.pack(MAGIC, len(said)) + said
    for _, data in groups:
        yield data


def _recoded(batch: Batch, goal: Goal, counts: Counts) -> Iterator[tuple[int, bytes]]:
    """Yield the groups of *batch*, and how many points each has."""
    piece = batch.piece
    if goal.is_compressed and piece.laszip is not None and piece.point_format == goal.frame.point_format:
        from cbtool.partitioners.las.codec import PLACES

        counts.add(batch.records(PLACES))
        at = 0
        for n, length in zip(batch.counts, batch.lengths, strict=True):
            yield n, bytes(batch.data[at : at + length])
            at += length
        return
    records = promoted(batch.records(), goal.frame.point_format)
    counts.add(records)
    for some in _groups(records, batch.counts):
        yield len(some), encoded(some, goal)


def _groups(records: Records, counts: Sequence[int]) -> Iterator[Records]:
    at = 0
    for n in counts:
        yield records[at : at + n]
        at += n


def encoded(records: Records, goal: Goal) -> bytes:
    """Return *records* as they lie in the file: of compressed ones a chunk."""
    if not goal.is_compressed:
        return records.tobytes()
    from cbtool.partitioners.las.copc_parts import Encoder

    return Encoder(goal.frame)(records)


def read_part(source: Source) -> tuple[int, Mapping[str, Any]]:
    """Return where the points of a part begin, and what is said of them; FormatError if it is none."""
    magic, n_said = HEAD.unpack(source.read(0, HEAD.size)) if source.size >= HEAD.size else (b"", 0)
    if magic != MAGIC or n_said > min(MOST_SAID_BYTES, source.size - HEAD.size):
        raise FormatError(f"{source.uri}: not a part of a point cloud", hint="begin anew: --force")
    said: Mapping[str, Any] = json.loads(source.read(HEAD.size, n_said))
    at = HEAD.size + n_said
    if at + sum(length for _, length in said["table"]) != source.size:
        raise FormatError(f"{source.uri}: its points are not all there", hint="begin anew: --force")
    return at, said


def joined(chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the file: header and records of the first source, points of the parts that are the others."""
    base, parts = sources[0], [(source, *read_part(source)) for source in sources[1:]]
    try:
        points_at, laszip = int(chunk.recipe["points_at"]), chunk.recipe.get("laszip")
        ranges = [(int(at), int(length)) for at, length in chunk.recipe["evlrs"]]
        copied = bytes.fromhex(laszip) if laszip is not None else None
        is_whole = bool(chunk.recipe["is_whole"])
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"chunk {chunk.chunk}: not a recipe of a conversion", hint="begin anew: --force") from None
    header, goal = file_of(base, base.read(0, points_at), is_whole=is_whole).header, goal_of(chunk)
    evlrs = [parse_evlrs(base.read(*one), one[0], 1, base.uri)[0] for one in ranges]
    if not goal.has_waveforms:
        header, evlrs = without_waveforms(header), [one for one in evlrs if one.key != WAVEFORMS]
    table = [(n, length) for _, _, said in parts for n, length in said["table"]]
    counts, n_body, tail, record = added([said for _, _, said in parts]), sum(n for _, n in table), b"", None
    if goal.is_compressed:
        from cbtool.partitioners.las.codec import chunk_table

        record = _laszip(copied, goal, [n for n, _ in table])
        tail = chunk_table(table, record)
    vlrs = vlrs_of(header, record)
    yield head_of(header, evlrs, goal.frame, counts, vlrs, (n_body, tail), goal.is_compressed)
    for source, at, _ in parts:
        yield from source.stream(at, source.size - at)
    yield tail + b"".join(pack_vlr(one) for one in evlrs)


def added(said: Sequence[Mapping[str, Any]]) -> Counts:
    """Return the counts of all parts together."""
    full = [one for one in said if one["points"]]
    if not full:
        return Counts()
    return Counts(
        sum(one["points"] for one in full),
        [sum(column) for column in zip(*(one["by_return"] for one in full), strict=True)],
        [min(column) for column in zip(*(one["least"] for one in full), strict=True)],
        [max(column) for column in zip(*(one["most"] for one in full), strict=True)],
    )


def without_waveforms(header: Header) -> Header:
    """Return *header* without the records of waveforms, and without the bits that promise some."""
    from cbtool.partitioners.las.copc_file import is_of_waveforms

    encoding = header.global_encoding & ~WAVEFORM_BITS
    raw = bytearray(header.raw)
    struct.pack_into("<H", raw, 6, encoding)
    kept = tuple(vlr for vlr in header.vlrs if not is_of_waveforms(vlr))
    return replace(header, raw=bytes(raw), global_encoding=encoding, vlrs=kept)


def _laszip(copied: bytes | None, goal: Goal, counts: Sequence[int]) -> bytes:
    """Return the laszip record of chunks of so many points: of one size where they are, as most readers expect."""
    from cbtool.partitioners.las.codec import VARIABLE, new_laszip

    record = copied or new_laszip(goal.frame.point_format, goal.frame.n_extra)
    each = max(counts, default=CHUNK_POINTS)
    is_even = all(n == each for n in counts[:-1])
    return record[:12] + struct.pack("<I", each if is_even else VARIABLE) + record[16:]
