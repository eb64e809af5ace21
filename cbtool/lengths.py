"""Lengths as people write them, in the units of a source's coordinate reference system."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.crs import Crs

METRES = {"m": Fraction(1), "km": Fraction(1000), "ft": Fraction(3048, 10000), "ftUS": Fraction(1200, 3937)}
LENGTH = re.compile(rf"([0-9]{{1,18}}(?:\.[0-9]{{0,18}})?|\.[0-9]{{1,18}}) ?({'|'.join(METRES)})?")
EXAMPLES = "as in 5m, 2.5km, 15ft, 15ftUS, or 5 in units of the CRS"


@dataclass(frozen=True)
class Length:
    """A length above 0, as *said* (``--overlap 5m``); *unit* is None for a bare number: units of the CRS."""

    said: str
    value: Fraction
    unit: str | None

    def in_units(self, crs: Crs | None) -> Fraction:
        """Return the length in horizontal units of *crs*; UsageError if these are not known, or are no lengths."""
        if crs is None:
            raise UsageError(
                f"{self.said}: the source has no known CRS, so nothing says how long its units are",
                hint="write its CRS into the source first",
            )
        if crs.metres is None:
            raise UsageError(
                f"{self.said}: the CRS ({crs.name}) is in units of a {crs.unit}, which is no length",
                hint="reproject the source first, into a CRS in metres or feet",
            )
        return self.value if self.unit is None else self.value * METRES[self.unit] / crs.metres


def parse(option: str, text: str) -> Length:
    """Return the length that was given for *option*; UsageError if it is none.

    >>> parse("--overlap", "2.5km").value
    Fraction(5, 2)
    """
    match = LENGTH.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{option} {text}: not a length", hint=EXAMPLES)
    value = Fraction(match[1])
    if not value:
        raise UsageError(f"{option} {text}: a length must be more than 0", hint=f"leave out {option} for none")
    return Length(f"{option} {text}", value, match[2])


def steps(length: Fraction, scale: float) -> int:
    """Return how many steps of *scale*, taken as the decimal that it is written as, reach at least as far as *length*.

    >>> steps(Fraction(5), 0.01), steps(Fraction(1, 3), 0.1)
    (500, 4)
    """
    return math.ceil(length / Fraction(repr(float(scale))))
