"""The header and the variable length records of LAS, LAZ and COPC files, read and checked before any library sees them.

Formats: ASPRS LAS 1.0 to 1.4 R15; LAZ as of LASzip 3.4; COPC 1.0. All numbers are little endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from cbtool.errors import FormatError

MAGIC = b"LASF"
LEAST_BYTES = 227
"""The size of the header of LAS 1.0 to 1.2, and the least that any has."""
SIZES = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}
"""The size of the header by the minor version; a file may say more and keep bytes of its own behind."""
VLR_BYTES, EVLR_BYTES = 54, 60
MOST_HEAD_BYTES = 64 * 1024 * 1024
"""Point data that begin later are taken for a broken header."""
RECORD_BYTES = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)
"""The size of a record of each point format, without extra bytes."""
COMPRESSED = 0x80
WKT_BIT = 0x10
LASZIP = ("laszip encoded", 22204)
COPC_INFO = ("copc", 1)
COPC_HIERARCHY = ("copc", 1000)
EXTRA_BYTES = ("LASF_Spec", 4)
PROJECTION = "LASF_Projection"
WKT, GEO_KEYS = 2112, 34735


@dataclass(frozen=True)
class Vlr:
    """One variable length record, extended or not; *at* is where its content begins in the file."""

    user_id: str
    record_id: int
    description: bytes
    data: bytes
    at: int
    is_extended: bool = False

    @property
    def key(self) -> tuple[str, int]:
        return self.user_id, self.record_id


@dataclass(frozen=True)
class Header:
    """What a file says of itself. Minima and maxima are in world units; scale and offset make those of integers."""

    raw: bytes
    """The header's own bytes, as they are."""
    minor: int
    point_format: int
    is_compressed: bool
    record_bytes: int
    n_points: int
    by_return: tuple[int, ...]
    """How many points are first, second … returns: 5 numbers before LAS 1.4, then 15."""
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    least: tuple[float, float, float]
    most: tuple[float, float, float]
    points_at: int
    waveform_at: int
    evlrs_at: int
    n_evlrs: int
    global_encoding: int
    vlrs: tuple[Vlr, ...]

    @property
    def n_extra(self) -> int:
        """Return how many extra bytes a record has."""
        return self.record_bytes - RECORD_BYTES[self.point_format]

    def find(self, key: tuple[str, int]) -> Vlr | None:
        """Return the first record of that user and number, if there is one."""
        return next((vlr for vlr in self.vlrs if vlr.key == key), None)

    @property
    def is_copc(self) -> bool:
        return bool(self.vlrs) and self.vlrs[0].key == COPC_INFO and self.is_compressed


def wrong(where: str, why: str, hint: str | None = None) -> NoReturn:
    raise FormatError(f"{where}: {why}", hint=hint)


def points_at(head: bytes, size: int, where: str) -> int:
    """Return where the point data begin in a file of *size* bytes; FormatError if that cannot be.

    *head* is at least the first `LEAST_BYTES`, or all there is. What lies before that place is what `parse` takes.
    """
    if not head.startswith(MAGIC):
        wrong(where, f"not a LAS file: it begins with {head[:4]!r}")
    if len(head) < LEAST_BYTES:
        wrong(where, f"its header is cut short: {len(head)} bytes", "copy it again")
    major, minor = head[24], head[25]
    if major != 1 or minor not in SIZES:
        wrong(where, f"LAS {major}.{minor}, which nobody has defined", "1.0 to 1.4 are read")
    header_bytes, at = struct.unpack_from("<HI", head, 94)
    if header_bytes < SIZES[minor]:
        wrong(where, f"a header of {header_bytes} bytes; LAS 1.{minor} has {SIZES[minor]}")
    if at < header_bytes or at > MOST_HEAD_BYTES:
        wrong(where, f"its points cannot begin at byte {at}")
    if at > size:
        wrong(where, f"its points begin at byte {at}, and it has {size} bytes", "copy it again")
    return int(at)


def parse(head: bytes, size: int, where: str, *, is_whole: bool = True) -> Header:
    """Read the header and the records before the points from *head*, all that lies before them in a file of *size*.

    FormatError if numbers contradict each other, or the file's size; of a file that is not whole, what should lie
    behind its end is lost, and no error.
    """
    at = points_at(head, size, where)
    minor = head[25]
    encoding, header_bytes = struct.unpack_from("<H", head, 6)[0], struct.unpack_from("<H", head, 94)[0]
    n_vlrs, form, record_bytes, n_points = struct.unpack_from("<IBHI", head, 100)
    by_return = struct.unpack_from("<5I", head, 111)
    scale, offset = struct.unpack_from("<3d", head, 131), struct.unpack_from("<3d", head, 155)
    bounds = struct.unpack_from("<6d", head, 179)
    waveform_at = struct.unpack_from("<Q", head, 227)[0] if minor >= 3 else 0
    evlrs_at = n_evlrs = 0
    if minor == 4:
        evlrs_at, n_evlrs, many = struct.unpack_from("<QIQ", head, 235)
        if many or not n_points:  # some writers of 1.4 fill in only the places of before
            n_points, by_return = many, struct.unpack_from("<15Q", head, 255)
    point_format, is_compressed = form & 0x3F, bool(form & COMPRESSED)
    if point_format >= len(RECORD_BYTES):
        wrong(where, f"point format {point_format}, which nobody has defined")
    if record_bytes < RECORD_BYTES[point_format]:
        wrong(where, f"records of {record_bytes} bytes; point format {point_format} has {RECORD_BYTES[point_format]}")
    if not all(math.isfinite(one) for one in (*scale, *offset)) or min(scale) <= 0:
        wrong(where, f"scale {scale} and offset {offset} make no coordinates")
    if n_vlrs * VLR_BYTES > at - header_bytes:
        wrong(where, f"{n_vlrs} variable length records do not fit into {at - header_bytes} bytes")
    if n_evlrs and (evlrs_at < at or evlrs_at + n_evlrs * EVLR_BYTES > size):
        if is_whole:
            wrong(where, f"{n_evlrs} extended records cannot lie at byte {evlrs_at} of {size}", "is it cut short?")
        n_evlrs = 0
    vlrs = tuple(_vlrs(head, header_bytes, n_vlrs, where))
    header = Header(
        head[:header_bytes],
        minor,
        point_format,
        is_compressed,
        record_bytes,
        n_points,
        by_return,
        scale,
        offset,
        bounds[1::2],
        bounds[::2],
        at,
        waveform_at,
        evlrs_at if n_evlrs else 0,
        n_evlrs,
        encoding,
        vlrs,
    )
    if is_whole and not is_compressed and at + n_points * record_bytes > size:
        there = max(0, size - at) // record_bytes
        wrong(
            where,
            f"its header says {n_points} points, and there are bytes for {there}",
            "is it cut short? cbtool convert --salvage keeps what is there",
        )
    return header


def _vlrs(head: bytes, at: int, n: int, where: str) -> Iterator[Vlr]:
    for number in range(n):
        if at + VLR_BYTES > len(head):
            wrong(where, f"variable length record {number} of {n} begins where the points are")
        user, record_id, length = struct.unpack_from("<16sHH", head, at + 2)
        start = at + VLR_BYTES
        if start + length > len(head):
            wrong(where, f"variable length record {number} of {n} has {length} bytes, and runs into the points")
        yield Vlr(_text(user), record_id, head[at + 22 : at + 54], head[start : start + length], start)
        at = start + length


def parse_evlrs(tail: bytes, at: int, n: int, where: str) -> tuple[Vlr, ...]:
    """Read *n* extended records from *tail*, the bytes of the file from *at* to its end."""
    found, start = [], 0
    for number in range(n):
        if start + EVLR_BYTES > len(tail):
            wrong(where, f"extended record {number} of {n} is cut short", "copy it again")
        user, record_id, length = struct.unpack_from("<16sHQ", tail, start + 2)
        begin = start + EVLR_BYTES
        if begin + length > len(tail):
            wrong(where, f"extended record {number} of {n} has {length} bytes: the file ends before", "copy it again")
        data = tail[begin : begin + length]
        found.append(Vlr(_text(user), record_id, tail[start + 28 : start + 60], data, at + begin, True))
        start = begin + length
    return tuple(found)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("latin-1")


def pack_vlr(vlr: Vlr) -> bytes:
    """Return a record with its header, extended or not."""
    user = vlr.user_id.encode("latin-1")
    form = "<H16sHQ32s" if vlr.is_extended else "<H16sHH32s"
    return struct.pack(form, 0, user, vlr.record_id, len(vlr.data), vlr.description) + vlr.data
