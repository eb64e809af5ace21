"""The coordinate reference system of a file, from its WKT or its GeoTIFF keys."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cbtool.partitioners.las.groups import LasFile, evlr_ranges
from cbtool.partitioners.las.header import GEO_KEYS, PROJECTION, WKT, Header, Vlr, parse_evlrs

if TYPE_CHECKING:
    from cbtool.crs import Crs

GEOGRAPHIC, PROJECTED, UNIT, VERTICAL, VERTICAL_UNIT = 2048, 3072, 3076, 4096, 4099
"""GeoTIFF keys (OGC 19-008r4, chapter 7) that hold EPSG codes."""
USER_DEFINED = 32767


def crs_of(header: Header, evlrs: tuple[Vlr, ...] = ()) -> Crs | None:
    """Return the CRS that records name, by WKT before GeoTIFF keys; None if there is none to be understood."""
    from cbtool.crs import of_wkt

    found = [vlr for vlr in (*header.vlrs, *evlrs) if vlr.user_id == PROJECTION]
    for vlr in found:
        if vlr.record_id == WKT and (crs := of_wkt(vlr.data.decode("utf-8", "replace"))) is not None:
            return crs
    return _of_keys(next((vlr.data for vlr in found if vlr.record_id == GEO_KEYS), b""))


def _of_keys(data: bytes) -> Crs | None:
    """Return the CRS of a GeoTIFF key directory, or one of which only the units are known; None if it has no code."""
    from cbtool.crs import of_epsg, of_units

    keys = {}
    for at in range(8, len(data) - 7, 8):
        key, location, _, value = struct.unpack_from("<4H", data, at)
        if location == 0 and 0 < value < USER_DEFINED:
            keys[key] = value
    horizontal = keys.get(PROJECTED) or keys.get(GEOGRAPHIC)
    found = of_epsg(horizontal, keys.get(VERTICAL), keys.get(VERTICAL_UNIT)) if horizontal else None
    if found is None and UNIT in keys:
        found = of_units(keys[UNIT], keys.get(VERTICAL_UNIT))
    return found


def crs_of_file(file: LasFile) -> Crs | None:
    """Return the CRS of *file*; where its header has none, from its extended records, which takes a request or two."""
    found = crs_of(file.header)
    if found is not None or not file.header.n_evlrs:
        return found
    evlrs: list[Vlr] = []
    for at, length in evlr_ranges(file):
        evlrs += parse_evlrs(file.source.read(at, length), at, 1, file.where)
    return crs_of(file.header, tuple(evlrs))
