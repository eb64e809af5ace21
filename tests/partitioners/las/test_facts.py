"""What info says of clouds, and what it finds amiss."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.las.extra_bytes import fields_of
from cbtool.partitioners.las.facts import facts
from cbtool.partitioners.las.groups import open_las
from fixtures.clouds import CLOUDS
from fixtures.wrong_clouds import patched
from tests.partitioners.gzip.conftest import BytesSource
from tests.partitioners.las.conftest import EVERY, content, indexed, judged, made, name_of

EVEN = [name for name in CLOUDS if not name.startswith(("wkt_behind", "no_crs", "records", "nan", "extremes", "extra"))]
"""Those that nothing is amiss in."""


def found_in(data: bytes) -> list[str]:
    """Return what is amiss in a file by its header, and then by its index too, in one list."""
    file, index = indexed(data, thorough=True)
    return [*facts(file, None)["warnings"], *facts(file, index)["warnings"]]


@pytest.mark.parametrize("name", EVEN)
def test_nothing_is_amiss(name: str) -> None:
    assert found_in(made(name)) == []


@pytest.mark.parametrize("one", EVERY, ids=name_of)
def test_facts_are_those_that_laspy_finds(one: str | Path) -> None:
    file, index = indexed(content(one), thorough=True)
    theirs = judged(content(one))
    date = theirs.header.creation_date
    for known in (None, index):
        found = facts(file, known)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["points"] == len(theirs.points)
        assert found["created"] == (date.isoformat() if date and date.year > 1 else None)
        described = [field["name"] for field in found["extra_bytes"] if field["name"] != "undescribed"]
        judges = [name for name in theirs.point_format.extra_dimension_names if name != "ExtraBytes"]
        assert described[: len(judges)] == judges  # which takes the first of several records alone
    if len(theirs.points):
        want = [*(one.min() for one in theirs.xyz.T), *(one.max() for one in theirs.xyz.T)]
        assert found["extent"] == pytest.approx(want, abs=1e-6, rel=1e-12)
        assert found["density"] * found["area"] == pytest.approx(len(theirs.points))


def test_the_facts_of_a_cloud() -> None:
    file, index = indexed(made("extra.copc.laz"))
    found = facts(file, index)
    assert (found["point_format"], found["las_version"], found["compression"]) == (6, "1.4", "COPC")
    assert (found["crs"], found["crs_code"], found["unit"]) == ("ETRS89 / UTM zone 30N", "EPSG:25830", "metre")
    assert found["extra_bytes"] == [
        {"name": "height", "type": "i4", "scale": 0.01, "offset": 0.0},
        {"name": "two words", "type": "u2"},
        {"name": "reflectance", "type": "f4"},
        {"name": "undescribed", "type": "V7"},
    ]
    assert found["warnings"] == ["7 extra bytes are described by nothing"]
    assert found["copc_nodes"] == found["groups"] and found["copc_depth"] > 1
    assert found["software"] == "" and found["system"] == "cbtool" and found["created"] == "2021-03-01"
    assert facts(*indexed(made("feet.laz")))["unit"] == "foot"
    assert facts(*indexed(made("feet.laz")))["vertical_metres"] == pytest.approx(1200 / 3937)
    assert facts(*indexed(made("degrees.laz")))["unit"] == "degree"
    assert facts(*indexed(made("uneven.laz")))["compression"] == "LAZ, chunks of 500 points"
    assert facts(*indexed(made("format3.las")))["compression"] == "none"
    assert facts(*indexed(made("none.laz")))["extent"] is None


def test_the_area_is_that_of_where_points_are() -> None:
    """The cloud is of 400 m × 240 m, without holes; half of the heavy one lies at one place."""
    for name in ("uneven.laz", "heavy.laz"):
        assert 96_000 < facts(*indexed(made(name)))["area"] < 140_000
    assert facts(*indexed(made("equal.laz")))["area"] == pytest.approx(0.0001)


def test_the_crs_behind_the_points_is_found() -> None:
    file, index = indexed(made("wkt_behind.laz"))
    assert facts(file, index)["crs_code"] == "EPSG:25830" and found_in(made("wkt_behind.laz")) == []


AMISS = {
    "the header says that x is from 1.0 to ": patched(made("format6.las"), {187: struct.pack("<d", 1.0)}),
    "the header says that z is from nan to ": patched(made("format6.las"), {219: struct.pack("<d", float("nan"))}),
    "GPS times are said to be seconds of a week, and are from 300000": patched(made("format1.las"), {6: b"\0"}),
    "the counts of points by return are [1, ": patched(made("format1.las"), {111: struct.pack("<I", 1)}),
    "the counts of points by return add up to 0": patched(made("format1.las"), {111: bytes(20)}),
    "the 32-bit count of points is 5, and there are 4000": patched(made("format6.las"), {107: struct.pack("<I", 5)}),
    "point format 6 needs its CRS as WKT": patched(made("format6.las"), {6: b"\1"}),
    "the CRS is said to be WKT, and there are only GeoTIFF keys": patched(made("format1.las"), {6: b"\x11"}),
    "there is a CRS as WKT and one as GeoTIFF keys": made("records.las"),
    "there is no CRS": made("no_crs.laz"),
    "the CRS cannot be understood": made("format6.las").replace(b"PROJCS[", b"PROJCT["),
    "reserved bits of the global encoding are set: 0x8011": patched(made("format6.las"), {6: b"\x11\x80"}),
    "waveforms are said to lie in the file and beside it": patched(made("format9.las"), {6: b"\x17"}),
    "the scale is 1e-07: finer": patched(made("format6.las"), {131: struct.pack("<d", 1e-7)}),
    "is in degrees, and coordinates go to 4.1": made("format1.las").replace(
        struct.pack("<4H", 3072, 0, 1, 25830), struct.pack("<4H", 2048, 0, 1, 4326)
    ),
    "1 of 3 descriptions of extra bytes do not fit into 17 bytes": made("extra.las").replace(
        b"\0\0\x09\0reflectance", b"\0\0\x1e\0reflectance"
    ),
    "extra bytes have one name: height": made("extra.las").replace(b"reflectance", b"height".ljust(11, b"\0")),
}


@pytest.mark.parametrize("what", AMISS)
def test_what_is_amiss_is_said(what: str) -> None:
    assert [one for one in found_in(AMISS[what]) if what in one], found_in(AMISS[what])


def test_times_that_look_like_those_of_a_week() -> None:
    data = bytearray(made("format1.las"))
    at = struct.unpack_from("<I", data, 96)[0]
    for number in range(4_000):
        struct.pack_into("<d", data, at + 28 * number + 20, 300_000.0 + number)
    assert "GPS times are said to be standard ones, and look like seconds of a week" in found_in(bytes(data))


@pytest.mark.parametrize("kind", [0, 31, 32, 255])
def test_extra_bytes_of_types_nobody_has_defined_are_left_undescribed(kind: int) -> None:
    data = made("extra.las")
    at = data.index(b"two words") - 2
    file = open_las(BytesSource(patched(data, {at: bytes([kind, 0])})))
    assert [field.name for field in fields_of(file.header)] == ["height", "undescribed"]


def test_extra_bytes_of_several() -> None:
    data = made("extra.las")
    at = data.index(b"two words") - 2
    file = open_las(BytesSource(patched(data, {at: bytes([13, 0])})))
    forms = [(field.name, field.form, field.n_bytes) for field in fields_of(file.header)]
    assert forms[1] == ("two words", "(2,)u2", 4) and sum(n for _, _, n in forms) == 17


def test_a_date_that_cannot_be_is_none() -> None:
    file = open_las(BytesSource(patched(made("format6.las"), {90: struct.pack("<HH", 0, 2021)})))
    assert facts(file, None)["created"] is None


def test_an_index_of_another_file_is_refused() -> None:
    with pytest.raises(FormatError, match="its index is not one of this cbtool"):
        facts(indexed(made("uneven.laz"))[0], indexed(made("format6.laz"))[1])
