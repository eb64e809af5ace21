"""Sums, counts and extremes of heights over cells, in integers: whatever the order of the points, the same result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = np.int32(-(2**31))
"""The highest point of a cell without points. A height of that number is taken for none."""
NOISE = (7, 18)
"""Low and high noise (ASPRS LAS 1.4 R15, table 17)."""


@dataclass(frozen=True)
class Points:
    """What a surface is made of: units of the frame, 1-D, and what is known of each point."""

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    z: NDArray[np.int32]
    is_first: NDArray[np.bool_]
    """Whether it is the first return of its pulse."""
    is_last: NDArray[np.bool_]
    """Whether it is the last return of its pulse."""
    is_ground: NDArray[np.bool_]
    """Whether its class says ground."""

    def taken(self, which: NDArray[np.bool_]) -> Points:
        """Return those points for which *which* is true."""
        if bool(which.all()):
            return self
        return Points(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def highest(cell: NDArray[np.int64], z: NDArray[np.int32], n_cells: int) -> NDArray[np.int32]:
    """Return the greatest *z* of each cell; `NOTHING` where there is no point."""
    found = np.full(n_cells, NOTHING, np.int32)
    np.maximum.at(found, cell, z)
    return found


def lowest(cell: NDArray[np.int64], z: NDArray[np.int32], n_cells: int) -> NDArray[np.int64]:
    """Return the least *z* of each cell; 2**62 where there is no point."""
    found = np.full(n_cells, 2**62, np.int64)
    np.minimum.at(found, cell, z.astype(np.int64))
    return found


def means(cell: NDArray[np.int64], z: NDArray[np.int32], n_cells: int) -> NDArray[np.float64]:
    """Return the mean *z* of each cell; NaN where there is no point. Sums are of 64 bits, so that order is nothing."""
    total = np.zeros(n_cells, np.int64)
    np.add.at(total, cell, z.astype(np.int64))
    count = np.bincount(cell, minlength=n_cells)
    found = np.full(n_cells, np.nan)
    np.divide(total, count, out=found, where=count > 0)
    return found


def shares(part: NDArray[np.int64], whole: NDArray[np.int64], window: int) -> NDArray[np.float64]:
    """Return *part* / *whole*, both counts summed over *window* by *window* cells (odd); NaN where there are none."""
    some, all_ = box_sums(part, window), box_sums(whole, window)
    found = np.full(whole.shape, np.nan)
    np.divide(some, all_, out=found, where=all_ > 0)
    return found


def box_sums(counts: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Return the sum of *counts* (2-D) over the *window* by *window* cells (odd) about each; none are outside."""
    if window == 1:
        return counts
    for axis in (0, 1):
        ends = [(0, 0), (0, 0)]
        ends[axis] = (window // 2 + 1, window // 2)
        running = np.cumsum(np.pad(counts, ends), axis=axis)
        counts = (running[window:] - running[:-window]) if axis == 0 else running[:, window:] - running[:, :-window]
    return counts
