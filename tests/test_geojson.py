"""Polygons of GeoJSON, as programs write it and as nobody should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.errors import FormatError
from cbtool.geojson import read

RING = [[0, 0], [4, 0], [4, 4], [0, 0]]
HOLE = [[2, 1], [3, 1], [3, 2], [2, 1]]
POLYGON: dict[str, Any] = {"type": "Polygon", "coordinates": [RING, HOLE]}
READ = [[tuple(map(float, position)) for position in ring] for ring in (RING, HOLE)]


def named(name: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": name}}


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def text(found: Any) -> bytes:
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("found", "n_polygons"),
    [
        (POLYGON, 1),
        ({"type": "MultiPolygon", "coordinates": [[RING, HOLE], [RING, HOLE]]}, 2),
        (feature(POLYGON), 1),
        ({"type": "FeatureCollection", "features": [feature(POLYGON)] * 3}, 3),
    ],
)
def test_kinds(found: Any, n_polygons: int) -> None:
    assert read(text(found), "a.geojson") == ([READ] * n_polygons, 4326)
    assert read(b"\xef\xbb\xbf" + text(found), "a.geojson")[1] == 4326


@pytest.mark.parametrize(
    ("crs", "epsg"),
    [
        (None, 4326),
        (named("urn:ogc:def:crs:OGC:1.3:CRS84"), 4326),
        (named("urn:ogc:def:crs:EPSG::25830"), 25830),
        (named("urn:ogc:def:crs:EPSG:9.1:25830"), 25830),
        (named("EPSG:2994"), 2994),
    ],
)
def test_the_old_member_says_the_crs(crs: Any, epsg: int) -> None:
    assert read(text(POLYGON | {"crs": crs}), "a.geojson") == ([READ], epsg)


def polygon(*positions: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(positions)]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "a: not GeoJSON: "),
        (b"PK\x03\x04", "a: not GeoJSON: "),
        (b"\xff\xfe", "a: not GeoJSON: "),
        (b"[" * 100_000, "a: not GeoJSON: "),
        (b'{"a":' * 100_000, "a: not GeoJSON: "),
        (b"7" * 10_000, "a: not GeoJSON: "),
        (b'{"type": "Polygon", "coordinates": [[[NaN, 0]]]}', "a: not GeoJSON: NaN is no number"),
        (b'{"type": "Polygon", "coordinates": [[[-Infinity, 0]]]}', "a: not GeoJSON: -Infinity is no number"),
        (b'{"type": "Polygon", "coordinates": [[[1e999, 0]]]}', "a: polygon 1 has a position that is not finite"),
        (b'{"type": "Polygon", "coordinates": [[[1' + b"0" * 400 + b", 0]]]}", "a: polygon 1 has a position that is"),
        (b"[]", "a: is without a type, not a Polygon, MultiPolygon, Feature or FeatureCollection"),
        (b"7", "a: is without a type, not a Polygon"),
        (text({"type": "Point", "coordinates": [1, 2]}), "a: is a Point, not a Polygon"),
        (text({"type": ["Polygon"]}), "a: is without a type, not a Polygon"),
        (text({"type": "FeatureCollection", "features": []}), "a: holds no polygon"),
        (text({"type": "FeatureCollection"}), "a: its features is not a list"),
        (text({"type": "FeatureCollection", "features": [POLYGON]}), "a: one of its features is none"),
        (text({"type": "MultiPolygon", "coordinates": []}), "a: holds no polygon"),
        (text({"type": "Polygon", "coordinates": []}), "a: polygon 1 is empty"),
        (text({"type": "Polygon"}), "a: polygon 1 is not a list"),
        (text(polygon()), "a: a ring of polygon 1 is not closed"),
        (text(polygon([0, 0], [1, 0], [1, 1])), "a: a ring of polygon 1 is not closed"),
        (text(polygon([0, 0], [1, 0], [1, 1], [0, 1])), "a: a ring of polygon 1 is not closed"),
        (text(polygon([0, 0, 9])), "a: polygon 1 has heights, which a region has not"),
        (text(polygon([0])), "a: polygon 1 has something that is not a position [x, y]"),
        (text(polygon([0, "1"])), "a: polygon 1 has something that is not a position [x, y]"),
        (text(polygon([0, True])), "a: polygon 1 has something that is not a position [x, y]"),
        (text(polygon({"x": 1})), "a: polygon 1 has something that is not a position [x, y]"),
        (text(feature(None)), "a: a feature is without a type, not a Polygon or MultiPolygon"),
        (text(feature(feature(POLYGON))), "a: a feature is a Feature, not a Polygon or MultiPolygon"),
        (text(POLYGON | {"crs": named("EPSG:x")}), "a: its CRS 'EPSG:x' is not understood"),
        (text(POLYGON | {"crs": {"type": "link"}}), "a: its CRS is not understood"),
        (
            text(polygon([5e5, 4e6], [6e5, 4e6], [6e5, 5e6], [5e5, 4e6])),
            "a: 500000,4000000 is no longitude and latitude, and the file names no other CRS",
        ),
    ],
    ids=range(33),
)
def test_what_is_amiss_is_said(data: bytes, why: str) -> None:
    with pytest.raises(FormatError) as refused:
        read(data, "a")
    assert str(refused.value).startswith(why)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["Polygon", "name", "EPSG:1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "coordinates", "features", "geometry", "crs", "properties", "name"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON | st.builds(lambda inner: {"type": "Polygon", "coordinates": inner}, JSON))
def test_any_json_is_polygons_or_refused(found: Any) -> None:
    try:
        polygons, _ = read(text(found), "a")
    except FormatError:
        return
    assert all(len(ring) > 3 for one in polygons for ring in one)
