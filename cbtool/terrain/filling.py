"""Fills voids by a rule of bounded reach: what lies further away than that has no say.

A void takes the mean of the nearest cells with data, weighted by the inverse square of their distance (Shepard 1968, "A
two-dimensional interpolation function for irregularly-spaced data"): of all that are no further away than the nearest
`NEAREST` of them, and no further than the reach. Cells are added up in one order, so that the result is the same to the
bit wherever the window lies. Where nothing is within reach, the void stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

NEAREST = 8


def rings(square: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield ``(squared distance, offsets (row, column))`` from near to far, up to *square*, itself not included.

    >>> list(rings(1))
    [(1, [(-1, 0), (0, -1), (0, 1), (1, 0)])]
    """
    n = int(square**0.5) + 1
    around = [(i * i + j * j, (i, j)) for i in range(-n, n + 1) for j in range(-n, n + 1)]
    near = sorted(one for one in around if 0 < one[0] <= square)
    for distance, members in groupby(near, key=lambda one: one[0]):
        yield distance, [offset for _, offset in members]


def filled(values: NDArray[np.float64], square: int, wanted: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return *values* (2-D, NaN is a void) with the voids of the part *wanted* filled.

    *square* is the square of the reach in cells. What is wanted sees all of *values*.
    """
    margin = int(square**0.5)
    padded = np.pad(values, margin, constant_values=np.nan)
    has = ~np.isnan(padded)
    void = np.zeros(values.shape, bool)
    void[wanted] = True
    void &= np.isnan(values)
    void &= _has_near(has, margin)
    rows, cols = np.nonzero(void)
    width = padded.shape[1]
    place = (rows + margin) * width + cols + margin
    found = values.copy()
    _fill(found.reshape(-1), rows * values.shape[1] + cols, np.where(has, padded, 0.0).reshape(-1), has, place, square)
    return found


def _fill(
    found: NDArray[np.float64],
    target: NDArray[np.int64],
    values: NDArray[np.float64],
    has: NDArray[np.bool_],
    place: NDArray[np.int64],
    square: int,
) -> None:
    """Set *found* at *target* to what the cells about *place* say; a cell is done with once it has seen enough."""
    width, has = has.shape[1], has.reshape(-1)
    total, weight = np.zeros(len(place)), np.zeros(len(place))
    seen = np.zeros(len(place), np.int64)
    for distance, offsets in rings(square):
        for row, col in offsets:
            at = place + (row * width + col)
            is_data = has[at]
            total += values[at] / distance
            weight += is_data / distance
            seen += is_data
        if (is_done := seen >= NEAREST).any():
            found[target[is_done]] = total[is_done] / weight[is_done]
            left = ~is_done
            target, place, seen = target[left], place[left], seen[left]
            total, weight = total[left], weight[left]
    some = seen > 0
    found[target[some]] = total[some] / weight[some]


def _has_near(has: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Say of each cell inside the margin whether the square of 2 * *margin* + 1 cells about it holds any data."""
    n = 2 * margin + 1
    running = np.zeros((has.shape[0] + 1, has.shape[1] + 1), np.int64)
    running[1:, 1:] = has.cumsum(0, np.int64).cumsum(1)
    return (running[n:, n:] - running[:-n, n:] - running[n:, :-n] + running[:-n, :-n]) > 0
