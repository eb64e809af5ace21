"""Reads the polygons of GeoJSON (RFC 7946), which may come from anyone: whatever is amiss is a FormatError."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from cbtool.errors import FormatError

MOST_BYTES = 16 * 1024 * 1024
LON_LAT = 4326
NAMED_CRS = re.compile(r"(?:urn:ogc:def:crs:)?EPSG:(?:[0-9.]*:)?([0-9]{1,9})|urn:ogc:def:crs:OGC:[0-9.]*:(CRS84)")

Ring = list[tuple[float, float]]
"""Positions; the last is the first."""
Polygon = list[Ring]
"""Its outer ring, and then its holes."""


def read(data: bytes, where: str) -> tuple[list[Polygon], int]:
    """Return the polygons in *data*, and EPSG's code of their CRS: longitude and latitude if nothing else is said.

    Not checked: whether rings cross themselves or each other.
    """
    try:
        found = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not GeoJSON: {error}", hint="is it UTF-8, and whole?") from None
    epsg = _crs(found, where)
    polygons = [_polygon(one, where, number) for number, one in enumerate(_polygons(found, where), 1)]
    if not polygons:
        raise FormatError(f"{where}: holds no polygon")
    if epsg == LON_LAT:
        for x, y in (position for polygon in polygons for ring in polygon for position in ring):
            if abs(x) > 180 or abs(y) > 90:
                raise FormatError(
                    f"{where}: {x:.10g},{y:.10g} is no longitude and latitude, and the file names no other CRS",
                    hint='GeoJSON is in longitude and latitude, or has a member "crs" as ogr2ogr writes it',
                )
    return polygons, epsg


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _crs(found: Any, where: str) -> int:
    named = found.get("crs") if isinstance(found, dict) else None
    if named is None:
        return LON_LAT
    properties = named.get("properties") if isinstance(named, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    match = NAMED_CRS.fullmatch(name) if isinstance(name, str) else None
    if not match:
        said = f" {name[:60]!r}" if isinstance(name, str) else ""
        raise FormatError(f"{where}: its CRS{said} is not understood", hint="as in urn:ogc:def:crs:EPSG::25830")
    return LON_LAT if match[2] else int(match[1])


def _polygons(found: Any, where: str) -> Iterator[Any]:
    """Yield the coordinates of the polygons in an object, as they are."""
    kind = found.get("type") if isinstance(found, dict) else None
    if kind == "FeatureCollection":
        for feature in _list(found.get("features"), where, "its features"):
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise FormatError(f"{where}: one of its features is none")
            yield from _polygons(feature, where)
    elif kind == "Feature":
        geometry = found.get("geometry")
        if not isinstance(geometry, dict) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
            name = geometry.get("type") if isinstance(geometry, dict) else None
            raise FormatError(f"{where}: a feature is {_said(name)}, not a Polygon or MultiPolygon")
        yield from _polygons(geometry, where)
    elif kind == "Polygon":
        yield found.get("coordinates")
    elif kind == "MultiPolygon":
        yield from _list(found.get("coordinates"), where, "its coordinates")
    else:
        raise FormatError(f"{where}: is {_said(kind)}, not a Polygon, MultiPolygon, Feature or FeatureCollection")


def _said(kind: Any) -> str:
    return f"a {kind[:40]}" if isinstance(kind, str) else "without a type"


def _polygon(found: Any, where: str, number: int) -> Polygon:
    what = f"polygon {number}"
    rings = [_ring(ring, where, what) for ring in _list(found, where, what)]
    if not rings:
        raise FormatError(f"{where}: {what} is empty")
    return rings


def _ring(found: Any, where: str, what: str) -> Ring:
    ring = [_position(one, where, what) for one in _list(found, where, f"a ring of {what}")]
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise FormatError(f"{where}: a ring of {what} is not closed", hint="its last position must be its first")
    return ring


def _position(found: Any, where: str, what: str) -> tuple[float, float]:
    numbers: Sequence[Any] = found if isinstance(found, list) else ()
    if len(numbers) == 3:
        raise FormatError(f"{where}: {what} has heights, which a region has not", hint="ogr2ogr -dim XY")
    if len(numbers) != 2 or not all(type(one) in (int, float) for one in numbers):
        raise FormatError(f"{where}: {what} has something that is not a position [x, y]")
    try:
        x, y = map(float, numbers)
    except OverflowError:
        x = y = math.inf
    if not (math.isfinite(x) and math.isfinite(y)):
        raise FormatError(f"{where}: {what} has a position that is not finite")
    return x, y


def _list(found: Any, where: str, what: str) -> list[Any]:
    if not isinstance(found, list):
        raise FormatError(f"{where}: {what} is not a list")
    return found
