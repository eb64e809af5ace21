"""A region of the plane that a cloud or a raster lies in: a box or polygons, and what is in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cbtool import crs as crss
from cbtool import geojson, only
from cbtool.crs import Crs
from cbtool.errors import FormatError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cbtool.split import Box

Edges = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in world coordinates, half-open."""
Rings = tuple[tuple[tuple[float, float], ...], ...]
"""The outer ring of a polygon and its holes; the last position of each is its first."""

EDGE_STEPS = 256
"""An edge as long as the region is put into another CRS in so many steps: 100 km are off by some millimetres."""
MOST_POSITIONS = 1_000_000
FARTHEST = 2**62


@dataclass(frozen=True)
class Region:
    """A half-open box of world coordinates or, if there are any, polygons; their edges are no part of them."""

    edges: Edges
    polygons: tuple[Rings, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        box: dict[str, Any] = {"bbox": list(self.edges)}
        if self.polygons is None:
            return box
        return box | {"polygons": [[[list(xy) for xy in ring] for ring in rings] for rings in self.polygons]}

    def contains(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each point of world coordinates whether it is in the region."""
        if self.polygons is not None:
            import shapely

            inside: NDArray[np.bool_] = shapely.contains_xy(self.shape, x, y)
            return inside
        x0, y0, x1, y1 = self.edges
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)

    def to_units(self, scale: tuple[float, float], offset: tuple[float, float]) -> Placed:
        """Return the region for integer coordinates: world = integer * *scale* + *offset* (scales above 0).

        Scales, offsets and edges are taken as the decimals that they are written as, so that no rounding decides.
        """
        (low_x, high_x), (low_y, high_y) = (
            [(Fraction(repr(edge)) - Fraction(repr(float(zero)))) / Fraction(repr(float(step))) for edge in ends]
            for ends, step, zero in zip((self.edges[0::2], self.edges[1::2]), scale, offset, strict=True)
        )
        box = (_first(low_x), _first(low_y), _first(high_x), _first(high_y))
        return Placed(box, self, scale, offset)

    def near(self, edges: Edges) -> Region:
        """Return what is the same region for points in *edges*, closed, with fewer positions for a recipe.

        A stretch of a ring that stays on one side of the box is as well a straight line there: no position is made
        or moved, so that the answers for points in the box are the same to the bit. What is left may be no valid
        polygon.
        """
        if self.polygons is None:
            return self
        kept = []
        for outer, *holes in self.polygons:
            near = [_near(ring, edges) for ring in (outer, *holes)]
            if near[0]:
                kept.append(tuple(ring for ring in near if ring))
        return Region(self.edges, tuple(kept))

    @cached_property
    def shape(self) -> Any:
        """The polygons, ready to be asked of many points."""
        import shapely

        shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in self.polygons or ()])
        shapely.prepare(shape)
        return shape


@dataclass(frozen=True)
class Placed:
    """A region for integer coordinates. *box*: the half-open one that it is, or that its polygons lie in."""

    box: Box
    region: Region
    scale: tuple[float, float]
    offset: tuple[float, float]

    def contains(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each point of integer coordinates whether it is in the region."""
        import numpy as np

        x0, y0, x1, y1 = self.box
        inside: NDArray[np.bool_] = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        if self.region.polygons is not None:
            found = np.flatnonzero(inside)
            world = (n[found] * s + o for n, s, o in zip((x, y), self.scale, self.offset, strict=True))
            inside[found] = self.region.contains(*world)
        return inside

    def holds(self, box: Box) -> bool:
        """Say whether every point in the half-open *box* is in the region; of polygons in doubt False."""
        x0, y0, x1, y1 = box
        if x0 < self.box[0] or y0 < self.box[1] or x1 > self.box[2] or y1 > self.box[3]:
            return False
        return self.region.polygons is None or bool(self.region.shape.contains_properly(self._around(box)))

    def meets(self, boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say of half-open boxes (n, 4) that meet `box` whether they may hold points of the region."""
        import numpy as np

        if self.region.polygons is None:
            return np.ones(len(boxes), np.bool_)
        import shapely

        low, high = boxes[:, :2] * np.array(self.scale) + self.offset, boxes[:, 2:] * np.array(self.scale) + self.offset
        found: NDArray[np.bool_] = shapely.intersects(self.region.shape, shapely.box(*low.T, *high.T))
        return found

    def misses(self, box: Box) -> bool:
        """Say whether no point in the half-open *box* is in the region; of polygons in doubt False."""
        x0, y0, x1, y1 = box
        if x0 >= self.box[2] or y0 >= self.box[3] or x1 <= self.box[0] or y1 <= self.box[1]:
            return True
        return self.region.polygons is not None and bool(self.region.shape.disjoint(self._around(box)))

    def _around(self, box: Box) -> Any:
        """Return *box* as a shape half a unit around its points: more than what coordinates are rounded by."""
        import shapely

        ends = [v - 0.5 for v in box]
        (sx, sy), (ox, oy) = self.scale, self.offset
        return shapely.box(ends[0] * sx + ox, ends[1] * sy + oy, ends[2] * sx + ox, ends[3] * sy + oy)


def of(asked: only.Only, crs: Crs | None) -> Region:
    """Return what ``--only`` asks for in coordinates of *crs*, that of the source."""
    if isinstance(asked, only.Bbox):
        if asked.epsg is None:
            return Region(asked.edges)
        given = crss.of_epsg(asked.epsg)
        if given is None:
            raise UsageError(f"--only {asked.said}: EPSG has no CRS {asked.epsg}")
        x0, y0, x1, y1 = asked.edges
        if given.is_geographic and not (-180 <= x0 and x1 <= 180 and -90 <= y0 and y1 <= 90):
            raise UsageError(f"--only {asked.said}: not longitudes and latitudes", hint="longitude first")
        wanted = _known(crs, asked)
        if crss.same(given, wanted):
            return Region(asked.edges)
        import shapely

        return _region(shapely.box(*asked.edges), given, wanted, f"--only {asked.said}")
    if isinstance(asked, only.Polygons):
        return _of_file(asked, crs)
    raise TypeError(f"{asked}: not a region of the plane")


def from_json(found: Mapping[str, Any]) -> Region:
    """Return the region of a recipe; FormatError if it is none."""
    edges, polygons = found.get("bbox"), found.get("polygons")
    try:
        x0, y0, x1, y1 = map(_finite, _list(edges))
        rings = None if polygons is None else tuple(tuple(map(_ring, _list(one))) for one in _list(polygons))
        if rings is not None and not all(rings):
            raise ValueError
    except (TypeError, ValueError):
        raise FormatError("the region of a chunk is none", hint="make the plan again") from None
    return Region((x0, y0, x1, y1), rings)


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError
    return found


def _finite(number: Any) -> float:
    if type(number) not in (int, float) or not math.isfinite(number):
        raise ValueError
    return float(number)


def _ring(found: Any) -> tuple[tuple[float, float], ...]:
    ring = tuple((_finite(x), _finite(y)) for x, y in _list(found))
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise ValueError
    return ring


def _first(edge: Fraction) -> int:
    """Return the first integer coordinate that is not before *edge*, as far as there are any."""
    return max(-FARTHEST, min(FARTHEST, math.ceil(edge)))


def _known(crs: Crs | None, asked: only.Bbox | only.Polygons) -> Crs:
    if crs is None or not crs.wkt:
        raise UsageError(
            f"--only {asked.said}: the source has no known CRS to put it into",
            hint="a box in the source's own coordinates: --only bbox:x0,y0,x1,y1",
        )
    return crs


def _of_file(asked: only.Polygons, crs: Crs | None) -> Region:
    import shapely

    from cbtool.source import open_source

    wanted = _known(crs, asked)
    with open_source(asked.uri) as source:
        if source.size > geojson.MOST_BYTES:
            raise FormatError(f"{asked.uri}: a region of {source.size} bytes; at most {geojson.MOST_BYTES} are taken")
        data = source.read(0, source.size) if source.size else b""
    polygons, epsg = geojson.read(data, asked.uri)
    given = crss.of_epsg(epsg)
    if given is None:
        raise FormatError(f"{asked.uri}: EPSG has no CRS {epsg}")
    shapes = [shapely.Polygon(outer, holes) for outer, *holes in polygons]
    for number, shape in enumerate(shapes, 1):
        if not shape.is_valid or not shape.area:
            why = "it has no area" if shape.is_valid else shapely.is_valid_reason(shape)
            raise FormatError(f"{asked.uri}: polygon {number} is none: {why}", hint="mend it: ogr2ogr -makevalid")
    whole = shapes[0] if len(shapes) == 1 else shapely.union_all(shapes)
    return _region(whole, given, wanted, asked.uri)


def _region(shape: Any, given: Crs, wanted: Crs, where: str) -> Region:
    """Return *shape* of one CRS in another. Edges are not straight there: they are followed in small steps."""
    import shapely

    if not crss.same(given, wanted):
        x0, y0, x1, y1 = shape.bounds
        n_positions = shapely.get_num_coordinates(shape)
        steps = max(1, min(EDGE_STEPS, MOST_POSITIONS // n_positions))
        shape = shapely.segmentize(shape, max(x1 - x0, y1 - y0) / steps)
        try:
            shape = shapely.transform(shape, lambda points: crss.transform(points, given, wanted))
        except UsageError as error:
            raise UsageError(f"{where}: {error}", hint=error.hint) from None
        if not shape.is_valid:
            raise UsageError(f"{where}: cannot be put into {wanted.name}: it does not stay one piece there")
    x0, y0, x1, y1 = shape.bounds
    parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
    rings = tuple(tuple(tuple(ring.coords) for ring in (part.exterior, *part.interiors)) for part in parts)
    return Region((x0, y0, x1, y1), rings)


def _near(ring: tuple[tuple[float, float], ...], edges: Edges) -> tuple[tuple[float, float], ...]:
    """Return *ring* without positions whose neighbours lie on the same side of the box as they; () if none is left."""
    import numpy as np

    points = np.array(ring[:-1])
    x0, y0, x1, y1 = edges
    for axis, sign, edge in ((0, 1, x0), (1, 1, y0), (0, -1, x1), (1, -1, y1)):
        outside = points[:, axis] * sign < edge * sign
        points = points[~(outside & np.roll(outside, 1) & np.roll(outside, -1))]
        if len(points) < 3:
            return ()
    return tuple((float(x), float(y)) for x, y in (*points, points[0]))
