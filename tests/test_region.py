"""Regions: what is in them, in world coordinates and in a cloud's integers, and that no answer hangs on a rounding."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from cbtool import crs, only
from cbtool import region as region_module
from cbtool.crs import Crs
from cbtool.errors import CbtoolError, FormatError, MissingInput, UsageError
from cbtool.region import Edges, Placed, Region, from_json, of

UTM = crs.of_epsg(25830)
LON_LAT = crs.of_epsg(4326)
L_SHAPE = [[0.0, 0.0], [10.0, 0.0], [10.0, 4.0], [4.0, 4.0], [4.0, 10.0], [0.0, 10.0], [0.0, 0.0]]
HOLE = [[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0], [1.0, 1.0]]


def asked(text: str, system: Crs | None = UTM) -> Region:
    return of(only.parse(text), system)


def on_disk(path: Path, *polygons: list[list[list[float]]], epsg: int | None = 25830) -> str:
    named = {"type": "name", "properties": {"name": f"EPSG:{epsg}"}}
    found = {"type": "MultiPolygon", "coordinates": polygons}
    path.write_text(json.dumps(found | ({"crs": named} if epsg else {})))
    return f"@{path}"


# --- boxes -----------------------------------------------------------------------------------------------------------


def test_a_box_is_half_open() -> None:
    region = asked("bbox:1,2,3,4")
    x, y = np.array([1, 1, 3, 2.999, 2, 0.999]), np.array([2, 4, 2, 3.999, 1.999, 3])
    assert region.contains(x, y).tolist() == [True, False, False, True, False, False]
    assert region.edges == (1, 2, 3, 4)


NUMBERS = st.decimals(-1000, 1000, places=3).map(float)
SIDES = st.decimals("0.001", 1000, places=3).map(float)
SCALES = st.sampled_from([0.01, 0.001, 0.00025, 0.3, 1.0, 1e-7, 2.5])


@given(NUMBERS, NUMBERS, SIDES, SIDES, SCALES, SCALES, NUMBERS, st.lists(st.integers(-9, 9), min_size=1))
def test_integers_are_decided_exactly(
    x0: float, y0: float, width: float, height: float, sx: float, sy: float, offset: float, beside: list[int]
) -> None:
    placed = Region((x0, y0, x0 + width, y0 + height)).to_units((sx, sy), (offset, -offset))
    x1, y1 = (Fraction(repr(edge)) for edge in placed.region.edges[2:])
    near_x = [edge + n for edge in placed.box[0::2] for n in beside]
    near_y = [edge + n for edge in placed.box[1::2] for n in beside]
    found = placed.contains(np.array(near_x, np.int64), np.array(near_y, np.int64)).tolist()

    def world(n: int, scale: float, zero: float) -> Fraction:
        return n * Fraction(repr(scale)) + Fraction(repr(zero))

    assert found == [
        Fraction(repr(x0)) <= world(x, sx, offset) < x1 and Fraction(repr(y0)) <= world(y, sy, -offset) < y1
        for x, y in zip(near_x, near_y, strict=True)
    ]


def test_a_box_that_floats_would_miss() -> None:
    placed = asked("bbox:0.29,0,0.57,1").to_units((0.01, 0.01), (0.0, 0.0))
    assert placed.box == (29, 0, 57, 100)  # 0.29 / 0.01 is 28.999999999999996, 0.57 / 0.01 is 56.99999999999999


def test_a_box_beyond_all_coordinates() -> None:
    placed = asked("bbox:-1e99,-1e99,1e99,1e99").to_units((1e-7, 1e-7), (0.0, 0.0))
    x = np.array([-(2**31), 0, 2**31 - 1], np.int32)
    assert placed.contains(x, x).all() and placed.holds((-(2**31), -(2**31), 2**31, 2**31))


def test_boxes_that_lie_inside_and_outside_a_box() -> None:
    placed = Placed((0, 0, 10, 10), Region((0, 0, 10, 10)), (1, 1), (0, 0))
    assert placed.holds((0, 0, 10, 10)) and not placed.misses((0, 0, 10, 10))
    assert placed.misses((10, 0, 12, 10)) and placed.misses((-2, 0, 0, 10)) and placed.misses((0, 10, 1, 11))
    assert not placed.holds((9, 9, 11, 11)) and not placed.misses((9, 9, 11, 11))


# --- polygons --------------------------------------------------------------------------------------------------------


def test_polygons_of_a_file(tmp_path: Path) -> None:
    far = [[[x + 100, y] for x, y in L_SHAPE]]
    region = asked(on_disk(tmp_path / "a.geojson", [L_SHAPE, HOLE], far))
    assert region.edges == (0, 0, 110, 10)
    x, y = np.array([0.5, 2, 5, 9, 105, 109, 50, 0]), np.array([0.5, 2, 5, 3, 5, 3, 1, 5])
    assert region.contains(x, y).tolist() == [True, False, False, True, False, True, False, False]


def test_polygons_that_overlap_are_one(tmp_path: Path) -> None:
    region = asked(on_disk(tmp_path / "a.geojson", [L_SHAPE], [[[x + 1, y + 1] for x, y in L_SHAPE]]))
    assert region.contains(np.array([2.0]), np.array([2.0])).all()
    assert region.polygons is not None and len(region.polygons) == 1


@st.composite
def shapes(draw: st.DrawFn) -> Region:
    """Return a valid region of one or two polygons, perhaps with holes."""
    found = []
    for at in range(draw(st.integers(1, 2))):
        corners = draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=9, unique=True))
        middle = np.mean(corners, axis=0)
        corners.sort(key=lambda one: (math.atan2(one[1] - middle[1], one[0] - middle[0]), one))
        star = shapely.Polygon([(x + 30 * at, y) for x, y in corners])
        assume(star.is_valid and star.area > 1)
        inner = shapely.box(*star.centroid.buffer(0.7).bounds)
        found.append(star.difference(inner) if draw(st.booleans()) and star.contains_properly(inner) else star)
    rings = tuple(tuple(tuple(ring.coords) for ring in (one.exterior, *one.interiors)) for one in found)
    return Region(shapely.union_all(found).bounds, rings)


BOXES = st.tuples(st.integers(-90, 220), st.integers(-90, 220), st.integers(1, 90), st.integers(1, 90)).map(
    lambda one: (one[0], one[1], one[0] + one[2], one[1] + one[3])
)


@given(shapes(), BOXES)
def test_boxes_inside_and_outside_of_polygons(region: Region, box: tuple[int, int, int, int]) -> None:
    placed = region.to_units((0.1, 0.1), (0.0, -0.5))
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(box[0], box[2]), np.arange(box[1], box[3])))
    inside = placed.contains(x, y)
    assert inside.all() or not placed.holds(box)
    assert not inside.any() or not placed.misses(box)
    assert (inside == region.contains(x * 0.1, y * 0.1 - 0.5)).all()


def test_boxes_well_inside_and_outside_of_polygons_are_seen(tmp_path: Path) -> None:
    placed = asked(on_disk(tmp_path / "a.geojson", [L_SHAPE, HOLE])).to_units((0.01, 0.01), (0.0, 0.0))
    assert placed.box == (0, 0, 1000, 1000)
    assert placed.holds((310, 10, 990, 390)) and placed.holds((500, 200, 501, 201))
    assert placed.misses((410, 410, 2000, 2000)) and placed.misses((110, 110, 290, 290))
    assert not placed.holds((50, 50, 200, 200)) and not placed.misses((50, 50, 200, 200))


@given(shapes(), st.tuples(st.integers(-5, 50), st.integers(-5, 25), st.integers(1, 12), st.integers(1, 12)))
def test_a_region_near_a_box_answers_there_as_the_whole(region: Region, box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    near = from_json(json.loads(json.dumps(region.near((x0, y0, x1, y1)).to_json())))
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(x0, x1, 25), np.linspace(y0, y1, 25)))
    assert (near.contains(x, y) == region.contains(x, y)).all()


def test_a_region_near_a_box_is_small() -> None:
    turn = np.linspace(0, 2 * np.pi, 10_001)[:-1]
    ring = [(float(x), float(y)) for x, y in zip(1000 * np.cos(turn), 1000 * np.sin(turn), strict=True)]
    circle = Region((-1000, -1000, 1000, 1000), (((*ring, ring[0]),),))
    near = circle.near((990, -5, 1010, 5))
    assert near.polygons is not None and len(near.polygons[0][0]) < 40
    assert circle.near((2000, 0, 2010, 10)).polygons == ()
    assert not circle.near((2000, 0, 2010, 10)).contains(np.array([2005.0]), np.array([5.0])).any()


@given(shapes())
def test_to_json_and_back(region: Region) -> None:
    assert from_json(json.loads(json.dumps(region.to_json()))) == region
    box = Region(region.edges)
    assert from_json(json.loads(json.dumps(box.to_json()))) == box and box.near((0, 0, 1, 1)) is box


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"bbox": None},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, True]},
        {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": "1234"},
        {"bbox": [1, 2, 3, 4], "polygons": 7},
        {"bbox": [1, 2, 3, 4], "polygons": [[]]},
        {"bbox": [1, 2, 3, 4], "polygons": [[[[1, 2]]]]},
        {"bbox": [1, 2, 3, 4], "polygons": [[[[0, 0], [1, 0], [1, 1], [0, 1]]]]},
        {"bbox": [1, 2, 3, 4], "polygons": [[["ab", "cd", "ef", "ab"]]]},
        {"bbox": [1, 2, 3, 4], "polygons": [[[{}, {}, {}, {}]]]},
    ],
)
def test_a_recipe_that_holds_no_region(wrong: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="^the region of a chunk is none$"):
        from_json(wrong)


# --- other coordinates -----------------------------------------------------------------------------------------------


def in_lon_lat(edges: Edges, x: Any, y: Any) -> Any:
    """Say what a look at each point's longitude and latitude says: inside, and whether it is too near to say."""
    assert UTM is not None and LON_LAT is not None
    lon, lat = crs.transform(np.column_stack([x, y]), UTM, LON_LAT).T
    inside = (lon > edges[0]) & (lon < edges[2]) & (lat > edges[1]) & (lat < edges[3])
    close = np.min(np.abs([lon - edges[0], lon - edges[2], lat - edges[1], lat - edges[3]]), axis=0) < 1e-7
    return inside, close


@pytest.mark.parametrize("text", ["bbox@EPSG:4326:-4,40,-3,41", "bbox@EPSG:4326:-5.5,40,-5.499,40.001"])
def test_a_box_of_longitudes_and_latitudes_follows_its_curved_edges(text: str) -> None:
    region = asked(text)
    random = np.random.default_rng(1)
    x0, y0, x1, y1 = region.edges
    x, y = random.uniform(x0, x1, 20_000), random.uniform(y0, y1, 20_000)
    bbox = only.parse(text)
    assert isinstance(bbox, only.Bbox)
    inside, close = in_lon_lat(bbox.edges, x, y)
    assert (region.contains(x, y) == inside)[~close].all() and inside.any() and not inside.all()


def test_a_file_without_a_crs_is_in_longitudes_and_latitudes(tmp_path: Path) -> None:
    box = [[-4.0, 40.0], [-3.0, 40.0], [-3.0, 41.0], [-4.0, 41.0], [-4.0, 40.0]]
    of_file = asked(on_disk(tmp_path / "a.geojson", [box], epsg=None))
    edges = asked("bbox@EPSG:4326:-4,40,-3,41").edges
    assert of_file.edges == pytest.approx(edges, abs=0.01)


def test_the_same_crs_moves_nothing(tmp_path: Path) -> None:
    assert asked("bbox@EPSG:25830:1.1,2.2,3.3,4.4") == Region((1.1, 2.2, 3.3, 4.4))
    assert asked("bbox@EPSG:4326:1.1,2.2,3.3,4.4", LON_LAT) == Region((1.1, 2.2, 3.3, 4.4))
    whole = asked(on_disk(tmp_path / "a.geojson", [L_SHAPE, HOLE]))
    assert whole.polygons == (tuple(tuple((x, y) for x, y in ring) for ring in (L_SHAPE, HOLE)),)


def refusal(text: str, system: Crs | None, kind: type[CbtoolError]) -> str:
    with pytest.raises(kind) as refused:
        asked(text, system)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_regions_that_cannot_be_put_into_the_source(tmp_path: Path) -> None:
    box = "bbox@EPSG:4326:-4,40,-3,41"
    file = on_disk(tmp_path / "a.geojson", [L_SHAPE])
    nowhere = "the source has no known CRS to put it into"
    assert refusal(box, None, UsageError) == f"--only {box}: {nowhere}"
    assert refusal(box, crs.of_units(9001), UsageError) == f"--only {box}: {nowhere}"
    assert refusal(file, None, UsageError) == f"--only {file}: {nowhere}"
    assert asked("bbox:1,2,3,4", None) == Region((1, 2, 3, 4))
    text = "bbox@EPSG:99:0,0,1,1"
    assert refusal(text, UTM, UsageError) == f"--only {text}: EPSG has no CRS 99"
    text = "bbox@EPSG:4326:40,170,41,190"
    assert refusal(text, UTM, UsageError) == f"--only {text}: not longitudes and latitudes"
    text = "bbox@EPSG:4978:0,0,1,1"
    assert refusal(text, UTM, UsageError).startswith(f"--only {text}: WGS 84 cannot be put into ETRS89")


@pytest.mark.parametrize(
    ("ring", "why"),
    [
        ([[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]], "polygon 1 is none: Self-intersection"),
        ([[0, 0], [4, 0], [0, 0], [4, 0], [0, 0]], "polygon 1 is none: "),
        ([[1, 1]] * 4, "polygon 1 is none: "),
        ([[0, 0], [4, 0], [8, 0], [0, 0]], "polygon 1 is none: "),
    ],
)
def test_rings_that_bound_nothing(tmp_path: Path, ring: list[list[float]], why: str) -> None:
    file = on_disk(tmp_path / "a.geojson", [ring])
    assert refusal(file, UTM, FormatError).startswith(f"{file[1:]}: {why}")


def test_holes_that_are_none(tmp_path: Path) -> None:
    file = on_disk(tmp_path / "a.geojson", [HOLE, L_SHAPE])
    assert "polygon 1 is none: " in refusal(file, UTM, FormatError)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "a.geojson" in refusal(f"@{tmp_path}/a.geojson", UTM, MissingInput)
    (tmp_path / "empty.geojson").touch()
    assert "empty.geojson: not GeoJSON" in refusal(f"@{tmp_path}/empty.geojson", UTM, FormatError)
    with open(tmp_path / "huge.geojson", "wb") as file:
        file.truncate(2**40)
    assert refusal(f"@{tmp_path}/huge.geojson", UTM, FormatError).endswith(
        "huge.geojson: a region of 1099511627776 bytes; at most 16777216 are taken"
    )
    assert refusal(on_disk(tmp_path / "b.geojson", [L_SHAPE], epsg=99), UTM, FormatError).endswith(
        "b.geojson: EPSG has no CRS 99"
    )


def test_a_long_ring_is_not_made_longer_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_module, "MOST_POSITIONS", 10_000)
    teeth = [[k / 1000, 40.0 + k % 2] for k in range(1000)]
    file = on_disk(tmp_path / "a.geojson", [[*teeth, [1.0, 39.0], [0.0, 39.0], [0.0, 40.0]]], epsg=None)
    region = asked(file)
    assert region.polygons is not None and len(region.polygons[0][0]) < 20_000
