"""Make a big, repeatable point cloud: ``python -m benchmarks.clouds_data PATH... [--points N]``, as .las, .laz or both.

An airborne survey of hills with trees. Points come in the order of flight: line by line across a strip, strips beside
each other that overlap by a third, so that fifty thousand points in a row lie across a whole strip. Their density is
between 0.03 and 2 times a nominal one (as cloud, water and terrain make it), twice that where strips overlap. Pulses
have up to four returns; ground, vegetation and a few noise points are classified.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POINTS = 22_000_000
EPSG = 3005
SCALE = 0.01
ORIGIN = (1_000_000.0, 500_000.0, 0.0)

MEAN_DENSITY = 4.3
"""Points a square metre in the mean of the whole: it decides how long strips are."""
WIDTH, APART = 600.0, 420.0
"""Of a strip, and from one to the next, in metres."""
HEADING = np.deg2rad(11)
STEP = 0.43
"""Metres from a pulse to the next, and from a line to the next, where none is lost."""
PULSES = int(WIDTH / STEP)
LINES = 350
"""Lines of a batch."""
PULSES_A_SECOND = 200_000.0
LEAST, MOST = 0.03, 2.0

TEXTURE = 1024
"""Cells of a texture along each side; it repeats."""
PIXEL = 4.0
TREE_CELL = 6.0

GROUND, LOW, MEDIUM, HIGH, NOISE = 2, 3, 4, 5, 7


def texture(seed: int, metres: float) -> Floats:
    """Return smooth noise of mean 0 and variance 1 that changes over about *metres*, and repeats seamlessly."""
    white = np.random.default_rng(seed).standard_normal((TEXTURE, TEXTURE))
    wave = np.fft.fftfreq(TEXTURE, PIXEL)
    smooth = np.exp(-2 * (np.pi * metres / 2) ** 2 * (wave[:, None] ** 2 + wave[None, :] ** 2))
    made = np.fft.ifft2(np.fft.fft2(white) * smooth).real
    return np.asarray(made / made.std(), np.float32)


class Land:
    """What is surveyed, by place in metres from the corner of the survey."""

    def __init__(self, seed: int) -> None:
        self.kept = (np.exp(1.3 * texture(seed, 300) - 0.2).clip(LEAST, MOST) / MOST).ravel()
        self.forest = texture(seed + 1, 80).ravel() > -0.2
        self.soil = (500 + 120 * texture(seed + 2, 20)).clip(60, 1000).ravel()
        trees = np.random.default_rng(seed + 3).random((4, TEXTURE * TEXTURE), np.float32)
        self.tree_at = 1.5 + 3 * trees[:2]
        self.tree_height = 5 + 27 * trees[2] ** 1.5
        self.tree_radius = 1.5 + 2 * trees[3]

    @staticmethod
    def cell(x: Floats, y: Floats, size: float) -> npt.NDArray[np.int32]:
        across, along = ((at * np.float32(1 / size)).astype(np.int32) & (TEXTURE - 1) for at in (x, y))
        return across * TEXTURE + along

    @staticmethod
    def ground(x: Floats, y: Floats) -> Floats:
        """Return the height of the ground: long hills, short ones, and ridges."""
        hills = 90 * np.sin(x / 700) * np.cos(y / 900) + 18 * np.sin(x / 130 + y / 210) + 2 * np.sin(y / 23 - x / 41)
        return np.asarray(600 + hills, np.float32)

    def canopy(self, x: Floats, y: Floats) -> Floats:
        """Return the height of the tree above each place, 0 where there is none."""
        cell = self.cell(x, y, TREE_CELL)
        off = [np.mod(at, TREE_CELL) - middle[cell] for at, middle in zip((x, y), self.tree_at, strict=True)]
        shape = 1 - (off[0] ** 2 + off[1] ** 2) / self.tree_radius[cell] ** 2
        wooded = self.forest[self.cell(x, y, PIXEL)]
        return np.where(wooded, self.tree_height[cell] * shape.clip(0), 0).astype(np.float32)


def batch(land: Land, dtype: npt.DTypeLike, seed: int, strip: int, lines: range, n_lines: int) -> npt.NDArray[Any]:
    """Return the points of some *lines* of a strip, in the order of their time."""
    source = np.random.Generator(np.random.SFC64([seed, strip, lines.start]))
    index = np.arange(lines.start * PULSES, lines.stop * PULSES)
    line, place = np.divmod(index, PULSES)
    place = np.where(line % 2, PULSES - 1 - place, place)
    jitter = source.random((2, len(index)), np.float32)
    across = (place + jitter[0]).astype(np.float32) * STEP - WIDTH / 2
    along = ((n_lines - 1 - line if strip % 2 else line) + jitter[1]).astype(np.float32) * STEP
    x, y = world(across, along, strip)
    kept = source.random(len(index), np.float32) < land.kept[land.cell(x, y, PIXEL)]
    index, line, place, across, along, x, y = (one[kept] for one in (index, line, place, across, along, x, y))
    n, above = returns(land.canopy(x, y), source)
    pulse = np.repeat(np.arange(len(index)), n)
    number = np.arange(len(pulse)) - np.repeat(np.cumsum(n) - n, n)
    lean = (across / 1200)[pulse]  # from a height of 1200 m, with its tangent
    x, y = world(across[pulse] - above * lean, along[pulse], strip)
    points = np.zeros(len(pulse), dtype)
    noise = source.random(len(pulse), np.float32) < 0.0002
    z = land.ground(x, y) + above + 0.03 * source.standard_normal(len(pulse), np.float32)
    z[noise] += 80 * source.random(int(noise.sum()), np.float32)
    for name, at in (("X", x), ("Y", y), ("Z", z)):
        points[name] = np.rint(at.astype(np.float64) / SCALE)
    soil = land.soil[land.cell(x, y, PIXEL)]
    spread = source.integers(0, 64, len(pulse), np.uint16)
    points["intensity"] = (np.where(above > 0.5, soil / 2, soil) / n[pulse]).astype(np.uint16) + spread
    points["bit_fields"] = number + 1 | n[pulse] << 4
    flags = (np.abs(across) > APART - WIDTH / 2) << 3 | (line & 1) << 6 | ((place == 0) | (place == PULSES - 1)) << 7
    points["classification_flags"] = flags[pulse]
    points["classification"] = np.where(noise, NOISE, kinds(above))
    points["scan_angle"] = np.rint(np.rad2deg(np.arctan(lean)) / 0.006)
    points["point_source_id"] = strip + 1
    points["gps_time"] = (312_000_000 + 200.0 * strip + index / PULSES_A_SECOND)[pulse]
    return points


def world(across: Floats, along: Floats, strip: int) -> tuple[Floats, Floats]:
    """Turn places of a strip into metres from the corner of the survey."""
    at = across + np.float32(strip * APART + WIDTH / 2)
    sine, cosine = np.float32(np.sin(HEADING)), np.float32(np.cos(HEADING))
    return at * cosine + along * sine, along * cosine - at * sine + np.float32(8 * APART)


def returns(canopy: Floats, source: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return how many returns each pulse has, and how far above the ground each return is, pulse by pulse."""
    chance = source.random((5, len(canopy)), np.float32)
    more = [(canopy > low) & (chance[i] < p) for i, (low, p) in enumerate([(2, 0.75), (6, 0.5), (12, 0.35)])]
    n = 1 + more[0] + more[0] * (more[1] * (1 + more[2])).astype(np.int64)
    first = canopy * (1 - 0.15 * chance[3])
    last = np.where(n == 1, first, np.where(chance[4] < 0.7, 0, canopy * 0.25 * chance[4]))
    pulse = np.repeat(np.arange(len(canopy)), n)
    number = np.arange(len(pulse)) - np.repeat(np.cumsum(n) - n, n)
    part = number / np.maximum(n - 1, 1)[pulse]
    return n, (first[pulse] + (last - first)[pulse] * part).astype(np.float32)


def kinds(above: Floats) -> npt.NDArray[np.uint8]:
    """Return the classes of points by their height above the ground."""
    found = np.full(len(above), GROUND, np.uint8)
    for least, kind in ((0.01, LOW), (2, MEDIUM), (5, HIGH)):
        found[above > least] = kind
    return found


def batches(n_points: int, dtype: npt.DTypeLike, seed: int = 7) -> Iterator[npt.NDArray[Any]]:
    """Yield *n_points* points, some hundred thousand at a time; as many strips are flown as that takes."""
    land = Land(seed)
    n_lines = max(LINES, int((n_points / MEAN_DENSITY) ** 0.5 / STEP))
    missing = n_points
    for strip in itertools.count():
        for start in range(0, n_lines, LINES):
            points = batch(land, dtype, seed, strip, range(start, min(start + LINES, n_lines)), n_lines)[:missing]
            yield points
            missing -= len(points)
            if not missing:
                return


def write_cloud(paths: Sequence[Path], n_points: int, seed: int = 7) -> None:
    """Write one cloud as LAS 1.4, point format 6, to each of *paths*: compressed where the name ends in ``.laz``."""
    import laspy
    from pyproj import CRS

    with ExitStack() as stack:
        writers = []
        for path in paths:
            header = laspy.LasHeader(version="1.4", point_format=6)
            header.scales, header.offsets = np.full(3, SCALE), np.array(ORIGIN)
            header.creation_date = datetime.date(2026, 1, 1)
            header.generating_software = "benchmarks.clouds_data"
            header.add_crs(CRS.from_epsg(EPSG))
            writers.append(stack.enter_context(laspy.open(path, "w", header=header)))
        for points in batches(n_points, header.point_format.dtype(), seed):
            for writer in writers:
                writer.write_points(laspy.PackedPointRecord(points, header.point_format))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--points", type=int, default=POINTS)
    given = parser.parse_args()
    write_cloud(given.paths, given.points)
