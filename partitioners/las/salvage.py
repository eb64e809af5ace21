"""What is left of a file that is cut short or whose chunk table is lost: the groups before the first that is broken."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from cbtool.errors import FormatError
from cbtool.partitioners.las.groups import CHUNK_POINTS, Groups, LasFile, file_of, groups_of
from cbtool.partitioners.las.header import LEAST_BYTES, SIZES, points_at
from cbtool.partitioners.las.records import dtype_of
from cbtool.partitioners.las.soundness import check_size, layers_at, n_layers_of
from cbtool.source import Cached, Source

READ_BYTES = 4 * 1024 * 1024
ROOM_BYTES = 4096
"""A chunk of incompressible points takes little more than they do."""


@dataclass(frozen=True)
class Salvaged:
    """A file with a header that says just what is intact."""

    file: LasFile
    groups: Groups
    promised: int
    """How many points its header said there are."""
    has_lost_records: bool
    """Whether extended records behind the points are lost."""

    @property
    def intact(self) -> int:
        return int(self.groups.count.sum())


def salvage(source: Source) -> Salvaged:
    """Find what is intact of *source*; FormatError if its header, or the records before its points, are not."""
    head = source.read(0, min(source.size, LEAST_BYTES))
    at = points_at(head, source.size, source.uri)
    raw = bytearray(source.read(0, at))
    promised, record_bytes = _promised(raw), struct.unpack_from("<H", raw, 105)[0]
    n_evlrs, has_lost = 0, False
    if raw[25] == 4:
        n_evlrs = struct.unpack_from("<I", raw, 243)[0]
    if n_evlrs and not _evlrs_are_there(source, raw):
        struct.pack_into("<QI", raw, 235, 0, 0)
        has_lost = True
    if not raw[104] & 0x80:
        there = (source.size - at) // max(record_bytes, 1)
        _say(raw, min(promised, there))
        file = file_of(source, bytes(raw))
        return Salvaged(file, groups_of(file), promised, has_lost)
    file = file_of(source, bytes(raw))
    groups = _intact(file)
    _say(raw, int(groups.count.sum()))
    return Salvaged(file_of(source, bytes(raw)), groups, promised, has_lost)


def _promised(raw: bytearray) -> int:
    legacy: int = struct.unpack_from("<I", raw, 107)[0]
    return struct.unpack_from("<Q", raw, 247)[0] or legacy if raw[25] == 4 and len(raw) >= SIZES[4] else legacy


def _say(raw: bytearray, n_points: int) -> None:
    """Have the header say that there are *n_points*."""
    legacy = struct.unpack_from("<I", raw, 107)[0]
    if raw[25] == 4:
        struct.pack_into("<Q", raw, 247, n_points)
        n_points = n_points if legacy else 0
    struct.pack_into("<I", raw, 107, n_points)


def _evlrs_are_there(source: Source, raw: bytearray) -> bool:
    from cbtool.partitioners.las.groups import evlr_ranges

    try:
        evlr_ranges(file_of(source, bytes(raw)))
    except FormatError:
        return False
    return True


def _intact(file: LasFile) -> Groups:
    try:
        groups = groups_of(file)
        rows = zip(groups.start.tolist(), groups.length.tolist(), groups.count.tolist(), strict=True)
        source = Cached(file.source, READ_BYTES)
        found = list(takewhile(lambda one: _decodes(file, source, *one), rows))
    except FormatError:
        found = list(_walk(file))
    start, length, count = (np.array([one[i] for one in found], np.int64) for i in range(3))
    return Groups(start, length, count)


def _walk(file: LasFile) -> Iterator[tuple[int, int, int]]:
    """Yield (start, length, points) of each chunk of a LAZ file, from the first to the last that is whole."""
    assert file.laszip is not None
    source = Cached(file.source, READ_BYTES)
    each = struct.unpack_from("<I", file.laszip, 12)[0]
    at, left = file.header.points_at + 8, file.header.n_points
    while left > 0 and at < source.size:
        length, count = (
            _layered(file, source, at) if n_layers_of(file.laszip) else _pointwise(file, source, at, min(each, left))
        )
        if not length or count > left or not _decodes(file, source, at, length, count):
            return
        yield at, length, count
        at, left = at + length, left - count


def _layered(file: LasFile, source: Source, at: int) -> tuple[int, int]:
    """Return the size of the chunk at *at*, which its layers tell, and its points; 0 if it is not all there."""
    assert file.laszip is not None
    n_layers, first = n_layers_of(file.laszip), file.header.record_bytes
    size = first + 4 + 4 * n_layers
    if at + size > source.size:
        return 0, 0
    data = source.read(at, size)
    (count,) = struct.unpack_from("<I", data, first)
    sizes = layers_at(data, first, count, n_layers)
    if sizes is None or not count or at + size + sum(sizes) > source.size:
        return 0, 0
    return size + sum(sizes), count


def _pointwise(file: LasFile, source: Source, at: int, count: int) -> tuple[int, int]:
    """Return the size of a chunk of *count* points at *at*; 0 if they are not all there.

    Nothing tells it but the points: they are decoded, and encoded again, which gives the same bytes.
    """
    from cbtool.partitioners.las.codec import decode, encode
    from cbtool.partitioners.las.frame import Frame

    header = file.header
    check_size(count, header.record_bytes, file.where)
    data = source.read(at, min(count * header.record_bytes + ROOM_BYTES, source.size - at))
    frame = Frame(header.scale, header.offset, header.point_format, header.record_bytes)
    try:
        records = decode(
            data, file.laszip or b"", [count], [len(data)], dtype_of(frame.point_format, frame.record_bytes), file.where
        )
    except FormatError:
        return 0, 0
    again = encode(records, frame) if count <= CHUNK_POINTS else b""
    return (len(again), count) if again and data.startswith(again) else (0, 0)


def _decodes(file: LasFile, source: Source, at: int, length: int, count: int) -> bool:
    from cbtool.partitioners.las.groups import decode_groups

    try:
        decode_groups(file, source.read(at, length), [count], [length])
    except FormatError:
        return False
    return True
