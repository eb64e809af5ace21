"""What is amiss in a cloud that can be read all the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cbtool.index import Index
from cbtool.partitioners.las.extra_bytes import entries_of, fields_of
from cbtool.partitioners.las.groups import LasFile
from cbtool.partitioners.las.header import GEO_KEYS, PROJECTION, WKT, WKT_BIT, Header

if TYPE_CHECKING:
    from cbtool.crs import Crs

STANDARD_TIME, WAVES_INSIDE, WAVES_OUTSIDE, RESERVED = 0x01, 0x02, 0x04, 0xFFE0
"""Bits of the global encoding (LAS 1.4 R15, table 5); bit 3 is for synthetic return numbers."""
WEEK_S = 7 * 24 * 3600
MOST_DEGREES = 400
"""Longitudes go to 360 at most, of angles in gons to 400."""
FINEST_M, FINEST_DEGREES = 1e-5, 1e-10
"""A finer scale says more than any instrument does."""


def findings(file: LasFile, index: Index | None, crs: Crs | None) -> Iterator[str]:
    """Yield what is amiss, a sentence each; what only the points can tell where there is an *index*."""
    header = file.header
    yield from _counts(header, index)
    if index is not None and header.n_points:
        yield from _bounds(header, index)
        yield from _times(header, index)
    yield from _reference(header, crs)
    yield from _scale(header, crs)
    yield from _encoding(header)
    yield from _extra(header)


def _counts(header: Header, index: Index | None) -> Iterator[str]:
    if header.minor == 4:
        old = struct.unpack_from("<I", header.raw, 107)[0]
        if old != header.n_points and (old or header.point_format < 6) and header.n_points < 1 << 32:
            yield f"the 32-bit count of points is {old}, and there are {header.n_points}"
    said = list(header.by_return)
    if index is not None:
        true = index.facts["returns"][: len(said)]
        if said != true:
            yield f"the counts of points by return are {said}, and the points say {true}"
        if index.facts["unnumbered"]:
            yield f"{index.facts['unnumbered']} points say that they are return number 0"
    elif header.n_points and not 0 < sum(said) <= header.n_points:
        yield f"the counts of points by return add up to {sum(said)}, and there are {header.n_points}"


def _bounds(header: Header, index: Index) -> Iterator[str]:
    from cbtool.partitioners.las.facts import world

    true = world(header, index.facts["bounds"])
    for axis, name in enumerate("xyz"):
        said = header.least[axis], header.most[axis]
        there = true[axis], true[axis + 3]
        if not all(abs(a - b) <= abs(header.scale[axis]) for a, b in zip(said, there, strict=True)):
            yield f"the header says that {name} is from {said[0]} to {said[1]}: it is from {there[0]} to {there[1]}"


def _times(header: Header, index: Index) -> Iterator[str]:
    span: Any = index.facts["gps_time"]
    if span is None or span == [0.0, 0.0]:
        return
    is_of_week = 0 <= span[0] <= span[1] <= WEEK_S
    if header.global_encoding & STANDARD_TIME and is_of_week:
        yield "GPS times are said to be standard ones, and look like seconds of a week"
    elif not header.global_encoding & STANDARD_TIME and not is_of_week:
        yield f"GPS times are said to be seconds of a week, and are from {span[0]} to {span[1]}"


def _reference(header: Header, crs: Crs | None) -> Iterator[str]:
    kinds = {vlr.record_id for vlr in header.vlrs if vlr.user_id == PROJECTION}
    if header.point_format >= 6 and not header.global_encoding & WKT_BIT:
        yield f"point format {header.point_format} needs its CRS as WKT, and the bit that says so is not set"
    if header.global_encoding & WKT_BIT and WKT not in kinds and GEO_KEYS in kinds:
        yield "the CRS is said to be WKT, and there are only GeoTIFF keys"
    if {WKT, GEO_KEYS} <= kinds:
        yield "there is a CRS as WKT and one as GeoTIFF keys: the WKT is taken"
    if crs is not None and crs.is_geographic and max(map(abs, (*header.least[:2], *header.most[:2]))) > MOST_DEGREES:
        yield f"the CRS, {crs.name}, is in degrees, and coordinates go to {max(header.most[:2]):g}"
    if crs is None:
        yield "the CRS cannot be understood" if kinds & {WKT, GEO_KEYS} else "there is no CRS"


def _scale(header: Header, crs: Crs | None) -> Iterator[str]:
    finest, unit = FINEST_M, 1.0
    if crs is not None and crs.is_geographic:
        finest = FINEST_DEGREES
    elif crs is not None and crs.metres is not None:
        unit = float(crs.metres)
    fine = [scale for scale in header.scale[:2] if abs(scale) * unit < finest]
    if fine:
        yield f"the scale is {fine[0]:g}: finer than what is measured, and the file is the larger for it"


def _encoding(header: Header) -> Iterator[str]:
    bits = header.global_encoding
    if bits & RESERVED:
        yield f"reserved bits of the global encoding are set: {bits:#06x}"
    if bits & WAVES_INSIDE and bits & WAVES_OUTSIDE:
        yield "waveforms are said to lie in the file and beside it"


def _extra(header: Header) -> Iterator[str]:
    fields = fields_of(header)
    n_described = len(fields) - (bool(fields) and fields[-1].name == "undescribed")
    n = len(entries_of(header))
    if n > n_described:
        yield f"{n - n_described} of {n} descriptions of extra bytes do not fit into {header.n_extra} bytes"
    if n_described < len(fields):
        yield f"{fields[-1].n_bytes} extra bytes are described by nothing"
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield f"extra bytes have one name: {', '.join(twice)}"
