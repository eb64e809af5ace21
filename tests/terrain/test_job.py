"""Terrain models of files, from the points to the GeoTIFFs: the same bytes however the cloud is cut."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from cbtool.asked import Options
from cbtool.destination import Folder
from cbtool.errors import CannotWrite, CbtoolError, TaskFailed
from cbtool.indexing import build
from cbtool.job import Engine
from cbtool.session import opened
from cbtool.stagers import mosaic
from cbtool.terrain.job import make
from cbtool.terrain.model import RASTERS, VOID
from cbtool.terrain.planning import Asked, Planned, planned
from fixtures import clouds
from fixtures.las_files import File
from tests.inprocess import Inline
from tests.processes import ROOT

REAL = ROOT.parent / "shared" / "data" / "lidar" / "lasR_bcts_1.laz"
COARSE = Asked(resolution="4", fill="12m", cover_window=1)
ALL = [f"{name}.tif" for name in RASTERS]


def plan(paths: Sequence[Path], asked: Asked, said: list[str] | None = None, **options: Any) -> Planned:
    say = (said if said is not None else []).append
    with opened([os.fspath(path) for path in paths]) as sources:
        return planned(
            sources,
            asked,
            Options(**{"chunks": 1, **options}),
            lambda missing, form: build(missing, form, Inline(), 1),
            index_to=os.fspath(paths[0].parent / "indexes") if paths[0] != REAL else None,
            say=say,
        )


def model(paths: Sequence[Path], folder: Path, asked: Asked = COARSE, **options: Any) -> dict[str, bytes]:
    """Return the files of the model of *paths*, made in *folder*; no others are there."""
    make(plan(paths, asked, **options), Folder(os.fspath(folder)), Engine(Inline())).check()
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and _is_its(path)}


def _is_its(path: Path) -> bool:
    return path.parent.name != ".cbtool"


def written(folder: Path, **files: bytes) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def read(data: bytes) -> NDArray[np.float32]:
    with rasterio.MemoryFile(data) as file, file.open() as raster:
        found: NDArray[np.float32] = raster.read(1)
        return found


@pytest.fixture
def cloud(tmp_path: Path) -> list[Path]:
    return written(tmp_path, cloud=clouds.cloud(6, 6_000).laz(500))


@pytest.mark.parametrize("ground", ["classes", "morphology"])
def test_the_same_bytes_for_any_number_of_chunks(ground: str, cloud: list[Path], tmp_path: Path) -> None:
    asked = replace(COARSE, ground=ground, ground_window="20m")
    first, *others = (model(cloud, tmp_path / f"{n}", asked, chunks=n) for n in (1, 3, 7, 16))
    assert sorted(first) == sorted(ALL)
    for other in others:
        assert other == first


@pytest.mark.skipif(not REAL.exists(), reason="the files are not beside the checkout")
def test_the_same_bytes_of_a_real_tile(tmp_path: Path) -> None:
    link = tmp_path / "tile.laz"
    link.symlink_to(REAL)
    made = [model([link], tmp_path / f"{n}", Asked(), chunks=n) for n in (1, 7)]
    assert made[0] == made[1] and sorted(made[0]) == sorted(ALL)
    chm = read(made[0]["chm.tif"])
    assert 5 < np.median(chm[chm != VOID]) < 30, "it is a forest"


def test_several_files_are_one_cloud(tmp_path: Path) -> None:
    tiles = clouds.tiles()
    paths = written(tmp_path, a=tiles[0].laz(500), b=tiles[1].las())
    made = model(paths, tmp_path / "both", chunks=3)
    reverse = model(paths[::-1], tmp_path / "turned", chunks=2)
    assert all(np.array_equal(read(made[name]), read(reverse[name])) for name in ALL)
    alone = [read(model([path], tmp_path / f"of-{path.name}")["dsm.tif"]) for path in paths]
    assert (read(made["dsm.tif"]) != VOID).sum() == pytest.approx(sum((one != VOID).sum() for one in alone), rel=0.05)


def points(heights: Mapping[tuple[float, float], float], **fields: int) -> Any:
    """Return records of format 6 at places in metres; ground, and first of one return, but for *fields*."""
    records = clouds.terrain(len(heights), 6)
    for name, value in {"classification": 2, "classification_flags": 0, "bit_fields": 0x11, **fields}.items():
        records[name] = value
    for axis, values in zip("XYZ", zip(*((x, y, z) for (x, y), z in heights.items()), strict=True), strict=True):
        records[axis] = np.rint(np.array(values) * 100)
    return records


FLAT = {(x + 0.5, y + 0.5): 10.0 for x in range(6) for y in range(5)}


def test_noise_and_withheld_points_are_left_out(tmp_path: Path) -> None:
    high, low = {(2.5, 2.5): 500.0}, {(3.5, 3.5): -500.0}
    bad = [points(high, classification=18), points(low, classification=7), points(high, classification_flags=4)]
    paths = written(tmp_path, cloud=clouds.cloud(6, records=np.concatenate([points(FLAT), *bad])).las())
    made = model(paths, tmp_path / "out", Asked())
    for name in ("dsm", "dtm"):
        assert (read(made[f"{name}.tif"]) == 10).all()
    only_bad = written(tmp_path, bad=clouds.cloud(6, records=np.concatenate(bad[:2])).las())
    assert "every point is noise" in refused(only_bad, tmp_path / "none", Asked(ground="morphology"))


def refused(paths: Sequence[Path], folder: Path, asked: Asked) -> str:
    with pytest.raises(CbtoolError) as error:
        model(paths, folder, asked)
    return str(error.value)


def test_heights_are_in_the_unit_of_the_grid(tmp_path: Path) -> None:
    slanting = {(x + 0.5, y + 0.5): 3 * x for x in range(6) for y in range(5)}
    feet = File(points(slanting), 6, vlrs=(clouds.geo_keys(2993, 9001, 6360, 9003),), encoding=1)
    made = model(written(tmp_path, cloud=feet.las()), tmp_path / "out", Asked())
    foot = 1200 / 3937
    assert np.allclose(read(made["dtm.tif"])[2], [3 * x * foot for x in range(6)], atol=1e-5)
    assert np.allclose(read(made["slope.tif"])[2, 1:-1], math.degrees(math.atan(3 * foot)), atol=1e-4)
    with rasterio.open(tmp_path / "out" / "dsm.tif") as raster:
        assert raster.units == ("metre",) and raster.crs.to_epsg() == 2993


def test_lengths_are_those_of_a_crs_in_feet(tmp_path: Path) -> None:
    wide = {(10 * x, 10 * y): 40.0 for (x, y) in FLAT}
    tall = points({place: 40 + 8 for place in wide}, classification=5)
    ground = points(wide, bit_fields=0x22)
    feet = File(np.concatenate([ground, tall]), 6, vlrs=(clouds.OREGON_FEET,), encoding=1)
    paths = written(tmp_path, cloud=feet.las())
    made = model(paths, tmp_path / "out", Asked(resolution="3m"))
    with rasterio.open(tmp_path / "out" / "dtm.tif") as raster:
        assert raster.res == pytest.approx((3 / 0.3048, 3 / 0.3048)) and raster.units == ("foot",)
    assert set(read(made["cover.tif"]).ravel()) == {1.0}, "8 ft are more than 2 m"
    higher = model(paths, tmp_path / "higher", Asked(resolution="3m", cover_height="2.5m"))
    assert set(read(higher["cover.tif"]).ravel()) == {0.0}, "and less than 2.5 m"


def test_a_raster_is_a_cloud_optimised_geotiff(cloud: list[Path], tmp_path: Path) -> None:
    asked = replace(COARSE, resolution="0.5", fill="0", rasters=("aspect", "dsm"))
    made = model(cloud, tmp_path / "out", asked)
    assert list(made) == ["aspect.tif", "dsm.tif"]
    for name, unit in (("dsm", "metre"), ("aspect", "degree")):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as raster:
            assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.block_shapes == [(512, 512)]
            assert raster.overviews(1) == [2] and raster.nodata == VOID and raster.descriptions == (name,)
            assert raster.units == (unit,) and raster.crs.to_epsg() == 25830
            assert raster.transform.c % 0.5 == raster.transform.f % 0.5 == 0, "cells lie at whole multiples"
            assert raster.bounds.left <= 500_000.5 and raster.bounds.right >= 500_399.5


def test_a_region_is_all_that_is_made(cloud: list[Path], tmp_path: Path) -> None:
    whole = model(cloud, tmp_path / "whole", chunks=2)
    part = model(cloud, tmp_path / "part", chunks=3, only="bbox:500100,4100040,500300,4100200")
    with rasterio.open(tmp_path / "part" / "dsm.tif") as raster:
        assert raster.bounds == (500_100, 4_100_040, 500_300, 4_100_200)
    x, y = (500_100 - 500_000) // 4, (4_100_240 - 4_100_200) // 4
    assert np.array_equal(read(part["dsm.tif"]), read(whole["dsm.tif"])[y : y + 40, x : x + 50])


def test_what_was_begun_is_gone_on_with(cloud: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    wanted = model(cloud, tmp_path / "whole", chunks=5)
    stage = mosaic.stage
    monkeypatch.setattr(mosaic, "stage", _failing_for("slope.tif", stage))
    with pytest.raises(CbtoolError, match="1 of 6"):
        model(cloud, folder, chunks=5)
    monkeypatch.setattr(mosaic, "stage", stage)
    before = (folder / "dtm.tif").stat().st_mtime_ns
    report = make(plan(cloud, COARSE, chunks=5), Folder(os.fspath(folder)), Engine(Inline()))
    assert (report.kept, report.done) == (5, 1) and (folder / "dtm.tif").stat().st_mtime_ns == before
    assert {path.name: path.read_bytes() for path in folder.glob("*.tif")} == wanted
    (folder / "dsm.tif").unlink()
    assert model(cloud, folder, chunks=5) == wanted, "the tiles were gone, and are made again"
    with pytest.raises(CannotWrite, match="another run"):
        model(cloud, folder, replace(COARSE, resolution="5"), chunks=5)


def _failing_for(name: str, stage: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def fails(task: Mapping[str, Any]) -> Any:
        if name in task["chunk"]:
            raise TaskFailed("no")
        return stage(task)

    return fails


def test_ground_is_told_by_a_cloth_where_no_class_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(2)
    places = random.random((6_000, 2)) * 60
    trees = random.random(len(places)) < 0.2
    ground = 20 + places[:, 0] / 10
    records = points(
        {(x, y): z for (x, y), z in zip(places.tolist(), ground + 9 * trees, strict=True)}, classification=1
    )
    paths = written(tmp_path, cloud=clouds.cloud(6, records=records).las())
    said: list[str] = []
    asked = Asked(resolution="2", cloth_rigidness=1, rasters=("dtm",))
    plan(paths, asked, said)
    assert "ground: no point has class 2: cloth simulation" in said
    whole, cut = (read(model(paths, tmp_path / f"{n}", asked, chunks=n)["dtm.tif"]) for n in (1, 4))
    slope = 20 + (np.arange(30) * 2 + 1) / 10
    assert np.abs(whole[2:28, 2:28] - slope[2:28]).max() < 0.5
    assert np.abs(cut - whole)[2:28, 2:28].max() < 0.2, "what chunks may differ by, on land like this"
    assert "cloth_nodes.txt" not in os.listdir()


@pytest.mark.parametrize(
    ("file", "asked", "status", "said"),
    [
        (clouds.cloud(6, 50, vlrs=()), {}, 2, "no known CRS"),
        (clouds.degrees(), {}, 2, "units of a degree"),
        (clouds.cloud(6, 0), {}, 65, "no points"),
        (clouds.cloud(6, 50), {"ground_classes": (40,), "ground": "classes"}, 65, "no point has class 40"),
        (clouds.cloud(6, 50), {"resolution": "x"}, 2, "not a length"),
        (clouds.cloud(6, 50), {"cover_window": 2}, 2, "not an odd number"),
    ],
)
def test_what_no_model_can_be_made_of_is_refused(
    file: File, asked: Mapping[str, Any], status: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(CbtoolError, match=said) as error:
        model(written(tmp_path, cloud=file.las()), tmp_path / "out", Asked(**asked))
    assert error.value.exit_code == status and not (tmp_path / "out").exists()


def test_equal_points_and_one_point(tmp_path: Path) -> None:
    paths = written(tmp_path, equal=clouds.equal().las(), one=clouds.cloud(6, 1).las())
    for path in paths:
        made = model([path], tmp_path / f"of-{path.name}", Asked(ground="morphology"), chunks=3)
        assert read(made["dsm.tif"]).shape == (1, 1) and (read(made["slope.tif"]) == VOID).all()


@pytest.mark.parametrize(
    "asked", [{"ground": "magic"}, {"cloth_rigidness": 4}, {"rasters": ("dsm", "map")}, {"ground_slope": math.nan}]
)
def test_options_that_make_no_sense_are_refused(asked: Mapping[str, Any]) -> None:
    with pytest.raises(CbtoolError) as error:
        Asked(**asked)
    assert error.value.exit_code == 2
