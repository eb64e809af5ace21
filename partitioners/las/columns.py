"""Cuts a cloud into columns of an octree, each of which is built alone, by counts of points in cells.

Columns, and the cells that they are made of, are cells of the quadtree that the octree is when seen from above.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import FormatError
from cbtool.partitioners.las.cube import BITS, Cube, Ints
from cbtool.partitioners.las.octree import GRID_BITS
from cbtool.partitioners.las.records import Records

MOST_POINTS = 2_000_000
"""Columns of more points are cut, and those of fewer are built together up to that. It shapes what is made."""
CELL_DEPTH = 8
"""Clouds of more points than a column are counted in cells of this depth: their numbers fit 16 bits."""

SPREAD = np.zeros(1 << CELL_DEPTH, np.uint16)
for _bit in range(CELL_DEPTH):
    SPREAD |= (((np.arange(1 << CELL_DEPTH) >> _bit) & 1) << (2 * _bit)).astype(np.uint16)
"""Numbers of CELL_DEPTH bits with an empty bit after each of theirs."""


def cell_depth(n_points: int) -> int:
    """Return how deep the cells are in which a cloud of *n_points* is counted."""
    return CELL_DEPTH if n_points > MOST_POINTS else 0


def cells(records: Records, cube: Cube, depth: int) -> NDArray[np.uint16]:
    """Return which cell each point is in: its number along the Morton curve."""
    x, y = (cube.places(records[name], axis) >> BITS - depth for axis, name in enumerate("XY"))
    return np.asarray(SPREAD[x] | SPREAD[y] << 1, np.uint16)


def numbers(depth: int) -> NDArray[np.uint16]:
    """Return the numbers of all cells; shape (cells of y, cells of x)."""
    along = SPREAD[np.arange(2**depth)]
    return np.asarray(along | along[:, None] << 1, np.uint16)


@dataclass(frozen=True)
class Columns:
    """Bundles of columns of one depth; together they cover the cube, seen from above."""

    bundle_of: NDArray[np.int32]
    """Which bundle each cell is in; shape (cells of y, cells of x)."""
    depths: tuple[int, ...]
    """How deep the columns of each bundle are."""

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def finest(self) -> int:
        """Return the depth of the cells of `bundle_of`."""
        return len(self.bundle_of).bit_length() - 1

    def runs(self) -> list[tuple[int, int, int]]:
        """Return (first cell, last cell + 1, bundle) of the unbroken runs of cells along the Morton curve."""
        along = np.empty(self.bundle_of.size, np.int32)
        along[numbers(self.finest).reshape(-1)] = self.bundle_of.reshape(-1)
        edges = [0, *(np.flatnonzero(np.diff(along)) + 1).tolist(), len(along)]
        return [(a, b, int(along[a])) for a, b in zip(edges, edges[1:], strict=False)]


def columns_of(counts: Ints, most_points: int) -> Columns:
    """Cut the plane of *counts* (y, x), 2 ** n cells a side, into columns of at most *most_points*, and bundle them.

    A cell with more is a column all the same. Bundles are of columns of one depth that follow each other along the
    Morton curve; they are in the order of their first columns.
    """
    sums = [counts]
    while len(sums[0]) > 1:
        fine = sums[0]
        sums.insert(0, fine[0::2, 0::2] + fine[1::2, 0::2] + fine[0::2, 1::2] + fine[1::2, 1::2])
    found: list[tuple[int, int, int]] = []
    todo = [(0, 0, 0)]
    while todo:
        depth, row, column = todo.pop()
        if depth < len(sums) - 1 and sums[depth][row, column] > most_points:
            todo += [(depth + 1, 2 * row + i, 2 * column + j) for i in (1, 0) for j in (1, 0)]
        else:
            found.append((depth, row, column))
    return _bundled(found, sums, most_points)


def _bundled(columns: list[tuple[int, int, int]], sums: list[Ints], most_points: int) -> Columns:
    finest = len(sums) - 1
    bundle_of = np.zeros((2**finest, 2**finest), np.int32)
    depths: list[int] = []
    open_: dict[int, tuple[int, int]] = {}
    """By depth: the bundle that still takes columns, and how many points it has."""
    for depth, row, column in columns:
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
    """Return for each cell the least depth of nodes that it may give single points to; None if all are 0.

    Where columns are narrower than the cells of a node's grid, the one whose place comes first in such a cell gives
    for all: else it would give as many points as it has columns.
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
        leads = ((rows % cell) < width) & ((places % cell) < width)
        found[(width < cell) & ~leads] = depth + 1
    return found


def to_bytes(columns: Columns) -> bytes:
    table = base64.b64encode(zlib.compress(columns.bundle_of.astype("<i4").tobytes())).decode()
    return json.dumps({"depths": columns.depths, "bundle_of": table}).encode()


def from_bytes(said: bytes) -> Columns:
    """Read columns that an earlier step wrote; FormatError if there are none."""
    try:
        fields = json.loads(said)
        data = zlib.decompressobj().decompress(base64.b64decode(fields["bundle_of"]), 4 << 2 * CELL_DEPTH)
        side = round((len(data) // 4) ** 0.5)
        table = np.frombuffer(data, "<i4").astype(np.int32).reshape(side, side)
        return Columns(table, tuple(map(int, fields["depths"])))
    except (ValueError, KeyError, TypeError, zlib.error):
        raise FormatError("what the tasks agreed on is damaged", hint="begin anew: --force") from None
