"""The density of a plan's sources from the indexes that it was made with: right where it is there, and never needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cbtool.density import raster_of
from cbtool.report.balance import against_grid, spread
from cbtool.report.plane import plane_of
from fixtures import clouds
from tests.inprocess import plan_of


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return tiles side by side, with their indexes."""
    folder = tmp_path_factory.mktemp("tiles")
    names = []
    for number, tile in enumerate(clouds.tiles()):
        names.append(str(folder / f"{number}.laz"))
        Path(names[-1]).write_bytes(tile.laz())
    plan_of(names, chunks=2)
    return names


@pytest.mark.parametrize("by", ["points", "bytes", "returns", "ground"])
def test_it_has_what_the_plan_has(tiles: list[str], by: str) -> None:
    plan = plan_of(tiles, chunks=7, by=by)
    found = raster_of(plan, None)
    assert found is not None and found.of == ("points" if by == "bytes" else by)
    counted = [chunk.records or 0 if by == "bytes" else chunk.weight for chunk in plan]
    assert int(found.counts.sum()) == sum(counted)
    for chunk, weight in zip(plan, counted, strict=True):
        x0, y0, x1, y1 = (chunk.core or {})["box"]
        columns = (found.x_edges[:-1] >= x0) & (found.x_edges[1:] <= x1)
        rows = (found.y_edges[:-1] >= y0) & (found.y_edges[1:] <= y1)
        assert int(found.counts[columns][:, rows].sum()) == weight


@pytest.mark.parametrize("n_chunks", [3, 8, 20])
def test_the_fixed_grid_is_what_a_plan_by_grid_comes_to(tiles: list[str], n_chunks: int) -> None:
    plan = plan_of(tiles, chunks=n_chunks)
    plane = plane_of(plan)
    assert plane is not None
    found = against_grid(plane, raster_of(plan, None), n_chunks, 4)
    grid = [chunk.weight for chunk in plan_of(tiles, chunks=n_chunks, shape="grid")]
    assert found["fixed_grid_from"] == "index" and found["fixed_grid_tiles"] == len(grid)
    assert found["fixed_grid_max_over_mean"] == spread(grid)["max_over_mean"]


def test_of_a_region_it_ends_where_the_plan_does(tiles: list[str]) -> None:
    whole = plan_of(tiles, chunks=2)
    x0, y0, x1, y1 = clouds.EAST + 50, clouds.NORTH + 50, clouds.EAST + 150, clouds.NORTH + 120
    plan = plan_of(tiles, chunks=3, only=f"bbox:{x0},{y0},{x1},{y1}")
    all_of_it, found = raster_of(whole, None), raster_of(plan, None)
    assert all_of_it is not None and found is not None
    boxes = [(chunk.core or {})["box"] for chunk in plan]
    assert found.x_edges[1] > min(box[0] for box in boxes) >= found.x_edges[0]
    assert found.y_edges[-2] < max(box[3] for box in boxes) <= found.y_edges[-1]
    assert 0 < int(found.counts.sum()) < int(all_of_it.counts.sum())


def test_of_a_polygon_there_is_none(tiles: list[str], tmp_path: Path) -> None:
    x, y = clouds.EAST, clouds.NORTH
    corners = [[x, y], [x + 200, y], [x, y + 200], [x, y]]
    area = tmp_path / "area.geojson"
    crs = {"type": "name", "properties": {"name": "EPSG:25830"}}
    area.write_text(json.dumps({"type": "Polygon", "crs": crs, "coordinates": [corners]}))
    plan = plan_of(tiles, chunks=3, only=f"@{area}")
    assert raster_of(plan, None) is None


def test_without_all_the_indexes_there_is_none(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number}.laz") for number in range(2)]
    for name, tile in zip(names, clouds.tiles(), strict=False):
        Path(name).write_bytes(tile.laz())
    plan = plan_of(names, chunks=4, index_to=str(tmp_path / "indexes"))
    assert raster_of(plan, None) is None
    assert raster_of(plan, str(tmp_path / "indexes")) is not None
    assert raster_of(plan[:3], str(tmp_path / "indexes")) is None  # a part of a plan
    for path in map(Path, names):
        path.unlink()
    assert raster_of(plan, str(tmp_path / "indexes")) is not None  # no source is opened
    other = [replace(one, sources=tuple(replace(source, version="other") for source in one.sources)) for one in plan]
    assert raster_of(other, str(tmp_path / "indexes")) is None
    first = sorted((tmp_path / "indexes").iterdir())[0]
    first.write_bytes(first.read_bytes()[:-9] + b"\0" * 9)
    assert raster_of(plan, str(tmp_path / "indexes")) is None


def test_a_format_without_any_and_sources_elsewhere_have_none(tiles: list[str]) -> None:
    plan = plan_of(tiles, chunks=2)
    assert raster_of([replace(one, format="text") for one in plan], None) is None
    away = [
        replace(one, sources=tuple(replace(source, uri="s3://nowhere/" + source.uri) for source in one.sources))
        for one in plan
    ]
    assert raster_of(away, None) is None
