"""Fills voids by a rule of bounded reach: what lies further away than that has no say.

A void takes the mean of the nearest cells with data, weighted by the inverse square of their distance (Shepard 1968, "A
two-dimensional interpolation function for irregularly-spaced data"): of all that are no further away than the nearest
`NEAREST` of them, and no further than the reach. Cells are added up in one order, so that the result is the same to the
bit wherever the window lies. Where nothing is within reach, the void stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import isqrt

import numpy as np
from numpy.typing import NDArray

NEAREST = 8


def rings(square: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield ``(squared distance, offsets (row, column))`` from near to far, up to *square*, itself not included.

    >>> list(rings(1))
    [(1, [(-1, 0), (0, -1), (0, 1), (1, 0)])]
    """
    n = isqrt(square)
    around = [(i * i + j * j, (i, j)) for i in range(-n, n + 1) for j in range(-n, n + 1)]
    near = sorted(one for one in around if 0 < one[0] <= square)
    for distance, members in groupby(near, key=lambda one: one[0]):
        yield distance, [offset for _, offset in members]


def filled(values: NDArray[np.float64], square: int, wanted: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return *values* (2-D, NaN is a void) with the voids of the part *wanted* filled.

    *square* is the square of the reach in cells. What is wanted sees all of *values*.
    """
    margin = isqrt(square)
    padded = np.pad(values, margin, constant_values=np.nan)
    has = ~np.isnan(padded)
    void = np.zeros(values.shape, bool)
    void[wanted] = True
    void &= np.isnan(values) & _has_near(has, margin)
    inner = np.zeros(padded.shape, bool)
    inner[margin : margin + values.shape[0], margin : margin + values.shape[1]] = void
    _fill(padded.reshape(-1), np.flatnonzero(has), np.flatnonzero(inner), padded.shape[1], square)
    return padded[margin : margin + values.shape[0], margin : margin + values.shape[1]]


def _fill(
    found: NDArray[np.float64], data: NDArray[np.int64], voids: NDArray[np.int64], width: int, square: int
) -> None:
    """Set *found* at *voids* to what *data* about them say: places in a flattened array of *width* columns.

    A void is done with once it has seen enough. Of voids and data the fewer are gone through; what a void has seen is
    added up in the same order either way.
    """
    values = np.zeros(found.shape)
    values[data] = found[data]
    is_data = np.zeros(found.shape, bool)
    is_data[data] = True
    total, weight, seen = np.zeros(found.shape), np.zeros(found.shape), np.zeros(found.shape, np.int32)
    known = values[data]
    for distance, offsets in rings(square):
        for row, col in offsets:
            off = row * width + col
            if len(data) < len(voids):
                # No two data cells are at one offset from a void. What is done with does not mind.
                total[data - off] += known / distance
                weight[data - off] += 1 / distance
                seen[data - off] += 1
            else:
                total[voids] += values[voids + off] / distance
                weight[voids] += is_data[voids + off] / distance
                seen[voids] += is_data[voids + off]
        is_done = seen[voids] >= NEAREST
        done = voids[is_done]
        found[done] = total[done] / weight[done]
        voids = voids[~is_done]
        if not len(voids):
            return
    some = voids[seen[voids] > 0]
    found[some] = total[some] / weight[some]


def _has_near(has: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Say of each cell inside the margin whether the square of 2 * *margin* + 1 cells about it holds any data."""
    n = 2 * margin + 1
    running = np.zeros((has.shape[0] + 1, has.shape[1] + 1), np.int64)
    running[1:, 1:] = has.cumsum(0, np.int64).cumsum(1)
    return (running[n:, n:] - running[:-n, n:] - running[n:, :-n] + running[:-n, :-n]) > 0
