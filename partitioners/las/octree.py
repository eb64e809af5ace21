"""An octree over the points of one column of a cloud: which point goes to which node.

Columns are cells of the quadtree that the octree is when seen from above, each as high as the cube. Points go down
from the root: at each node one point of every cell of a 128 x 128 x 128 grid stays, and the others go on, until a node
has few enough to keep all. A cell lies within one column, so that nodes which many columns share are the sum of what
each column gives them. Places are Morton codes, in which all points of a node, and of a cell, are one stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.las.cube import BITS, Cube, Ints
from cbtool.partitioners.las.records import Records

GRID_BITS = 7
"""A node keeps at most one point of each of 2 ** GRID_BITS slices a side."""
LEAF_POINTS = 100_000
"""A node to which no more points than this have come keeps them all."""
LEAST_POINTS = 2_000
"""Fewer points than this do not make a node of their own where their parent can keep them."""

HALF = (BITS + 1) // 2
SPREAD = np.zeros(1 << HALF, np.int64)
for _bit in range(HALF):
    SPREAD |= ((np.arange(1 << HALF) >> _bit) & 1) << (3 * _bit)
"""Numbers of HALF bits with two empty bits after each of theirs."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of an octree that one column has points in, parents before children, along the Morton curve."""

    keys: NDArray[np.int32]
    """Shape (n, 4): depth, x, y, z."""
    counts: Ints
    """How many points each has, shape (n,)."""
    order: Ints
    """The numbers of the points, node after node; within a node as they were given."""


def morton(x: Ints, y: Ints, z: Ints) -> Ints:
    """Return the codes of places of up to BITS bits an axis: their bits in turn, those of *z* the highest.

    >>> one = np.array([1])
    >>> int(morton(one, 0 * one, one)[0])
    5
    """
    low = (1 << HALF) - 1
    code = np.zeros(len(x), np.int64)
    for shift, place in enumerate((x, y, z)):
        code |= (SPREAD[place & low] | SPREAD[place >> HALF] << (3 * HALF)) << shift
    return code


def codes_of(records: Records, cube: Cube) -> Ints:
    """Return the Morton code of each point."""
    return morton(*(cube.places(records[name], axis) for axis, name in enumerate("XYZ")))


def octree(codes: Ints, column_depth: int, deepest: int, shallowest: NDArray[np.uint8] | None = None) -> Nodes:
    """Return the nodes of columns, *column_depth* deep, of points at *codes*; none is deeper than *deepest*.

    Nodes above *column_depth* get the single points that stay there, whatever else is in the columns. *shallowest* is
    the least depth of nodes where a point may be such (`columns.shallowest`).
    """
    order = np.argsort(codes, kind="stable")
    first = None if shallowest is None else shallowest[order]
    return _Descent(codes[order], order, column_depth, deepest, first).nodes()


class _Descent:
    """Takes the points of a column down, depth by depth."""

    def __init__(
        self, codes: Ints, order: Ints, column_depth: int, deepest: int, shallowest: NDArray[np.uint8] | None
    ) -> None:
        self.codes, self.order, self.shallowest = codes, order, shallowest
        self.column_depth, self.deepest = column_depth, deepest
        self.given: list[tuple[int, Ints, Ints]] = []
        """(depth, codes, numbers) of points that have found their node."""

    def nodes(self) -> Nodes:
        depth = 0
        while len(self.codes):
            if depth >= self.column_depth:
                self._keep_whole(depth, LEAF_POINTS)
            if depth == self.deepest:
                self._give(depth, np.ones(len(self.codes), np.bool_))
            self._keep_single(depth)
            if depth + 1 >= self.column_depth:
                self._keep_few(depth)
            depth += 1
        return _arranged(self.given)

    def _keep_whole(self, depth: int, most: int) -> None:
        """Give nodes to which at most *most* points have come all of them."""
        counts = _runs(self.codes >> 3 * (BITS - depth))
        self._give(depth, np.repeat(counts <= most, counts))

    def _keep_single(self, depth: int) -> None:
        """Give nodes one point of each cell of their grid."""
        cells = self.codes >> 3 * (BITS - GRID_BITS - depth)
        if self.shallowest is None or self.shallowest.max(initial=0) <= depth:
            self._give(depth, one_of_each(cells))
            return
        may = self.shallowest <= depth
        stays = np.zeros(len(cells), np.bool_)
        stays[may] = one_of_each(cells[may])
        self._give(depth, stays)

    def _keep_few(self, depth: int) -> None:
        """Give nodes the points that would have gone on into nodes of too few."""
        counts = _runs(self.codes >> 3 * (BITS - depth - 1))
        self._give(depth, np.repeat(counts < LEAST_POINTS, counts))

    def _give(self, depth: int, is_given: NDArray[np.bool_]) -> None:
        if is_given.any():
            self.given.append((depth, self.codes[is_given], self.order[is_given]))
            self.codes, self.order = self.codes[~is_given], self.order[~is_given]
            if self.shallowest is not None:
                self.shallowest = self.shallowest[~is_given]


def _starts(values: Ints) -> Ints:
    """Return where runs of equal values begin."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, np.int64)


def _runs(values: Ints) -> Ints:
    """Return the lengths of runs of equal values."""
    return np.diff(_starts(values), append=len(values))


def one_of_each(cells: Ints) -> NDArray[np.bool_]:
    """Say of each point whether it is the one that stays, of those in the same cell; *cells* are sorted.

    It is picked by a hash of the cell: the first would always be the one in the same corner.
    """
    starts = _starts(cells)
    counts = np.diff(starts, append=len(cells))
    mixed = cells[starts].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    stays = np.zeros(len(cells), np.bool_)
    stays[starts + (mixed % counts.astype(np.uint64)).astype(np.int64)] = True
    return stays


def _arranged(given: list[tuple[int, Ints, Ints]]) -> Nodes:
    """Return as nodes the points that were *given* to nodes of their depth, each stretch sorted by code."""
    parts = []
    for depth, codes, numbers in given:
        nodes = codes >> 3 * (BITS - depth)
        starts = _starts(nodes)
        # The first code within the node, and the depth, tell its place in a walk that meets parents before children.
        parts.append((nodes[starts] << 3 * (BITS - depth), np.full(len(starts), depth), _runs(nodes), numbers))
    first, depths, counts = (np.concatenate([part[i] for part in parts]) for i in range(3))
    walk = np.stack([first, depths], axis=1)
    unique, rank = np.unique(walk, axis=0, return_inverse=True)
    ranks = np.repeat(rank.ravel(), counts)
    rank_of = np.empty(len(ranks), np.uint16 if len(unique) < 1 << 16 else np.uint32)
    rank_of[np.concatenate([part[3] for part in parts])] = ranks
    return Nodes(keys_of(unique[:, 0], unique[:, 1]), np.bincount(ranks), np.argsort(rank_of, kind="stable"))


def keys_of(codes: Ints, depths: Ints) -> NDArray[np.int32]:
    """Return the (depth, x, y, z) of nodes that begin at *codes*; shape (n, 4)."""
    keys = np.zeros((len(codes), 4), np.int64)
    keys[:, 0] = depths
    for axis in range(3):
        for bit in range(BITS):
            keys[:, 1 + axis] |= (codes >> (3 * bit + axis) & 1) << bit
        keys[:, 1 + axis] >>= BITS - depths
    return keys.astype(np.int32)
