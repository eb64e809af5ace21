"""What is read of coordinate reference systems, those of real files among them; what is none is none, not a crash."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyproj
import pyproj.network
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool import crs
from cbtool.crs import FOOT, SURVEY_FOOT, Crs
from cbtool.errors import UsageError

NETWORK: Any = pyproj.network


def known(horizontal: int, vertical: int | None = None, vertical_unit: int | None = None) -> Crs:
    found = crs.of_epsg(horizontal, vertical, vertical_unit)
    assert found is not None
    return found


def of_wkt(text: str) -> Crs:
    found = crs.of_wkt(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("codes", "name", "unit", "metres", "heights"),
    [
        ((25830,), "ETRS89 / UTM zone 30N", "metre", 1, None),
        ((2994,), "NAD83(HARN) / Oregon GIC Lambert (ft)", "foot", FOOT, None),
        ((2994, 8228), "NAD83(HARN) / Oregon GIC Lambert (ft) + NAVD88 height (ft)", "foot", FOOT, FOOT),
        (
            (2903, 6360),
            "NAD83(HARN) / New Mexico Central (ftUS) + NAVD88 height (ftUS)",
            "US survey foot",
            SURVEY_FOOT,
            SURVEY_FOOT,
        ),
        ((3005, 5713), "NAD83 / BC Albers + CGVD28 height", "metre", 1, 1),
        ((4326,), "WGS 84", "degree", None, None),
        ((4979,), "WGS 84", "degree", None, 1),
        ((4978,), "WGS 84", "metre", 1, None),
    ],
)
def test_facts(codes: tuple[int, ...], name: str, unit: str, metres: Any, heights: Any) -> None:
    found = known(*codes)
    assert (found.name, found.unit, found.metres, found.vertical_metres) == (name, unit, metres, heights)
    assert found.is_geographic == (metres is None)
    assert found.code == (f"EPSG:{codes[0]}" if "+" not in name else None)
    assert of_wkt(found.wkt) == found


def test_heights_of_no_known_datum_are_in_the_unit_that_is_said() -> None:
    assert known(3005, 5030, 9003).vertical_metres == SURVEY_FOOT
    assert known(3005, None, 9001).vertical_metres == 1
    assert known(3005, 5030, 9999).vertical_metres is None
    assert known(3005, 5713, 9003).vertical_metres == 1


@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT1_ESRI", "WKT2_2015", "WKT2_2019"])
@pytest.mark.parametrize("code", [25830, 2903, 4326])
def test_dialects(code: int, version: str) -> None:
    text = pyproj.CRS.from_epsg(code).to_wkt(version)
    found = of_wkt(text + "\n\0\0")
    assert crs.same(found, known(code))
    assert (found.metres, found.is_geographic) == (known(code).metres, code == 4326)


def test_a_foot_is_as_long_as_it_is_defined_however_it_is_rounded() -> None:
    text = 'LOCAL_CS["a site",UNIT["US survey foot",{}]]'
    for factor in ("0.3048006096012192", "0.304800609601219", "0.3048006096"):
        assert of_wkt(text.format(factor)).metres == SURVEY_FOOT
    assert of_wkt(text.format("0.3048")).metres == FOOT
    assert of_wkt(text.format("0.9143984146160287")).metres == Fraction("0.9143984146160287")


def test_ways_to_other_datums_are_no_part_of_it() -> None:
    plain = pyproj.CRS.from_epsg(26915).to_wkt("WKT1_GDAL")
    bound = plain.replace('AUTHORITY["EPSG","6269"]]', 'TOWGS84[0,0,0,0,0,0,0],AUTHORITY["EPSG","6269"]]')
    assert bound != plain
    assert crs.same(of_wkt(bound), of_wkt(plain)) and of_wkt(bound).metres == 1


def test_only_the_units_are_known() -> None:
    found = crs.of_units(9003, 9001)
    assert found is not None
    assert (found.metres, found.vertical_metres, found.is_geographic, found.wkt) == (
        SURVEY_FOOT,
        Fraction(1),
        False,
        "",
    )
    assert crs.of_units(9102) is None and crs.of_units(0) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\0",
        "EPSG:4326",
        "+proj=longlat",
        "PROJCS[",
        "PROJCS[" * 20_000,
        'PROJCS["x"' + "[" * 20_000,
        'PROJCS["x",UNIT["metre",1]]',
        "\udc80PROJCS[",
        "PROJCS\0[",
        'VERT_CS["NAVD88",VERT_DATUM["x",2005],UNIT["metre",1]]',
    ],
    ids=range(11),
)
def test_what_cannot_be_understood_is_unknown(text: str) -> None:
    assert crs.of_wkt(text) is None


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    assert crs.of_wkt(text) is None


@pytest.mark.parametrize("code", [0, -1, 99, 5703, 32767, 2**40])
def test_codes_of_no_crs(code: int) -> None:
    assert crs.of_epsg(code) is None


def test_same() -> None:
    named = of_wkt(known(25830).wkt.replace('"ETRS89 / UTM zone 30N"', '"another name"'))
    assert named.name == "another name" and crs.same(named, known(25830))
    assert not crs.same(known(25830), known(25831))
    assert not crs.same(known(3005), known(3005, 5713))
    assert not crs.same(known(3005, 5713), known(3005, 5703))
    assert crs.same(known(2903), known(2903)) and not crs.same(known(2903), known(2902))
    local = crs.of_units(9001)
    assert local is not None and crs.same(local, local) and not crs.same(local, known(25830))


def northing(latitude: float) -> float:
    """Return how far from the equator the central meridian of a UTM zone is there, on GRS 80, by small steps."""
    a, f = 6378137.0, 1 / 298.257222101
    e2 = f * (2 - f)
    at = np.radians((np.arange(100_000) + 0.5) * latitude / 100_000)
    return float(0.9996 * a * (1 - e2) * np.mean((1 - e2 * np.sin(at) ** 2) ** -1.5) * np.radians(latitude))


def test_points_in_another_crs() -> None:
    lon_lat = np.array([[-3.0, 40.0], [-3.0, 41.0]])
    found = crs.transform(lon_lat, known(4326), known(25830))
    assert found[:, 0] == pytest.approx([500_000, 500_000], abs=1e-6)
    assert found[:, 1] == pytest.approx([northing(40), northing(41)], abs=1e-3)
    assert crs.transform(found, known(25830), known(4326)) == pytest.approx(lon_lat, abs=1e-9)
    assert crs.transform(lon_lat, known(4326), known(25830, 5703)) == pytest.approx(found)


@pytest.mark.parametrize(
    ("point", "wanted", "why"),
    [
        ((0.0, 95.0), 25830, "lies where ETRS89 / UTM zone 30N is not defined"),
        ((0.0, 45.0), 4978, "WGS 84 cannot be put into WGS 84: x and y of a geocentric CRS are no place on a map"),
    ],
)
def test_points_that_are_not_in_another_crs(point: tuple[float, float], wanted: int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        crs.transform(np.array([point]), known(4326), known(wanted))


def test_a_local_crs_is_nowhere_on_earth() -> None:
    with pytest.raises(UsageError, match="cannot be put into a site"):
        crs.transform(np.zeros((1, 2)), known(4326), of_wkt('LOCAL_CS["a site",UNIT["metre",1]]'))


def test_the_network_is_not_asked_and_its_setting_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    from_crs = pyproj.Transformer.from_crs

    def spy(*args: Any, **more: Any) -> Any:
        seen.append(NETWORK.is_network_enabled())
        return from_crs(*args, **more)

    monkeypatch.setattr(pyproj.Transformer, "from_crs", spy)
    before = NETWORK.is_network_enabled()
    try:
        NETWORK.set_network_enabled(True)
        crs.transform(np.array([[-3.0, 40.0]]), known(4326), known(25830))
        assert (seen, NETWORK.is_network_enabled()) == ([False], True)
    finally:
        NETWORK.set_network_enabled(before)
