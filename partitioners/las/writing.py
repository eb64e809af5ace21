"""Writes a LAS or LAZ file: whole groups as they are, then points, under a header that says what is in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, cast

import numpy as np

from cbtool.errors import UsageError
from cbtool.partitioners.las.extra_bytes import UINT8, entry_of, filling
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.groups import CHUNK_POINTS
from cbtool.partitioners.las.header import COMPRESSED, EXTRA_BYTES, LASZIP, WKT, WKT_BIT, Header, Vlr, pack_vlr
from cbtool.partitioners.las.records import Records, return_number

SPOOL_BYTES = 64 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
WAVEFORMS = ("LASF_Spec", 65535)
OVERLAP = "cbtool_overlap"
"""The extra byte that tells a chunk's own points (0) from those that it carries (1). Not just "overlap": whoever asks
laspy for that gets the flag of point formats 6 to 10, which belongs to the data."""
MOST_VLR_BYTES = 0xFFFF


@dataclass
class Counts:
    """What the header says of the points: how many, of which return, and from where to where (integers)."""

    points: int = 0
    by_return: list[int] = field(default_factory=lambda: [0] * 16)
    least: list[int] = field(default_factory=lambda: [2**31 - 1] * 3)
    most: list[int] = field(default_factory=lambda: [-(2**31)] * 3)

    def add(self, records: Records) -> None:
        if not len(records):
            return
        self.points += len(records)
        found = np.bincount(return_number(records), minlength=16)
        self.by_return = [a + int(b) for a, b in zip(self.by_return, found, strict=True)]
        for axis, name in enumerate("XYZ"):
            values = np.ascontiguousarray(records[name])
            self.least[axis] = min(self.least[axis], int(values.min()))
            self.most[axis] = max(self.most[axis], int(values.max()))


class Spool:
    """Keeps blocks of bytes until they are asked for: in memory, and from `SPOOL_BYTES` on in a nameless file."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self._held: list[bytes | memoryview] = []
        self._file: IO[bytes] | None = None

    def write(self, block: bytes | memoryview) -> None:
        self.n_bytes += len(block)
        self._held.append(block)
        if self.n_bytes > SPOOL_BYTES:
            self._file = self._file or TemporaryFile()
            self._file.writelines(self._held)
            self._held = []

    def blocks(self) -> Iterator[bytes]:
        """Yield what was written, once."""
        if self._file is not None:
            with self._file as file:
                file.seek(0)
                while block := file.read(BLOCK_BYTES):
                    yield block
        yield from cast(list[bytes], self._held)


class Writer:
    """Takes the points of one file, and gives its bytes. Memory does not depend on how many they are."""

    def __init__(self, frame: Frame, *, compressed: bool) -> None:
        self.frame = frame
        self.counts = Counts()
        self._body = Spool()
        self._laszip = None
        self._table: list[tuple[int, int]] = []
        self._has_whole = False
        self._waiting: list[Records] = []
        self._n_waiting = 0
        if compressed:
            from cbtool.partitioners.las.codec import new_laszip

            self._laszip = new_laszip(frame.point_format, frame.n_extra)

    def add_whole(self, data: bytes | memoryview, records: Records) -> None:
        """Take a group as it is encoded; *records* are its points, of which only places and returns must be right."""
        assert not self._n_waiting and self._laszip is not None
        self._body.write(data)
        self._table.append((len(records), len(data)))
        self._has_whole = True
        self.counts.add(records)

    def add(self, records: Records) -> None:
        """Take points, of the frame's dtype."""
        if not len(records):
            return
        self.counts.add(records)
        if self._laszip is None:
            self._body.write(np.ascontiguousarray(records).view(np.uint8).data)
            return
        self._waiting.append(records)
        self._n_waiting += len(records)
        if self._n_waiting >= CHUNK_POINTS:
            self._encode(self._n_waiting - self._n_waiting % CHUNK_POINTS)

    def _encode(self, n: int) -> None:
        """Encode the first *n* of the points that wait, in chunks of `CHUNK_POINTS`."""
        from cbtool.partitioners.las.codec import encode

        records = np.concatenate(self._waiting)
        for at in range(0, n, CHUNK_POINTS):
            part = records[at : min(at + CHUNK_POINTS, n)]
            data = encode(part, self.frame)
            self._body.write(data)
            self._table.append((len(part), len(data)))
        self._waiting, self._n_waiting = [records[n:]], len(records) - n

    def blocks(self, header: Header, evlrs: Sequence[Vlr]) -> Iterator[bytes]:
        """Yield the file, once all points are in; it has the *header*, its records and the *evlrs* of another.

        The header's records of how points are compressed, and those of COPC, are left out.
        """
        if self._n_waiting:
            self._encode(self._n_waiting)
        laszip, tail = self._laszip, b""
        if laszip is not None:
            from cbtool.partitioners.las.codec import chunk_table, new_laszip

            if self._has_whole:
                laszip = new_laszip(self.frame.point_format, self.frame.n_extra, is_variable=True)
            tail = chunk_table(self._table, laszip)
        n_body = self._body.n_bytes
        vlrs = vlrs_of(header, laszip)
        head = head_of(header, evlrs, self.frame, self.counts, vlrs, (n_body, tail), laszip is not None)
        yield head
        yield from self._body.blocks()
        yield tail + b"".join(pack_vlr(one) for one in evlrs)


def vlrs_of(header: Header, laszip: bytes | None) -> list[Vlr]:
    """Return the records of the new file: those of the old one, but for what is about how its points lie."""
    kept = [vlr for vlr in header.vlrs if vlr.key != LASZIP and vlr.user_id != "copc"]
    if laszip is not None:
        kept.append(Vlr(*LASZIP, b"cbtool".ljust(32, b"\0"), laszip, 0))
    return kept


def head_of(
    header: Header,
    evlrs: Sequence[Vlr],
    frame: Frame,
    counts: Counts,
    vlrs: Sequence[Vlr],
    body: tuple[int, bytes],
    compressed: bool,
) -> bytes:
    """Return all that lies before the points, and in LAZ where the chunk table is."""
    packed = b"".join(pack_vlr(vlr) for vlr in vlrs)
    points_at = len(header.raw) + len(packed)
    n_body, tail = body
    table_at = points_at + 8 + n_body
    end = table_at + len(tail) if compressed else points_at + n_body
    raw = bytearray(header.raw)
    encoding = header.global_encoding
    if frame.point_format >= 6 and any(vlr.record_id == WKT for vlr in (*vlrs, *evlrs)):
        encoding |= WKT_BIT
    struct.pack_into("<H", raw, 6, encoding)
    if frame.point_format != header.point_format and header.minor < 2:
        raw[25] = 2  # the version that has all of 0 to 3
    form = frame.point_format | (COMPRESSED if compressed else 0)
    struct.pack_into("<IIBH", raw, 96, points_at, len(vlrs), form, frame.record_bytes)
    _put_counts(raw, header, frame, counts)
    struct.pack_into("<3d3d", raw, 131, *frame.scale, *frame.offset)
    world = _world(frame, counts)
    struct.pack_into("<6d", raw, 179, *(world[i][j] for i in range(3) for j in (1, 0)))
    if header.minor >= 3:
        waveform_at, at = 0, end
        for one in evlrs:
            waveform_at = at if one.key == WAVEFORMS else waveform_at
            at += len(pack_vlr(one))
        struct.pack_into("<Q", raw, 227, waveform_at)
    if header.minor >= 4:
        struct.pack_into("<QI", raw, 235, end if evlrs else 0, len(evlrs))
    return bytes(raw) + packed + (struct.pack("<q", table_at) if compressed else b"")


def _put_counts(raw: bytearray, header: Header, frame: Frame, counts: Counts) -> None:
    small = counts.points < 2**32 and frame.point_format < 6
    if header.minor < 4 and not small:
        raise UsageError(f"{counts.points} points of format {frame.point_format} need LAS 1.4", hint="more chunks")
    legacy = [counts.points, *counts.by_return[1:6]] if small else [0] * 6
    struct.pack_into("<6I", raw, 107, *legacy)
    if header.minor >= 4:
        struct.pack_into("<16Q", raw, 247, counts.points, *counts.by_return[1:16])


def _world(frame: Frame, counts: Counts) -> list[tuple[float, float]]:
    """Return (least, most) of x, y and z in world units, as readers compute them."""
    if not counts.points:
        return [(0.0, 0.0)] * 3
    return [
        (counts.least[i] * frame.scale[i] + frame.offset[i], counts.most[i] * frame.scale[i] + frame.offset[i])
        for i in range(3)
    ]


def with_overlap_byte(header: Header, where: str) -> Header:
    """Return *header* with one more extra byte behind the others, `OVERLAP`; UsageError if it has one already.

    All extra bytes are described then: who reads finds each by adding up what comes before.
    """
    from dataclasses import replace

    entries = filling(header)
    if OVERLAP.encode() in (entry[4:36].rstrip(b"\0") for entry in entries):
        raise UsageError(f"{where}: has extra bytes called {OVERLAP!r} already", hint="was it cut with --overlap?")
    described = b"".join([*entries, entry_of(UINT8, OVERLAP, "0: own point, 1: a neighbour's")])
    if len(described) > MOST_VLR_BYTES:
        raise UsageError(f"{where}: has so many extra bytes that one more cannot be described")
    made = Vlr(*EXTRA_BYTES, b"extra bytes".ljust(32, b"\0"), described, 0)
    kept = [vlr for vlr in header.vlrs if vlr.key != EXTRA_BYTES]
    return replace(header, vlrs=(*kept, made), record_bytes=header.record_bytes + 1)
