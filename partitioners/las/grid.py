"""Counts of points in square cells of the plane, all in integers: a cell is 2^k units wide.

Cells are numbered from the world's zero, so that grids of files of one scale lie in one frame: point X is in cell
``(X + anchor) >> k``, where *anchor* is the file's offset in units of its scale. Cells of 2^k merge into those of
2^(k+1) exactly, so that how fine a grid is may be settled while it is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) of cells or of points, the last ones included."""
MOST_CELLS, FEWEST_CELLS, POINTS_EACH = 1 << 22, 1 << 12, 8
MOST_ANCHOR = 1 << 60


def anchor_of(scale: float, offset: float) -> int | None:
    """Return *offset* in units of *scale*; None if it is not a whole number of them, as they are written.

    >>> anchor_of(0.01, 500000.0), anchor_of(0.01, 0.005), anchor_of(-0.25, 1.5)
    (50000000, None, -6)
    """
    units = Fraction(repr(float(offset))) / Fraction(repr(float(scale)))
    return int(units) if units.denominator == 1 and abs(units) <= MOST_ANCHOR else None


def most_cells(n_points: int) -> int:
    """Return how many cells the grid of *n_points* may have."""
    return min(MOST_CELLS, max(FEWEST_CELLS, n_points // POINTS_EACH))


def fineness(box: Box, limit: int) -> int:
    """Return the least k at which *box*, of points, has no more than *limit* cells, which is at least 4.

    It never falls as a box grows, so that what is counted of a part is never coarser than the whole.

    >>> fineness((0, 0, 7, 7), 64), fineness((0, 0, 7, 8), 64)
    (0, 1)
    """
    k = 0
    while _n_cells(cells(box, k)) > limit:
        k += 1
    return k


def cells(box: Box, k: int) -> Box:
    """Return the cells that *box*, of points, covers."""
    x0, y0, x1, y1 = box
    return x0 >> k, y0 >> k, x1 >> k, y1 >> k


def _n_cells(box: Box) -> int:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def union(one: Box | None, other: Box) -> Box:
    if one is None:
        return other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


@dataclass(frozen=True)
class Frame:
    """Which cells a grid has: *k*, and the cells (x0, y0, x1, y1) at its corners, the last ones included."""

    k: int
    corners: Box

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (y) and columns (x)."""
        x0, y0, x1, y1 = self.corners
        return y1 - y0 + 1, x1 - x0 + 1


def regrid(counts: NDArray[Any], old: Frame, new: Frame) -> NDArray[Any]:
    """Return *counts* of the frame *old* in the frame *new*, as fine or coarser; what it does not hold is left out."""
    here = old
    while here.k < new.k:
        counts, here = coarser(counts, here)
    if here == new:
        return counts
    made = np.zeros(new.shape, counts.dtype)
    x0, y0, x1, y1 = (*map(max, here.corners[:2], new.corners[:2]), *map(min, here.corners[2:], new.corners[2:]))
    _between(made, new, (x0, y0, x1, y1))[...] = _between(counts, here, (x0, y0, x1, y1))
    return made


def coarser(counts: NDArray[Any], frame: Frame) -> tuple[NDArray[Any], Frame]:
    """Return *counts* in cells of twice the width, and their frame; of booleans, whether any is true."""
    x, y = frame.corners[:2]
    n_rows, n_columns = counts.shape
    counts = np.pad(counts, ((y & 1, (y + n_rows) & 1), (x & 1, (x + n_columns) & 1)))
    rows = counts[0::2] + counts[1::2]
    made = rows[:, 0::2] + rows[:, 1::2]
    x, y = x >> 1, y >> 1
    return made, Frame(frame.k + 1, (x, y, x + made.shape[1] - 1, y + made.shape[0] - 1))


def _between(grid: NDArray[Any], frame: Frame, box: Box) -> NDArray[Any]:
    x, y = frame.corners[:2]
    return grid[max(0, box[1] - y) : max(0, box[3] + 1 - y), max(0, box[0] - x) : max(0, box[2] + 1 - x)]


class Counter:
    """Counts points into several grids of one frame, which grows and coarsens as the points ask for.

    *n_points* is how many there will be in the whole source; *anchor* is that of X and of Y.
    """

    def __init__(self, n_points: int, anchor: tuple[int, int], n_layers: int) -> None:
        self._limit, self._anchor, self._n_layers = most_cells(n_points), anchor, n_layers
        self._dtype = np.uint32 if n_points < 1 << 32 else np.int64
        self._box: Box | None = None
        self._frame: Frame | None = None
        self._layers: list[NDArray[Any]] = []

    def add(
        self, x: NDArray[np.int32], y: NDArray[np.int32], box: Box, kept: Sequence[NDArray[np.bool_] | None]
    ) -> None:
        """Count points whose integers have the bounds *box*; *kept* says for each layer which (None: all of them)."""
        ax, ay = self._anchor
        world = box[0] + ax, box[1] + ay, box[2] + ax, box[3] + ay
        frame = self._reframe(world)
        x0, y0 = frame.corners[:2]
        codes = _numbers(y, ay, y0, frame.k, world[3]) * frame.shape[1]
        codes += _numbers(x, ax, x0, frame.k, world[2])
        for layer, mask in zip(self._layers, kept, strict=True):
            np.add.at(layer.reshape(-1), codes if mask is None else np.compress(mask, codes), layer.dtype.type(1))

    def _reframe(self, world: Box) -> Frame:
        """Return a frame that holds *world* too: with room to grow, or each new point might ask for another."""
        self._box = union(self._box, world)
        k = fineness(self._box, self._limit)
        now, needed = self._frame, cells(self._box, k)
        if now is not None and now.k == k and union(now.corners, needed) == now.corners:
            return now
        new = Frame(k, needed)
        if now is None:
            self._layers = [np.zeros(new.shape, self._dtype) for _ in range(self._n_layers)]
        else:
            new = Frame(k, _roomy(needed, now, k))
            self._layers = [regrid(layer, now, new) for layer in self._layers]
        self._frame = new
        return new

    def grids(self) -> tuple[Frame, list[NDArray[Any]]] | None:
        """Return the frame that just holds what was counted, and the grids (rows, columns); None of nothing."""
        if self._box is None or self._frame is None:
            return None
        frame = Frame(self._frame.k, cells(self._box, self._frame.k))
        return frame, [regrid(layer, self._frame, frame) for layer in self._layers]


def _roomy(needed: Box, now: Frame, k: int) -> Box:
    """Return the cells of *now* and those *needed*, and a quarter of these again on each side where it has too few."""
    x0, y0, x1, y1 = had = cells(now.corners, k - now.k)
    x, y = (needed[2] - needed[0]) // 4, (needed[3] - needed[1]) // 4
    roomy = (
        needed[0] - x * (needed[0] < x0),
        needed[1] - y * (needed[1] < y0),
        needed[2] + x * (needed[2] > x1),
        needed[3] + y * (needed[3] > y1),
    )
    return union(had, roomy)


def _numbers(values: NDArray[np.int32], anchor: int, first: int, k: int, most: int) -> NDArray[np.intp]:
    """Return which cell each of *values* is in, counted from the cell *first*; *most* is the greatest, anchored."""
    origin = (first << k) - anchor
    if most - (first << k) < 1 << 32:  # the difference fits, and so wraps around rightly
        return ((values.view(np.uint32) - np.uint32(origin & 0xFFFFFFFF)) >> np.uint32(k)).astype(np.intp)
    return (values.astype(np.int64) - origin) >> k
