"""A file as groups of points, each of which is a range of bytes that can be decoded alone.

Groups are the chunks of LAZ, the nodes of COPC, or stretches of `CHUNK_POINTS` records of plain LAS.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.las import copc
from cbtool.partitioners.las.header import EVLR_BYTES, Header, parse, points_at, wrong
from cbtool.partitioners.las.records import Records, dtype_of
from cbtool.partitioners.las.soundness import MOST_GROUP_BYTES, NEVER_FIRST, check_size
from cbtool.source import Cached, Range, Source

Ints = NDArray[np.int64]
HEAD_BYTES = 64 * 1024
CHUNK_POINTS = 50_000
"""How many points LASzip puts into a chunk unless it is told otherwise; cbtool makes and takes such groups too."""
TABLE_HEAD_BYTES = 8
TABLE_BYTES_EACH = 16
"""More than an entry of a chunk table ever takes: two numbers of 32 bits, coded."""
WAVEFORMS_INSIDE = 0x02
"""The bit of the global encoding that says that waveforms lie in the file."""


@dataclass(frozen=True)
class Groups:
    """Where groups lie and how many points each has; arrays of one length, in the order of the points."""

    start: Ints
    length: Ints
    count: Ints
    nodes: copc.Entries | None = None
    """The entries of a COPC file's hierarchy, in the same order."""

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class LasFile:
    """An open file with its header."""

    source: Source
    header: Header
    head: bytes
    """All bytes before the points."""
    laszip: bytes | None
    """The content of the laszip record, as lazrs takes it; None for plain LAS."""

    @property
    def where(self) -> str:
        return self.source.uri


def open_las(source: Source) -> LasFile:
    """Read and check the header of *source*: one or two requests."""
    head = source.read(0, min(HEAD_BYTES, source.size))
    at = points_at(head, source.size, source.uri)
    if at > len(head):
        head += source.read(len(head), at - len(head))
    return file_of(source, head[:at])


def file_of(source: Source, head: bytes, *, is_whole: bool = True) -> LasFile:
    """Return the file whose bytes before the points are *head*."""
    header = parse(head, source.size, source.uri, is_whole=is_whole)
    laszip = None
    if header.is_compressed:
        from cbtool.partitioners.las.codec import laszip_of

        laszip = laszip_of(header, source.uri).data
    return LasFile(source, header, head, laszip)


def evlr_ranges(file: LasFile) -> list[Range]:
    """Return where the extended records lie that every file of the same points needs: all but a COPC hierarchy.

    One request, or two; none if there are no such records.
    """
    header, size = file.header, file.source.size
    at, n = header.evlrs_at, header.n_evlrs
    if header.minor == 3 and header.global_encoding & WAVEFORMS_INSIDE:
        at, n = header.waveform_at, 1
    found: list[Range] = []
    source = Cached(file.source, HEAD_BYTES)
    for number in range(n):
        if at + EVLR_BYTES > size:
            wrong(file.where, f"extended record {number} of {n} is cut short", "copy it again")
        user, record_id, length = struct.unpack_from("<16sHQ", source.read(at, EVLR_BYTES), 2)
        if at + EVLR_BYTES + length > size:
            wrong(
                file.where, f"extended record {number} of {n} has {length} bytes: the file ends before", "copy it again"
            )
        if not user.startswith(b"copc\0"):
            found.append((at, EVLR_BYTES + length))
        at += EVLR_BYTES + length
    return found


def groups_of(file: LasFile, meets: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None) -> Groups:
    """Return the groups of *file*: no request for LAS, two for LAZ, one or more for COPC.

    *meets* takes footprints of COPC nodes (n, 4) and says which are wanted; other files have all their groups.
    """
    header = file.header
    if header.is_copc:
        entries = copc.hierarchy(file.source, copc.info_of(header, file.source.size, file.where), meets)
        start, length, count = (entries[name].astype(np.int64) for name in ("offset", "length", "count"))
        if meets is None and count.sum() != header.n_points:
            wrong(file.where, f"its hierarchy holds {count.sum()} points, and its header says {header.n_points}")
        if (start[1:] < start[:-1] + length[:-1]).any():
            wrong(file.where, "its hierarchy has nodes that lie over one another")
        return _checked(Groups(start, length, count, entries), file)
    if header.n_points and file.laszip is not None:
        return _checked(_laz_groups(file, file.laszip), file)
    return fixed_groups(header)


def fixed_groups(header: Header) -> Groups:
    """Return stretches of plain records, as many of them as *header* says."""
    if not header.n_points:
        none = np.zeros(0, np.int64)
        return Groups(none, none, none)
    count = _fixed_counts(header.n_points, max(1, min(CHUNK_POINTS, MOST_GROUP_BYTES // header.record_bytes)))
    length = count * header.record_bytes
    return Groups(header.points_at + np.cumsum(length) - length, length, count)


def _checked(groups: Groups, file: LasFile) -> Groups:
    """Return *groups*, each of which can be decoded at once; FormatError otherwise."""
    check_size(int(groups.count.max(initial=0)), file.header.record_bytes, file.where)
    if (groups.length > MOST_GROUP_BYTES).any():
        wrong(file.where, f"a chunk of {groups.length.max()} bytes: more than 512 MiB is not decoded at once")
    return groups


def _fixed_counts(n_points: int, each: int) -> Ints:
    count = np.full(-(-n_points // each), each, np.int64)
    count[-1] = n_points - each * (len(count) - 1)
    return count


def _laz_groups(file: LasFile, laszip: bytes) -> Groups:
    import lazrs

    from cbtool.partitioners.las.codec import VARIABLE, decoding

    header, source = file.header, file.source
    cut = "is it cut short? cbtool convert --salvage keeps what is intact"
    first = header.points_at + 8
    if first + TABLE_HEAD_BYTES > source.size:
        wrong(file.where, f"its header says {header.n_points} points, and it ends where they begin", cut)
    (at,) = struct.unpack("<q", source.read(header.points_at, 8))
    if at == -1:  # a writer that could not go back put it at the end
        (at,) = struct.unpack("<q", source.read(source.size - 8, 8))
    if not first <= at <= source.size - TABLE_HEAD_BYTES:
        wrong(file.where, f"its chunk table should be at byte {at}, and it has {source.size} bytes", cut)
    n = struct.unpack("<II", source.read(at, TABLE_HEAD_BYTES))[1]
    each = struct.unpack_from("<I", laszip, 12)[0]
    if n * header.record_bytes > at - first or (each != VARIABLE and n != -(-header.n_points // each)):
        wrong(file.where, f"its chunk table has {n} chunks for {header.n_points} points in {at - first} bytes", cut)
    data = source.read(at, min(source.size - at, TABLE_HEAD_BYTES + 64 + TABLE_BYTES_EACH * n))
    if data[TABLE_HEAD_BYTES:].startswith(NEVER_FIRST):
        wrong(file.where, "its chunk table is damaged", cut)
    with decoding(file.where):
        table = lazrs.read_chunk_table_only(io.BytesIO(data), lazrs.LazVlr(laszip))
    entries = np.array(table, np.uint64).reshape(-1, 2)
    fits = bool((entries.sum(axis=0, dtype=np.float64) < 1 << 62).all())
    count, length = entries.astype(np.int64).T
    if each != VARIABLE:
        count = _fixed_counts(header.n_points, each)
    if not fits or (length == 0).any() or length.sum() > at - first or count.sum() != header.n_points:
        wrong(file.where, f"its chunk table does not fit {header.n_points} points in {at - first} bytes", cut)
    some = count > 0  # an empty chunk holds nothing to decode
    return Groups((first + np.cumsum(length) - length)[some], length[some], count[some])


def decode_groups(
    file: LasFile, data: bytes | memoryview, counts: Sequence[int], lengths: Sequence[int], selection: Any = None
) -> Records:
    """Return the records of adjacent groups whose bytes are *data*; *selection* is one of `codec`, by default all."""
    dtype = dtype_of(file.header.point_format, file.header.record_bytes)
    return records_of(data, file.laszip, counts, lengths, dtype, file.where, selection)


def records_of(
    data: bytes | memoryview,
    laszip: bytes | None,
    counts: Sequence[int],
    lengths: Sequence[int],
    dtype: np.dtype[np.void],
    where: str,
    selection: Any = None,
) -> Records:
    """Return the records of adjacent groups, plain or, where there is a *laszip* record, compressed."""
    if laszip is None:
        if len(data) != sum(counts) * dtype.itemsize:
            wrong(where, f"{sum(counts)} points do not lie in {len(data)} bytes", "make the plan again")
        return np.frombuffer(data, dtype)
    from cbtool.partitioners.las.codec import EVERYTHING, decode

    return decode(data, laszip, counts, lengths, dtype, where, selection or EVERYTHING)
