"""The rasters of small clouds, held against sums over cells that are written out, point by point and cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cbtool.errors import UsageError
from cbtool.terrain.filling import NEAREST
from cbtool.terrain.grid import Axis, Box, Grid, Window
from cbtool.terrain.model import RASTERS, VOID, Model, Raster, rasters
from cbtool.terrain.surfaces import Points

Cell = tuple[int, int]


def cloud(n: int = 1500, seed: int = 1) -> Points:
    """Return points over 14 m by 11 m about the world's zero, in hundredths, ever fewer of them to the east."""
    random = np.random.default_rng(seed)
    east, north = random.integers(-500, 900, n), random.integers(-300, 800, n)
    kept = (east < 100) | (random.random(n) < np.where(east < 500, 0.15, 0.02))
    x, y = east[kept].astype(np.int32), north[kept].astype(np.int32)
    ground = random.random(len(x)) < 0.25
    z = (5 * x + 3 * y) // 10 + np.where(ground, 0, random.integers(0, 900, len(x)))
    return Points(x, y, z.astype(np.int32), random.random(len(x)) < 0.8, random.random(len(x)) < 0.6, ground)


def bounds(points: Points) -> Box:
    return int(points.x.min()), int(points.y.min()), int(points.x.max()) + 1, int(points.y.max()) + 1


def model_of(points: Points, resolution: str = "1", fill: int = 2, **more: Any) -> Model:
    grid = Grid.of([0.01, 0.01], [0.005, 0.0], bounds(points), Fraction(resolution))
    return replace(Model(grid, 0.01, 10.0, fill=Fraction(fill)), **more)


def cells(points: Points, resolution: str) -> list[Cell]:
    """Return the cell (column, row) of each point, by fractions."""
    step = Fraction(resolution)
    return [
        (math.floor((Fraction(int(x), 100) + Fraction(5, 1000)) / step), math.floor(Fraction(int(y), 100) / step))
        for x, y in zip(points.x, points.y, strict=True)
    ]


def ground_of(points: Points, model: Model, at: list[Cell], extent: list[Cell]) -> dict[Cell, float]:
    """Return the DTM: the mean of each cell's ground points, and for voids that of the nearest cells with data."""
    heights: dict[Cell, list[int]] = {}
    for cell, z, is_ground in zip(at, points.z.tolist(), points.is_ground, strict=True):
        if is_ground:
            heights.setdefault(cell, []).append(z)
    data = {cell: (sum(z) / len(z) * 0.01 + 10.0) * model.height_factor for cell, z in heights.items()}
    found = dict(data)
    reach = (model.fill / model.grid.resolution) ** 2
    for col, row in extent:
        far = sorted(((col - c) ** 2 + (row - r) ** 2, (c, r)) for c, r in data)
        near = [one for one in far if one[0] <= reach]
        if (col, row) in data or not near:
            continue
        last = near[min(NEAREST, len(near)) - 1][0]
        used = [(d, data[cell]) for d, cell in near if d <= last]
        found[col, row] = sum(z / d for d, z in used) / sum(1 / d for d, _ in used)
    return {cell: float(np.float32(z)) for cell, z in found.items()}


def expected(points: Points, model: Model, resolution: str) -> dict[str, dict[Cell, float]]:
    at, whole = cells(points, resolution), model.grid.extent
    extent = [(whole.col + i, whole.row + j) for i in range(whole.width) for j in range(whole.height)]
    dtm = ground_of(points, model, at, extent)
    first = [
        (cell, (z * 0.01 + 10.0) * model.height_factor)
        for cell, z, is_first in zip(at, points.z.tolist(), points.is_first, strict=True)
        if is_first
    ]
    dsm = {cell: max(z for c, z in first if c == cell) for cell in {cell for cell, _ in first}}
    made: dict[str, dict[Cell, float]] = {"dsm": dsm, "dtm": dtm, "chm": {}, "slope": {}, "aspect": {}, "cover": {}}
    half = model.cover_window // 2
    for col, row in extent:
        cell = col, row
        if cell in dsm and cell in dtm:
            made["chm"][cell] = max(0.0, dsm[cell] - dtm[cell])
        around = {(i, j): dtm.get((col + i, row + j)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
        if None not in around.values():
            v = {key: float(value) for key, value in around.items() if value is not None}
            east = sum((2 - abs(j)) * (v[1, j] - v[-1, j]) for j in (-1, 0, 1)) / 8 / float(Fraction(resolution))
            north = sum((2 - abs(i)) * (v[i, 1] - v[i, -1]) for i in (-1, 0, 1)) / 8 / float(Fraction(resolution))
            made["slope"][cell] = math.degrees(math.atan(math.hypot(east, north)))
            if east or north:
                made["aspect"][cell] = math.degrees(math.atan2(-east, -north)) % 360
        window = [(z, dtm[c]) for c, z in first if abs(c[0] - col) <= half and abs(c[1] - row) <= half and c in dtm]
        if window:
            made["cover"][cell] = sum(z > g + model.cover_above for z, g in window) / len(window)
    return made


@pytest.mark.parametrize(("resolution", "factor"), [("1", 1.0), ("0.9144", 1.0), ("2", 0.3048)])
def test_each_raster_is_what_its_definition_says(resolution: str, factor: float) -> None:
    points = cloud()
    model = model_of(points, resolution, height_factor=factor)
    whole = model.grid.extent
    made, wanted = rasters(points, model, whole), expected(points, model, resolution)
    assert tuple(made) and set(made) == set(RASTERS)
    for name, raster in made.items():
        assert raster.shape == (whole.height, whole.width) and raster.dtype == np.float32
        there = {(whole.col + int(i), whole.row + int(j)): float(raster[j, i]) for j, i in np.argwhere(raster != VOID)}
        assert there.keys() == wanted[name].keys(), name
        turned = [abs(there[cell] - value) for cell, value in wanted[name].items()]
        assert max(min(one, 360 - one) if name == "aspect" else one for one in turned) < 2e-3, name
        assert name != "dsm" or max(turned) < 1e-6
    assert (made["dsm"] == VOID).any() and (made["chm"] == 0).any()
    assert (made["dtm"] == VOID).any(), "voids are not filled from afar"


def shared_out(box: Box, n: int, seed: int) -> Iterator[Box]:
    """Yield *n* boxes that share out *box*, cut at random places."""
    random, boxes = np.random.default_rng(seed), [box]
    while len(boxes) < n:
        x0, y0, x1, y1 = boxes.pop(0)
        if x1 - x0 > y1 - y0:
            at = int(random.integers(x0 + 1, x1))
            boxes += [(x0, y0, at, y1), (at, y0, x1, y1)]
        else:
            at = int(random.integers(y0 + 1, y1))
            boxes += [(x0, y0, x1, at), (x0, at, x1, y1)]
    yield from boxes


def mosaic(points: Points, model: Model, boxes: Iterator[Box], units: int) -> dict[str, Raster]:
    """Return the rasters of all boxes, each made of the points within *units* of it, in an order of their own."""
    whole, random = model.grid.extent, np.random.default_rng(3)
    made = {name: np.full((whole.height, whole.width), np.nan, np.float32) for name in RASTERS}
    for x0, y0, x1, y1 in boxes:
        near = (points.x >= x0 - units) & (points.x < x1 + units) & (points.y >= y0 - units) & (points.y < y1 + units)
        some = points.taken(random.permutation(np.flatnonzero(near)))
        own = model.grid.owned((x0, y0, x1, y1))
        for name, raster in rasters(some, model, own).items():
            assert np.isnan(made[name][own.inside(whole)]).all(), "a cell has two owners"
            made[name][own.inside(whole)] = raster
    return made


@pytest.mark.parametrize("resolution", ["1", "0.9144"])
@pytest.mark.parametrize("n", [3, 7, 40])
def test_the_same_to_the_bit_for_any_chunks(n: int, resolution: str) -> None:
    points = cloud()
    model = model_of(points, resolution, cover_window=5)
    units = (model.margin + 1) * math.ceil(100 * Fraction(resolution))
    whole = rasters(points, model, model.grid.extent)
    x0, y0, x1, y1 = bounds(points)
    # Chunks may share out more than the bounds, and begin before them.
    made = mosaic(points, model, shared_out((x0 - 130, y0 - 30, x1 + 99, y1), n, seed=n), units)
    assert all(np.array_equal(made[name], whole[name]) for name in RASTERS)


def test_too_little_overlap_is_seen() -> None:
    points = cloud()
    model = model_of(points)
    whole = rasters(points, model, model.grid.extent)
    made = mosaic(points, model, shared_out(bounds(points), 7, seed=7), 0)
    assert not all(np.array_equal(made[name], whole[name]) for name in RASTERS)


def plane(east: float, north: float) -> Points:
    """Return ground points in the middles of 6 by 6 cells of 1 m, on a plane of that rise to the east and north."""
    at: NDArray[np.int32] = np.arange(50, 650, 100, dtype=np.int32)
    x, y = (one.reshape(-1) for one in np.meshgrid(at, at))
    everywhere = np.ones(len(x), bool)
    return Points(x, y, np.rint(east * x + north * y).astype(np.int32), everywhere, everywhere, everywhere)


@pytest.mark.parametrize(
    ("east", "north", "faces"),
    [(0, -1, 0), (-1, -1, 45), (-1, 0, 90), (-1, 1, 135), (0, 1, 180), (1, 1, 225), (1, 0, 270), (1, -1, 315)],
)
def test_a_plane_has_its_slope_and_faces_where_it_falls_to(east: int, north: int, faces: int) -> None:
    points = plane(east / 2, north / 2)
    made = rasters(points, model_of(points), Window(0, 0, 6, 6))
    inner = made["slope"][1:-1, 1:-1], made["aspect"][1:-1, 1:-1]
    assert np.allclose(inner[0], math.degrees(math.atan(math.hypot(east, north) / 2)), atol=1e-4)
    assert np.allclose(inner[1], faces, atol=1e-3)
    for name in ("slope", "aspect"):
        assert (made[name] == VOID).sum() == 20, "the edge has no slope"


def test_flat_land_has_no_aspect() -> None:
    points = plane(0, 0)
    made = rasters(points, model_of(points), Window(0, 0, 6, 6))
    assert (made["aspect"] == VOID).all() and (made["slope"][1:-1, 1:-1] == 0).all()


def test_a_point_on_a_border_is_in_the_cell_that_begins_there() -> None:
    feet = Axis(Fraction(1, 100), Fraction(0), Fraction("0.9144"))
    units = np.array([-92, -91, -1, 0, 91, 92, 182, 183], np.int32)
    assert feet.cells(units, 0, 2).tolist() == [-1, -1, -1, 0, 0, 1, 1, 2]
    assert [feet.cell(int(unit)) for unit in units] == [-2, -1, -1, 0, 0, 1, 1, 2]
    metres = Axis(Fraction(1, 100), Fraction(0), Fraction(1))
    far = np.array([-(2**31), -1, 0, 99, 100, 2**31 - 1], np.int32)
    assert metres.cells(far, 0, 1).tolist() == [-21474837, -1, 0, 0, 1, 21474836]
    assert metres.cells(far, -21474837, 1)[-1] == 2 * 21474836 + 1


def test_what_makes_no_model_is_refused() -> None:
    points = cloud()
    with pytest.raises(UsageError, match="odd"):
        model_of(points, cover_window=2)
    with pytest.raises(UsageError, match="more than 0"):
        model_of(points, "0")
    with pytest.raises(UsageError, match="too fine"):
        model_of(points, "1e-12")
    with pytest.raises(UsageError, match="0 or more"):
        model_of(points, fill=-1)


def test_a_model_goes_to_json_and_back() -> None:
    model = model_of(cloud(), "0.9144", height_factor=0.3048)
    assert Model.from_json(model.to_json()) == model
