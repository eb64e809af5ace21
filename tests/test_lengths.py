"""Lengths come out in the units of a source, or it is said why they cannot."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool import crs
from cbtool.errors import UsageError
from cbtool.lengths import Length, parse, steps

METRES, FEET, SURVEY_FEET = crs.of_units(9001), crs.of_units(9002), crs.of_units(9003)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5m", "5", "m"),
        ("2.5km", "2.5", "km"),
        ("15ft", "15", "ft"),
        ("15ftUS", "15", "ftUS"),
        ("5", "5", None),
        (" .5 m ", "0.5", "m"),
        ("7.", "7", None),
    ],
)
def test_spellings(text: str, value: str, unit: str | None) -> None:
    assert parse("--overlap", text) == Length(f"--overlap {text}", Fraction(value), unit)


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5 yd", "5M", "5ftus", "1e3", "nan", "inf", "5,5", "5m5m", "٥m", "9" * 400, "."]
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(UsageError, match="not a length") as refused:
        parse("--overlap", text)
    assert str(refused.value) == f"--overlap {text}: not a length"
    assert refused.value.hint == "as in 5m, 2.5km, 15ft, 15ftUS, or 5 in units of the CRS"


def test_nothing_is_no_length() -> None:
    with pytest.raises(UsageError, match="^--overlap 0.0m: a length must be more than 0$"):
        parse("--overlap", "0.0m")


@pytest.mark.parametrize(
    ("text", "system", "units"),
    [
        ("5", METRES, "5"),
        ("5", FEET, "5"),
        ("5m", METRES, "5"),
        ("2.5km", METRES, "2500"),
        ("15ft", METRES, "4.572"),
        ("0.3048m", FEET, "1"),
        ("15ftUS", SURVEY_FEET, "15"),
        ("1200m", SURVEY_FEET, "3937"),
        ("500000ft", SURVEY_FEET, "499999"),
    ],
)
def test_units(text: str, system: crs.Crs, units: str) -> None:
    assert parse("--overlap", text).in_units(system) == Fraction(units)


@pytest.mark.parametrize("text", ["5", "5m", "15ft"])
def test_no_length_without_a_crs(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse("--overlap", text).in_units(None)
    assert str(refused.value) == (
        f"--overlap {text}: the source has no known CRS, so nothing says how long its units are"
    )
    assert refused.value.hint == "write its CRS into the source first"


@pytest.mark.parametrize("text", ["5", "5m", "15ft"])
def test_no_length_in_degrees(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse("--resolution", text).in_units(crs.of_epsg(4326))
    assert str(refused.value) == f"--resolution {text}: the CRS (WGS 84) is in units of a degree, which is no length"
    assert refused.value.hint == "reproject the source first, into a CRS in metres or feet"


@given(st.integers(1, 10**9), st.sampled_from([0.1, 0.01, 0.001, 0.00025, 1e-7, 0.3, 1.16451354e-06]))
def test_steps_reach_just_so_far(hundredths: int, scale: float) -> None:
    length, step = Fraction(hundredths, 100), Fraction(repr(scale))
    assert (steps(length, scale) - 1) * step < length <= steps(length, scale) * step
