"""Spellings of ``--only``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.errors import UsageError
from cbtool.only import SPELLINGS, Bbox, Interval, Only, Pixels, Polygons, Window, parse, spellings

ALL = (
    "--only bbox:x0,y0,x1,y1 (bbox@EPSG:4326:… for longitudes and latitudes), @file.geojson, "
    "window:col,row,width,height, pixels:x0,y0,x1,y1 or chr2:1-5000000"
)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("bbox:1,-2.5,3e3,+.5", Bbox("", (1, -2.5, 3000, 0.5))),
        ("bbox@EPSG:4326:-3,40,-2.5,41", Bbox("", (-3, 40, -2.5, 41), 4326)),
        ("bbox@epsg:25830:1,2,3,4", Bbox("", (1, 2, 3, 4), 25830)),
        ("@parts/a b.geojson", Polygons("", "parts/a b.geojson")),
        ("@s3://b/a.geojson", Polygons("", "s3://b/a.geojson")),
        ("window:10,20,512,1", Window("", 10, 20, 512, 1)),
        ("pixels:1,1,3,1", Pixels("", 1, 1, 4, 2)),
        ("chr2:1-5000000", Interval("", "chr2", 0, 5_000_000)),
        ("chr2:1,001-1,001", Interval("", "chr2", 1000, 1001)),
        ("HLA:A*01:5-7", Interval("", "HLA:A*01", 4, 7)),
    ],
)
def test_spellings(text: str, asked: Only) -> None:
    found = parse(text)
    assert found.said == text
    assert {**vars(found), "said": ""} == vars(asked) and found.kind == asked.kind


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,2,3,4", "four numbers may be a box, a window or pixels"),
        ("1 -2.5 3 4", "four numbers may be a box, a window or pixels"),
        ("", "not a region"),
        ("@", "not a region"),
        ("chr2", "not a region"),
        ("bbox:1,2,3", "not a region"),
        ("bbox:nan,0,1,1", "not a region"),
        ("bbox:0,0,inf,1", "not a region"),
        ("bbox:0,0,1e999,1", "not a region"),
        ("bbox@4326:0,0,1,1", "not a region"),
        ("bbox:1-2", "not a region"),
        ("window:1,2,3,4.5", "not a region"),
        ("window:-1,2,3,4", "not a region"),
        ("bbox:3,0,3,1", "its first corner must be the lower left one, and its second the upper right"),
        ("bbox:0,5,1,1", "its first corner must be the lower left one, and its second the upper right"),
        ("window:0,0,0,5", "it has no width or no height"),
        ("pixels:3,1,2,5", "its first corner must not lie behind its second"),
        ("chr2:5-4", "bases count from 1, and the first must not come after the last"),
        ("chr2:0-4", "bases count from 1, and the first must not come after the last"),
    ],
)
def test_others_are_refused_with_the_spellings(text: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert (str(refused.value), refused.value.hint) == (f"--only {text}: {why}", ALL)


@given(st.text(max_size=30))
def test_any_text_is_a_region_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    assert found.kind in SPELLINGS and found.said == text


def test_hints_name_just_what_is_taken() -> None:
    assert spellings(["window"]) == "--only window:col,row,width,height"
    assert spellings(["window", "polygons"]) == "--only window:col,row,width,height or @file.geojson"
