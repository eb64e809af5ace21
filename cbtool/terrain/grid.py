"""The pixel grid: cells anchored at whole multiples of the resolution, decided in integers.

A LAS coordinate is an integer *unit*: world = unit * scale + offset (ASPRS LAS 1.4 R15, section 2.4). Scale, offset and
resolution are taken for the decimal numbers that they stand for, so that every border is exact: cell *i* of an axis
holds the units whose world coordinate is in ``[i * step, (i + 1) * step)``.

Rows are counted from south to north, as coordinates are; only a written raster has its north on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import UsageError

MOST_CELLS = 2**31 - 1
"""How many cells a raster may have along an axis: what a TIFF can say."""
FAR = 2**62
"""Further than any unit."""
Number = float | Fraction
Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in units, half-open."""


def exact(number: Number | str) -> Fraction:
    """Return the decimal number that *number* stands for.

    >>> exact(0.01)
    Fraction(1, 100)
    """
    return number if isinstance(number, Fraction) else Fraction(str(number))


@dataclass(frozen=True)
class Axis:
    """One axis of a grid of cells that are *step* wide."""

    scale: Fraction
    offset: Fraction
    step: Fraction

    def cell(self, unit: int) -> int:
        """Return the cell that holds *unit*.

        >>> Axis(Fraction(1, 100), Fraction(0), Fraction(1)).cell(-1)
        -1
        """
        return (unit * self.scale + self.offset) // self.step

    def border(self, cell: int) -> int:
        """Return the first unit of *cell*.

        >>> Axis(Fraction(1, 3), Fraction(0), Fraction(1, 2)).border(1)
        2
        """
        return -((self.offset - cell * self.step) // self.scale)

    def next_border(self, unit: int) -> int:
        """Return the first cell whose first unit is not before *unit*."""
        cell = self.cell(unit)
        return cell if self.border(cell) >= unit else cell + 1

    def cells(self, units: NDArray[np.int32], first: int, n: int) -> NDArray[np.int64]:
        """Return for each of *units* its cell, counted from *first*; below 0 or from *n* on are those outside."""
        steps = self.step / self.scale
        if steps.denominator == 1 and steps < FAR:
            return _by_division(units, self.border(first), int(steps))
        borders = [max(-FAR, min(self.border(first + i), FAR)) for i in range(n + 1)]
        return np.searchsorted(np.array(borders, np.int64), units, side="right") - 1


def _by_division(units: NDArray[np.int32], zero: int, steps: int) -> NDArray[np.int64]:
    """Return ``(units - zero) // steps``, by arithmetic of 32 bits where that cannot overflow: it is faster."""
    if len(units) and steps < 2**31 and -(2**31) <= zero < 2**31:
        low, high = int(units.min()) - zero, int(units.max()) - zero
        if -(2**31) <= low and high < 2**31:
            return ((units - np.int32(zero)) // np.int32(steps)).astype(np.int64)
    return (units.astype(np.int64) - zero) // steps


@dataclass(frozen=True)
class Window:
    """A rectangle of cells: the first column and row, how many columns and rows."""

    col: int
    row: int
    width: int
    height: int

    @property
    def n_cells(self) -> int:
        return self.width * self.height

    def grown(self, n: int) -> Window:
        """Return the window with *n* more cells on every side."""
        return Window(self.col - n, self.row - n, self.width + 2 * n, self.height + 2 * n)

    def within(self, other: Window) -> Window:
        """Return what lies in *other* too; of no width or height if nothing does."""
        col, row = max(self.col, other.col), max(self.row, other.row)
        width = min(self.col + self.width, other.col + other.width) - col
        height = min(self.row + self.height, other.row + other.height) - row
        return Window(col, row, max(0, width), max(0, height))

    def inside(self, other: Window) -> tuple[slice, slice]:
        """Return where the window lies in an array (rows, columns) of *other*."""
        row, col = self.row - other.row, self.col - other.col
        return slice(row, row + self.height), slice(col, col + self.width)


@dataclass(frozen=True)
class Grid:
    """The cells over a cloud: its frame, its *bounds* (tight, half-open) and the resolution."""

    x: Axis
    y: Axis
    bounds: Box

    @staticmethod
    def of(scale: Sequence[Number], offset: Sequence[Number], bounds: Box, resolution: Fraction) -> Grid:
        """Return the grid of a cloud's frame; UsageError if it has more cells than a raster may have."""
        if resolution <= 0:
            raise UsageError(f"--resolution {float(resolution):g}: it must be more than 0")
        x, y = (Axis(exact(s), exact(o), resolution) for s, o in zip(scale[:2], offset[:2], strict=True))
        grid = Grid(x, y, bounds)
        if max(grid.extent.width, grid.extent.height) > MOST_CELLS:
            raise UsageError(f"--resolution {float(resolution):g}: too fine for the extent", hint="a coarser one")
        return grid

    @property
    def resolution(self) -> Fraction:
        return self.x.step

    @property
    def extent(self) -> Window:
        """Return the window of all cells that hold a part of the bounds."""
        x0, y0, x1, y1 = self.bounds
        col, row = self.x.cell(x0), self.y.cell(y0)
        return Window(col, row, self.x.cell(x1 - 1) + 1 - col, self.y.cell(y1 - 1) + 1 - row)

    def owned(self, box: Box) -> Window:
        """Return the cells of the extent whose lower left corner lies in *box*.

        A corner outside of the bounds counts as the nearest place in them, so that of boxes that share out the bounds
        each cell has exactly one.
        """
        whole = self.extent
        col, end_col = (_from(self.x, at, self.bounds[0], whole.col, whole.width) for at in (box[0], box[2]))
        row, end_row = (_from(self.y, at, self.bounds[1], whole.row, whole.height) for at in (box[1], box[3]))
        return Window(col, row, max(0, end_col - col), max(0, end_row - row))

    def index(self, x: NDArray[np.int32], y: NDArray[np.int32], area: Window) -> NDArray[np.int64]:
        """Return for each point the place of its cell in the flattened array of *area*; -1 for those outside."""
        col = self.x.cells(x, area.col, area.width)
        row = self.y.cells(y, area.row, area.height)
        outside = (col < 0) | (col >= area.width) | (row < 0) | (row >= area.height)
        row *= area.width
        row += col
        row[outside] = -1
        return row


def _from(axis: Axis, unit: int, least: int, first: int, n: int) -> int:
    """Return the first cell that belongs to a box which begins at *unit*."""
    return first if unit <= least else min(max(axis.next_border(unit), first), first + n)
