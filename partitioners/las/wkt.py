"""The CRS of a cloud as LAS 1.4 wants it for point formats from 6 on: as WKT, made from GeoTIFF keys where need be."""

from __future__ import annotations

from collections.abc import Sequence

from cbtool.partitioners.las.header import PROJECTION, WKT, Header, Vlr
from cbtool.partitioners.las.reference import crs_of


def wkt_for(header: Header, evlrs: Sequence[Vlr]) -> tuple[str | None, str | None]:
    """Return the WKT that must be made for a file (None where it has some), and what is to be said of it."""
    crs = crs_of(header, tuple(evlrs))
    if any(vlr.key == (PROJECTION, WKT) and vlr.data.strip(b"\0 ") for vlr in (*header.vlrs, *evlrs)):
        return None, None if crs is not None else "its CRS cannot be understood, and is kept as it is"
    if crs is None or not crs.wkt:
        has_keys = any(vlr.user_id == PROJECTION for vlr in header.vlrs)
        return None, "its GeoTIFF keys make no WKT, and are kept" if has_keys else "it names no CRS"
    return _old(crs.wkt), f"its CRS is written as WKT: {crs.name}"


def _old(text: str) -> str:
    """Return *text* as WKT 1, which LAS means (OGC 01-009), where it can be said so."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_wkt(text).to_wkt("WKT1_GDAL") or text
    except CRSError:
        return text
