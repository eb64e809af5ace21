"""What ``--only`` may say: one small class for each spelling. Knows no format, and reads no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cbtool.errors import UsageError


@dataclass(frozen=True)
class Bbox:
    """World coordinates, ``x0 <= x < x1`` and ``y0 <= y < y1``, in the source's CRS or in EPSG's code *epsg*."""

    kind: ClassVar[str] = "bbox"
    said: str
    edges: tuple[float, float, float, float]
    epsg: int | None = None


@dataclass(frozen=True)
class Polygons:
    """The polygons of a GeoJSON file."""

    kind: ClassVar[str] = "polygons"
    said: str
    uri: str


@dataclass(frozen=True)
class Window:
    """Pixels of a raster, from 0."""

    kind: ClassVar[str] = "window"
    said: str
    col: int
    row: int
    width: int
    height: int


@dataclass(frozen=True)
class Pixels:
    """Coordinates of an image as its file writes them (from 1), half-open: x1 and y1 are one more than was said."""

    kind: ClassVar[str] = "pixels"
    said: str
    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Interval:
    """Bases of a sequence, from 0 and half-open; they are said from 1, the last one included."""

    kind: ClassVar[str] = "interval"
    said: str
    name: str
    start: int
    end: int


Only = Bbox | Polygons | Window | Pixels | Interval

SPELLINGS = {
    "bbox": "bbox:x0,y0,x1,y1 (bbox@EPSG:4326:… for longitudes and latitudes)",
    "polygons": "@file.geojson",
    "window": "window:col,row,width,height",
    "pixels": "pixels:x0,y0,x1,y1",
    "interval": "chr2:1-5000000",
}
"""By kind, how it is written."""

NUMBER = r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?"
FOUR = re.compile(rf"{NUMBER}(?:\s*[, ]\s*{NUMBER}){{3}}")
BBOX = re.compile(rf"bbox(?:@EPSG:([0-9]{{1,9}}))?:({NUMBER}),({NUMBER}),({NUMBER}),({NUMBER})", re.IGNORECASE)
WHOLES = re.compile(r"(window|pixels):([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9})")
INTERVAL = re.compile(r"([^\s,:@][^\s,]*):([0-9][0-9,]{0,18})-([0-9][0-9,]{0,18})")


def spellings(kinds: Sequence[str] = tuple(SPELLINGS)) -> str:
    """Return how *kinds* are written, for a hint."""
    *others, last = [SPELLINGS[kind] for kind in kinds]
    return f"--only {', '.join(others)} or {last}" if others else f"--only {last}"


def parse(text: str) -> Only:
    """Return what *text* stands for; UsageError with all spellings if it is none.

    >>> parse("chr2:1-5,000,000")
    Interval(said='chr2:1-5,000,000', name='chr2', start=0, end=5000000)
    """
    if text.startswith("@") and len(text) > 1:
        return Polygons(text, text[1:])
    if match := BBOX.fullmatch(text):
        x0, y0, x1, y1 = (float(edge) for edge in match.groups()[1:])
        if x0 >= x1 or y0 >= y1:
            raise _wrong(text, "its first corner must be the lower left one, and its second the upper right")
        return Bbox(text, (x0, y0, x1, y1), int(match[1]) if match[1] else None)
    if match := WHOLES.fullmatch(text):
        a, b, c, d = (int(number) for number in match.groups()[1:])
        if match[1] == "window":
            if not (c and d):
                raise _wrong(text, "it has no width or no height")
            return Window(text, a, b, c, d)
        if a > c or b > d:
            raise _wrong(text, "its first corner must not lie behind its second")
        return Pixels(text, a, b, c + 1, d + 1)
    if (match := INTERVAL.fullmatch(text)) and not text.lower().startswith(("bbox", "window:", "pixels:")):
        start, end = (int(number.replace(",", "")) for number in match.groups()[1:])
        if not 1 <= start <= end:
            raise _wrong(text, "bases count from 1, and the first must not come after the last")
        return Interval(text, match[1], start - 1, end)
    if FOUR.fullmatch(text.strip()):
        raise _wrong(text, "four numbers may be a box, a window or pixels")
    raise _wrong(text, "not a region")


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"--only {text}: {why}", hint=spellings())
