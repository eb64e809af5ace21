"""Thinning: of the points in each cell of a grid, the one that is nearest to its middle.

Cells are cubes, and their corners lie at whole multiples of their side in world coordinates: which points stay does
not depend on how a cloud is cut or stored. All is decided in integers, but for how near a point is; that is decided
in floats which are the same wherever they are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import UsageError
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.records import Records

MOST = 2**63 - 1


@dataclass(frozen=True)
class Cells:
    """A grid of cells: integer X is in cell ``(X * times + plus) // width``, for each axis."""

    times: tuple[int, int, int]
    plus: tuple[int, int, int]
    width: tuple[int, int, int]


def cells_of(frame: Frame, sides: Sequence[Fraction]) -> Cells:
    """Return the grid of cells whose *sides* are so long in world units; UsageError if they make no whole numbers."""
    found = []
    for scale, offset, side in zip(frame.scale, frame.offset, sides, strict=True):
        times, plus = Fraction(repr(float(scale))) / side, Fraction(repr(float(offset))) / side
        width = lcm(times.denominator, plus.denominator)
        found.append((int(times * width), int(plus * width), width))
    if any((abs(times) << 32) + abs(plus) > MOST or 2 * width > MOST for times, plus, width in found):
        raise UsageError("--spacing: not a length that cells can be counted in", hint="give fewer digits")
    (a, b, c), (d, e, f), (g, h, i) = zip(*found, strict=True)
    return Cells((a, b, c), (d, e, f), (g, h, i))


def stays(records: Records, cells: Cells) -> NDArray[np.bool_]:
    """Say of each point whether it is the one that stays in its cell. Of equally near ones, it is the first.

    The first is by coordinates, and of points at one place the one that was given first.
    """
    kept = np.zeros(len(records), np.bool_)
    if not len(records):
        return kept
    places, far = [], np.zeros(len(records))
    for axis, name in enumerate("XYZ"):
        scaled = records[name].astype(np.int64) * cells.times[axis] + cells.plus[axis]
        cell = scaled // cells.width[axis]
        places.append(cell)
        from_middle = (2 * (scaled - cell * cells.width[axis]) - cells.width[axis]) / cells.width[axis]
        far += from_middle * from_middle
    order = np.lexsort((records["Z"], records["Y"], records["X"], far, *places))
    is_first = np.zeros(len(order), np.bool_)
    is_first[0] = True
    for cell in places:
        ranked = cell[order]
        is_first[1:] |= ranked[1:] != ranked[:-1]
    kept[order[is_first]] = True
    return kept
