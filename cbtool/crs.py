"""Facts about coordinate reference systems, and coordinates of one in another. pyproj is imported on use.

pyproj's database is its own; it is kept from the network, where it would look for grids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cbtool.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOOT = Fraction(3048, 10000)
SURVEY_FOOT = Fraction(1200, 3937)
UNITS = {9001: ("metre", Fraction(1)), 9002: ("foot", FOOT), 9003: ("US survey foot", SURVEY_FOOT)}
"""EPSG's codes of units of length (also in GeoTIFF keys): name, metres."""


@dataclass(frozen=True)
class Crs:
    """What is known of a coordinate reference system. *wkt* is empty where only its units are known."""

    wkt: str
    name: str
    code: str | None
    """Authority and code, ``EPSG:2994``, if it is surely that one."""
    is_geographic: bool
    unit: str
    """Of its horizontal axes: ``metre``, ``US survey foot``, ``degree`` …"""
    metres: Fraction | None
    """Metres in a horizontal unit; None if it is an angle."""
    vertical_metres: Fraction | None
    """Metres in a unit of height, where it says something of heights."""


@lru_cache(maxsize=64)
def of_wkt(text: str) -> Crs | None:
    """Return the facts of a CRS in WKT (1 or 2, with NULs behind it or not), or None if it cannot be understood."""
    with _pyproj() as proj:
        return _facts(proj, lambda: proj.CRS.from_wkt(text.strip(" \t\r\n\0")))


@lru_cache(maxsize=64)
def of_epsg(horizontal: int, vertical: int | None = None, vertical_unit: int | None = None) -> Crs | None:
    """Return the facts of the CRS with EPSG's code *horizontal*, or None if there is none.

    A *vertical* that is not known is left out; then heights are in *vertical_unit* (a code of `UNITS`), if given.
    """
    with _pyproj() as proj:
        found = _facts(proj, lambda: proj.CRS.from_epsg(horizontal))
        if found is None:
            return None
        if vertical is not None:
            both = _facts(proj, lambda: _compound(proj, horizontal, vertical))
            if both is not None and both.vertical_metres is not None:
                return both
    if found.vertical_metres is None and vertical_unit in UNITS:
        return Crs(**{**vars(found), "vertical_metres": UNITS[vertical_unit][1]})
    return found


def of_units(horizontal: int, vertical: int | None = None) -> Crs | None:
    """Return a CRS of which only the units are known, by EPSG's codes of them; None if *horizontal* is no length."""
    if horizontal not in UNITS:
        return None
    unit, metres = UNITS[horizontal]
    height = UNITS[vertical][1] if vertical in UNITS else None
    return Crs("", f"a CRS in units of a {unit}", None, False, unit, metres, height)


def same(a: Crs, b: Crs) -> bool:
    """Say whether both are the same, whatever their names and texts; the order of their axes does not matter."""
    if a == b or (a.code is not None and a.code == b.code):
        return True
    if not (a.wkt and b.wkt) or a.vertical_metres != b.vertical_metres:
        return False
    with _pyproj() as proj:
        (flat, high), (other_flat, other_high) = (_parts(proj.CRS.from_wkt(one.wkt)) for one in (a, b))
        return bool(flat.equals(other_flat, ignore_axis_order=True) and high == other_high)


def horizontal(crs: Crs) -> str | None:
    """Return the part of *crs* that is for x and y, in WKT; None where only its units are known.

    UsageError if they are no place on a map.
    """
    if not crs.wkt:
        return None
    with _pyproj() as proj:
        flat = _parts(proj.CRS.from_wkt(crs.wkt))[0]
        if flat.is_geocentric:
            raise UsageError(f"{crs.name}: x and y of a geocentric CRS are no place on a map", hint="reproject it")
        return str((flat.to_2d() if flat.is_projected else flat).to_wkt())


def transform(points: NDArray[np.float64], given: Crs, wanted: Crs) -> NDArray[np.float64]:
    """Return *points* (n, 2) of one CRS in another: x (longitude) first in both. Heights have no part in it.

    UsageError if that cannot be done, or if a point lies where *wanted* is not defined.
    """
    import numpy as np

    with _pyproj() as proj:
        try:
            flat = [_parts(proj.CRS.from_wkt(one.wkt))[0] for one in (given, wanted)]
            if any(one.is_geocentric for one in flat):
                raise proj.exceptions.CRSError("x and y of a geocentric CRS are no place on a map")
            found = np.column_stack(proj.Transformer.from_crs(*flat, always_xy=True).transform(*points.T))
        except proj.exceptions.ProjError as error:
            raise UsageError(f"{given.name} cannot be put into {wanted.name}: {_first_line(error)}") from None
    if not np.isfinite(found).all():
        x, y = points[~np.isfinite(found).all(axis=1)][0]
        raise UsageError(f"{x:.10g},{y:.10g} of {given.name} lies where {wanted.name} is not defined")
    return found


@contextmanager
def _pyproj() -> Iterator[Any]:
    """Give pyproj, without the network; a caller's own setting of that is put back."""
    import pyproj
    import pyproj.exceptions
    from pyproj import network

    setting: Any = network
    before = setting.is_network_enabled()
    setting.set_network_enabled(False)
    try:
        yield pyproj
    finally:
        setting.set_network_enabled(before)


def _facts(proj: Any, make: Any) -> Crs | None:
    """Return the facts of what *make* makes, or None if pyproj cannot, or if it has no horizontal axes."""
    try:
        crs = make()
        flat, high = _parts(crs)
        axes = flat.axis_info
        if len(axes) < 2:
            return None
        code = crs.to_authority(min_confidence=100)
        wkt = crs.to_wkt()
    except (proj.exceptions.ProjError, UnicodeEncodeError):
        return None
    metres = None if flat.is_geographic else _length(axes[0])
    height = None if flat.is_geocentric else _length(high.axis_info[0] if high else axes[2] if len(axes) > 2 else None)
    return Crs(wkt, crs.name, ":".join(code) if code else None, flat.is_geographic, axes[0].unit_name, metres, height)


def _parts(crs: Any) -> tuple[Any, Any]:
    """Return what of *crs* is for x and y, and what is for heights (or None), without ways to other datums."""
    first, second = (*crs.sub_crs_list, None)[:2] if crs.sub_crs_list else (crs, None)
    return first.source_crs if first.is_bound else first, second.source_crs if second and second.is_bound else second


def _length(axis: Any) -> Fraction | None:
    """Return metres in a unit of *axis*; None for none, or if it is an angle."""
    if axis is None or axis.unit_name.lower().startswith(("degree", "grad", "radian", "arc")):
        return None
    factor = axis.unit_conversion_factor
    return _exact(factor) if math.isfinite(factor) and factor > 0 else None


def _compound(proj: Any, horizontal: int, vertical: int) -> Any:
    parts = [proj.CRS.from_epsg(horizontal), proj.CRS.from_epsg(vertical)]
    return proj.crs.CompoundCRS(" + ".join(part.name for part in parts), parts)


def _exact(metres: float) -> Fraction:
    """Return a unit's length as it is defined: WKT rounds that of a US survey foot, in more than one way.

    >>> _exact(0.304800609601219), _exact(0.9144)
    (Fraction(1200, 3937), Fraction(1143, 1250))
    """
    for known in (Fraction(1), FOOT, SURVEY_FOOT):
        if math.isclose(metres, known, rel_tol=1e-9):
            return known
    return Fraction(repr(metres))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
