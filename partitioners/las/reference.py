"""The coordinate reference system of a file, from its WKT or its GeoTIFF keys."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cbtool.partitioners.las.groups import LasFile, evlr_ranges
from cbtool.partitioners.las.header import GEO_KEYS, PROJECTION, WKT, Header, Vlr, parse_evlrs

if TYPE_CHECKING:
    from cbtool.crs import Crs

GEOGRAPHIC, PROJECTED, VERTICAL = 2048, 3072, 4096
"""GeoTIFF keys (OGC 19-008r4, chapter 7) that hold EPSG codes."""
USER_DEFINED = 32767


def crs_of(header: Header, evlrs: tuple[Vlr, ...] = ()) -> Crs | None:
    """Return the CRS that the records of a file name: WKT before GeoTIFF keys; None if there is none to be understood."""
    from cbtool.crs import parse

    found = [vlr for vlr in (*header.vlrs, *evlrs) if vlr.user_id == PROJECTION]
    for vlr in found:
        if vlr.record_id == WKT and (text := vlr.data.rstrip(b"\0").decode("utf-8", "replace").strip()):
            crs = parse(text)
            if crs is not None:
                return crs
    keys = next((vlr.data for vlr in found if vlr.record_id == GEO_KEYS), b"")
    codes = _codes(keys)
    return parse(codes) if codes else None


def _codes(data: bytes) -> str | None:
    """Return ``EPSG:horizontal`` or ``EPSG:horizontal+vertical`` of a GeoTIFF key directory, None if it has no code."""
    keys = {}
    for at in range(8, len(data) - 7, 8):
        key, location, _, value = struct.unpack_from("<4H", data, at)
        if location == 0 and 0 < value < USER_DEFINED:
            keys[key] = value
    horizontal = keys.get(PROJECTED) or keys.get(GEOGRAPHIC)
    if horizontal is None:
        return None
    return f"EPSG:{horizontal}" + (f"+{keys[VERTICAL]}" if VERTICAL in keys else "")


def crs_of_file(file: LasFile) -> Crs | None:
    """Return the CRS of *file*; where its header has none, from its extended records, which takes a request or two."""
    found = crs_of(file.header)
    if found is not None or not file.header.n_evlrs:
        return found
    evlrs = []
    for at, length in evlr_ranges(file):
        evlrs += parse_evlrs(file.source.read(at, length), at, 1, file.where)
    return crs_of(file.header, tuple(evlrs))
