"""Cuts a cloud into columns of an octree, so that each can be built alone: which column a point is in.

A column is a cell of the quadtree that the octree is when seen from above. How many points it has is told by a grid of
counts whose cells do not nest in it, so it is known but for those at its border: enough to bound memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.las.cube import BITS, Cube, Ints
from cbtool.partitioners.las.octree import GRID_BITS
from cbtool.partitioners.las.records import Records

MOST_POINTS = 2_000_000
"""Columns of more points are cut, and those of fewer are built together up to that. It shapes what is made."""
DEEPEST = 10
"""The table of which column a place is in has 2 ** DEEPEST cells a side, or fewer."""


@dataclass(frozen=True)
class Columns:
    """Bundles of columns of one depth; together they cover the cube, seen from above."""

    bundle_of: NDArray[np.int32]
    """Which bundle each cell of the finest depth is in; shape (cells of y, cells of x)."""
    depths: tuple[int, ...]
    """How deep the columns of each bundle are."""

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def finest(self) -> int:
        """Return the depth of the cells of `bundle_of`."""
        return len(self.bundle_of).bit_length() - 1

    def bundles(self, records: Records, cube: Cube) -> NDArray[np.int32]:
        """Return which bundle each point is in."""
        shift = BITS - self.finest
        x, y = (cube.places(records[name], axis) >> shift for axis, name in enumerate("XY"))
        found: NDArray[np.int32] = self.bundle_of[y, x]
        return found


def finest_for(cube: Cube, cell: int) -> int:
    """Return the depth down to which columns are told apart by a grid whose cells are *cell* units wide."""
    side = min(cube.sides[:2])
    depth = 0
    while depth < DEEPEST and side / 2 ** (depth + 1) >= 2 * cell:
        depth += 1
    return depth


def counts_in(cube: Cube, x: Ints, y: Ints, counts: Ints, depth: int) -> Ints:
    """Return how many points each cell of *depth* has: (y, x), of *counts* that lie at about *x* and *y* (integers)."""
    columns, rows = (
        np.clip((at - cube.least[axis]) * float(2**depth / cube.sides[axis]), 0, 2**depth - 1).astype(np.int64)
        for axis, at in enumerate((x, y))
    )
    found = np.zeros((2**depth, 2**depth), np.int64)
    np.add.at(found, (rows, columns), counts)
    return found


def columns_of(counts: Ints, most_points: int) -> Columns:
    """Cut the plane of *counts* (2 ** n cells a side) into columns of at most *most_points*, and bundle them.

    A cell with more is a column all the same. Bundles are of columns of one depth that follow each other along the
    Morton curve; they are in the order of their first columns.
    """
    finest = len(counts).bit_length() - 1
    sums = [counts]
    while len(sums[0]) > 1:
        fine = sums[0]
        sums.insert(0, fine[0::2, 0::2] + fine[1::2, 0::2] + fine[0::2, 1::2] + fine[1::2, 1::2])
    cells: list[tuple[int, int, int]] = []
    todo = [(0, 0, 0)]
    while todo:
        depth, row, column = todo.pop()
        if depth < finest and sums[depth][row, column] > most_points:
            todo += [(depth + 1, 2 * row + i, 2 * column + j) for i in (1, 0) for j in (1, 0)]
        else:
            cells.append((depth, row, column))
    return _bundled(cells, sums, most_points)


def _bundled(cells: list[tuple[int, int, int]], sums: list[Ints], most_points: int) -> Columns:
    finest = len(sums) - 1
    bundle_of = np.zeros((2**finest, 2**finest), np.int32)
    depths: list[int] = []
    open_: dict[int, tuple[int, int]] = {}
    """By depth: the bundle that still takes columns, and how many points it has."""
    for depth, row, column in cells:
        n = int(sums[depth][row, column])
        bundle, held = open_.get(depth, (-1, 0))
        if bundle < 0 or held + n > most_points:
            bundle, held = len(depths), 0
            depths.append(depth)
        open_[depth] = (bundle, held + n)
        width = 2 ** (finest - depth)
        bundle_of[row * width : (row + 1) * width, column * width : (column + 1) * width] = bundle
    return Columns(bundle_of, tuple(depths))


def shallowest(columns: Columns) -> NDArray[np.uint8] | None:
    """Return for each finest cell the least depth of nodes that it may give single points to; None if all are 0.

    Where columns are narrower than the cells of a node's grid, the one whose place comes first in a cell gives for
    all: else a cell would give as many points as it has columns.
    """
    deepest = max(columns.depths)
    if deepest <= GRID_BITS:
        return None
    finest = columns.finest
    depth_of = np.array(columns.depths)[columns.bundle_of]
    rows, places = np.indices(depth_of.shape)
    found = np.zeros(depth_of.shape, np.uint8)
    for depth in range(deepest - GRID_BITS):
        # A column leads a grid cell of nodes of this depth if it begins where the cell does.
        width, cell = 2 ** (finest - depth_of), 2 ** (finest - GRID_BITS - depth)
        narrow = width < cell
        leads = ((rows % cell) < width) & ((places % cell) < width)
        found[narrow & ~leads] = depth + 1
    return found
