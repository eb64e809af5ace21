"""The parts of a COPC file that tasks make side by side, and how they lie.

Points are first routed: each stretch of the sources is decoded once, and its points are put, in the order of the cells
of a quadtree, into a segment. Counts of all segments tell where columns are cut; then each bundle of columns becomes
the nodes of its columns. What it has of nodes that other bundles share goes along as plain points; the last step
encodes those.

A segment: the 8 bytes ``cbsegm\\x01\\n``, the least and the greatest X, Y and Z (8 bytes each), the number of cells
that have points (8 bytes), cell and count of each (4 bytes each), then the points. The nodes of a bundle: the 8 bytes
``cbnode\\x01\\n``, the number of nodes and the size of a description (8 bytes each), the description (JSON), the table
of nodes, then their bytes. Numbers are little endian.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lazrs
import numpy as np
from numpy.typing import NDArray

from cbtool.chunk import Chunk
from cbtool.errors import FormatError, UsageError
from cbtool.partitioners.las.build import Reading
from cbtool.partitioners.las.codec import decode, new_laszip
from cbtool.partitioners.las.columns import Columns, cells, shallowest
from cbtool.partitioners.las.copc_layout import Layout
from cbtool.partitioners.las.cube import BITS, Cube, Ints
from cbtool.partitioners.las.frame import Frame, into
from cbtool.partitioners.las.octree import codes_of, octree
from cbtool.partitioners.las.promote import promoted
from cbtool.partitioners.las.records import Records
from cbtool.partitioners.las.writing import Counts
from cbtool.source import Source

SEGMENT, MAGIC = b"cbsegm\x01\n", b"cbnode\x01\n"
SEGMENT_HEAD = struct.Struct("<8s6qQ")
HEAD = struct.Struct("<8sQQ")
NODE = np.dtype([("key", "<i4", 4), ("length", "<i8"), ("count", "<i8"), ("is_shared", "<i8")])
MOST_HEAD_BYTES = 1 << 28
LAYERED_WAVEFORMS = (9, 10)
BLOCK_POINTS = 1 << 16
"""How many points are done at once where that can be few: their numbers stay in the processor's cache."""


def segment(chunk: Chunk, sources: Sequence[Source], layout: Layout) -> Iterator[bytes]:
    """Yield the points of one stretch in the order of the cells they are in, and as they were within each."""
    reading, cube = Reading(chunk, sources), layout.cube
    n = sum(int(piece.count.sum()) for piece in reading.recipe.pieces)
    records, cell = np.empty(n, layout.frame.dtype), np.empty(n, np.uint16)
    at = 0
    for batch in reading.batches():
        some = promoted(into(batch.records(), batch.piece.place, reading.recipe.frame), layout.frame.point_format)
        records[at : at + len(some)], cell[at : at + len(some)] = some, cells(some, cube, layout.cell_depth)
        at += len(some)
    counts = np.bincount(cell)
    full = np.flatnonzero(counts)
    ends = [int(end) for end in (*(records[a].min() for a in "XYZ"), *(records[a].max() for a in "XYZ"))]
    yield SEGMENT_HEAD.pack(SEGMENT, *ends, len(full)) + np.column_stack([full, counts[full]]).astype("<u4").tobytes()
    order = np.argsort(cell, kind="stable")
    for at in range(0, n, BLOCK_POINTS):
        yield records.take(order[at : at + BLOCK_POINTS]).tobytes()


@dataclass(frozen=True)
class Segment:
    """What the head of a segment says: the bounds of its points, how many each cell has, where they begin."""

    least: tuple[int, int, int]
    most: tuple[int, int, int]
    counts: Ints
    at: int


def read_segment(source: Source, layout: Layout) -> Segment:
    """Read the head of a segment: two requests. FormatError if it is none of *layout*."""
    n_cells = 4**layout.cell_depth
    head = source.read(0, SEGMENT_HEAD.size) if source.size >= SEGMENT_HEAD.size else bytes(SEGMENT_HEAD.size)
    magic, x, y, z, u, v, w, n = SEGMENT_HEAD.unpack(head)
    at = SEGMENT_HEAD.size + 8 * n
    if magic != SEGMENT or n > n_cells or at > source.size:
        raise FormatError(f"{source.uri}: not a segment of these points", hint="begin anew: --force")
    table = np.frombuffer(source.read(SEGMENT_HEAD.size, 8 * n), "<u4").reshape(n, 2).astype(np.int64)
    if (table[:, 0] >= n_cells).any() or at + int(table[:, 1].sum()) * layout.frame.record_bytes != source.size:
        raise FormatError(f"{source.uri}: its points are not all there", hint="begin anew: --force")
    counts = np.zeros(n_cells, np.int64)
    counts[table[:, 0]] = table[:, 1]
    return Segment((x, y, z), (u, v, w), counts, at)


def points_of(chunk: Chunk, sources: Sequence[Source], frame: Frame) -> Records:
    """Return the points of a bundle, from its slices of all segments, in the order of the sources."""
    size = sum(length for one in chunk.sources for _, length in one.ranges)
    if size % frame.record_bytes:
        raise FormatError(f"chunk {chunk.chunk}: its slices hold no whole points", hint="begin anew: --force")
    out = np.empty(size, np.uint8)
    at = 0
    for planned, source in zip(chunk.sources, sources, strict=True):
        for start, length in planned.ranges:
            out[at : at + length] = np.frombuffer(source.read(start, length), np.uint8)
            at += length
    return out.view(frame.dtype)


def nodes(records: Records, bundle: int, layout: Layout, columns: Columns) -> Iterator[bytes]:
    """Yield the nodes of a bundle of *columns* that has just these *records*."""
    cube = layout.cube
    codes = np.empty(len(records), np.int64)
    for at in range(0, len(records), BLOCK_POINTS):
        codes[at : at + BLOCK_POINTS] = codes_of(records[at : at + BLOCK_POINTS], cube)
    first = shallowest(columns)
    if first is not None:
        first = _looked_up(first, records, cube, BITS - columns.finest)
    depth = columns.depths[bundle]
    found = octree(codes, depth, cube.deepest, first)
    del codes, first
    table = np.zeros(len(found.counts), NODE)
    table["key"], table["count"] = found.keys, found.counts
    table["is_shared"] = found.keys[:, 0] < depth
    out, counts, ends = Encoder(layout.frame), Counts(), np.cumsum(found.counts)
    parts = []
    times = np.ascontiguousarray(records["gps_time"])
    for row, end in zip(table, ends.tolist(), strict=True):
        numbers = found.order[end - int(row["count"]) : end]
        mine = records.take(numbers.take(np.argsort(times.take(numbers), kind="stable")))
        counts.add(mine)
        parts.append(mine.tobytes() if row["is_shared"] else out(mine))
        row["length"] = len(parts[-1])
    said = json.dumps(description(counts, times)).encode()
    yield HEAD.pack(MAGIC, len(table), len(said)) + said + table.tobytes()
    yield from parts


def _looked_up(table: Any, records: Records, cube: Cube, shift: int) -> Any:
    x, y = (cube.places(records[name], axis) >> shift for axis, name in enumerate("XY"))
    return table[y, x]


def in_time(records: Records) -> Records:
    """Return *records* in the order of their GPS times, in which they take the least space; equal ones as they are."""
    order = np.argsort(records["gps_time"], kind="stable")
    return records.take(order)


def description(counts: Counts, times: NDArray[np.float64]) -> dict[str, Any]:
    """Return what the header of a file says of points, as JSON."""
    times = times[np.isfinite(times)]
    ends = [float(times.min()), float(times.max())] if len(times) else None
    return {**vars(counts), "gps_time": ends}


class Encoder:
    """Encodes chunks, each of any number of points."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        vlr = lazrs.LazVlr.new_for_compression(frame.point_format, frame.n_extra, True)
        self._out = io.BytesIO()
        self._compressor = lazrs.LasZipCompressor(self._out, vlr)
        self._compressor.reserve_offset_to_chunk_table()

    def __call__(self, records: Records) -> bytes:
        self._out.seek(0)
        self._out.truncate()
        self._compressor.compress_many(records.view(np.uint8))
        self._compressor.finish_current_chunk()
        data = self._out.getvalue()
        if self._frame.point_format in LAYERED_WAVEFORMS:
            self._check(records, data)
        return data

    def _check(self, records: Records, data: bytes) -> None:
        """Raise UsageError if *data* are not *records*: lazrs 0.8 mixes up waveforms of several scanner channels."""
        laszip = new_laszip(self._frame.point_format, self._frame.n_extra, is_variable=True)
        if decode(data, laszip, [len(records)], [len(data)], records.dtype, "a chunk").tobytes() != records.tobytes():
            raise UsageError(
                "points of several scanner channels with waveforms cannot be compressed without loss by lazrs",
                hint="--to las keeps all; --drop-waveform leaves out the waveforms",
            )


@dataclass(frozen=True)
class Bundle:
    """The nodes of a bundle, as they lie in an object."""

    source: Source
    table: Any
    at: Ints
    """Where the bytes of each node begin."""
    said: Mapping[str, Any]


def read_bundle(source: Source) -> Bundle:
    """Read the table of an object of nodes: two requests. FormatError if it is none."""
    magic, n, n_said = HEAD.unpack(source.read(0, HEAD.size)) if source.size >= HEAD.size else (b"", 0, 0)
    size = n_said + n * NODE.itemsize
    if magic != MAGIC or size > min(MOST_HEAD_BYTES, source.size - HEAD.size):
        raise FormatError(f"{source.uri}: not the nodes of an octree", hint="begin anew: --force")
    data = source.read(HEAD.size, size) if size else b""
    table = np.frombuffer(data, NODE, n, n_said)
    at = HEAD.size + size + np.cumsum(table["length"]) - table["length"]
    if n and int(at[-1] + table["length"][-1]) != source.size:
        raise FormatError(f"{source.uri}: its nodes are not all there", hint="begin anew: --force")
    return Bundle(source, table, at, json.loads(data[:n_said]))
