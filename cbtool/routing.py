"""Puts points into the rectangles that a plane was cut into. Knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cbtool.errors import FormatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cbtool.split import Box

MOST_CELLS = 1 << 20
"""The table of a `Sorter` stays in a processor's cache."""
LEAST, END = -(2**31), 2**31
"""The least integer of 32 bits, and the one after the greatest."""


@dataclass(frozen=True)
class Tree:
    """Cuts of cuts: *box* bounds all leaves below. A leaf has its *number*, other nodes have two *halves*."""

    box: Box
    number: int = -1
    halves: tuple[Tree, ...] = ()


def guillotine(boxes: Sequence[Box]) -> Tree:
    """Return the cuts that made *boxes*, in any order; leaf *i* is ``boxes[i]``.

    They may leave gaps. FormatError if they overlap, or if no straight cuts could have made them.
    """
    import numpy as np

    edges = np.asarray(boxes, np.int64).reshape(-1, 4)
    if not len(edges) or (edges[:, :2] >= edges[:, 2:]).any():
        raise FormatError("a chunk's box holds nothing, or there is no box", hint="make the plan again")
    parts = [np.arange(len(edges))]
    below: list[tuple[int, int] | None] = []
    # Breadth first, without recursion: what is cut off one slice at a time is as deep as there are boxes.
    for at, part in enumerate(parts):
        below.append(None)
        if len(part) > 1:
            below[at] = (len(parts), len(parts) + 1)
            parts += _cut(edges, part)
    trees: list[Any] = [None] * len(parts)
    for at in reversed(range(len(parts))):
        part, halves = parts[at], below[at]
        low, high = edges[part, :2].min(0), edges[part, 2:].max(0)
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        trees[at] = Tree(box, int(part[0])) if halves is None else Tree(box, -1, (trees[halves[0]], trees[halves[1]]))
    root: Tree = trees[0]
    return root


def _cut(edges: NDArray[np.int64], part: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return *part* in two that a straight line divides, as nearly alike in number as can be."""
    import numpy as np

    found = []
    for axis in (0, 1):
        order = part[np.argsort(edges[part, axis], kind="stable")]
        free = np.flatnonzero(np.maximum.accumulate(edges[order, axis + 2])[:-1] <= edges[order[1:], axis]) + 1
        if len(free):
            place = int(free[np.argmin(np.abs(2 * free - len(part)))])
            found.append((abs(2 * place - len(part)), [order[:place], order[place:]]))
    if not found:
        raise FormatError("the chunks' boxes overlap, or no straight cuts make them", hint="make the plan again")
    return min(found, key=lambda one: one[0])[1]


def route(tree: Tree, x: NDArray[Any], y: NDArray[Any], reach: int | tuple[int, int] = 0) -> list[NDArray[Any]]:
    """Return for each leaf the indices, ascending, of the points that lie in its box or up to *reach* beside it.

    *reach* widens boxes on all four sides, or by ``(in x, in y)``; they stay half-open. Without it a point is in one
    leaf, or in none: nothing takes what lies outside all boxes. Indices are int32 where that holds them.
    """
    import numpy as np

    wide_x, wide_y = (reach, reach) if isinstance(reach, int) else reach
    kind = np.int32 if len(x) < 2**31 else np.int64
    found: dict[int, Any] = {}
    nowhere = (None, None, None, None)
    todo: list[tuple[Tree, Any, Any]] = [(tree, nowhere, None)]
    while todo:
        node, known, points = todo.pop()
        # Points are already known to lie on the inner side of the edges that the node shares with the one above.
        for side, edge in enumerate(node.box):
            if edge == known[side] or (points is not None and not len(points)):
                continue
            values, wide = (x, wide_x) if side % 2 == 0 else (y, wide_y)
            values = values if points is None else values[points]
            inside = values >= edge - wide if side < 2 else values < edge + wide
            kept = np.flatnonzero(inside).astype(kind, copy=False)
            points = kept if points is None else points[kept]
        if node.halves:
            todo += [(half, node.box, points) for half in node.halves]
        else:
            found[node.number] = points
    return [found[number] for number in sorted(found)]


class Sorter:
    """Puts points in the order of the rectangles that they lie in, as `route` does and faster.

    A table tells of square cells, 2^k wide, which rectangle has all that is in them; points in other cells are routed.
    """

    def __init__(self, boxes: Sequence[Box], reach: int | tuple[int, int] = 0) -> None:
        import numpy as np

        self.boxes = np.asarray(boxes, np.int64).reshape(-1, 4)
        self.tree = guillotine(boxes)
        self.reach = (reach, reach) if isinstance(reach, int) else reach
        self._routed, self._nowhere = len(boxes), len(boxes) + 1
        own = np.clip(self.boxes, LEAST, END)
        wide = np.clip(self.boxes + np.array([-1, -1, 1, 1]) * np.tile(self.reach, 2), LEAST, END)
        self._first = wide[:, :2].min(0)
        size, self._k = wide[:, 2:].max(0) - self._first, 0
        while np.prod((size >> self._k) + 2, dtype=float) > MOST_CELLS:
            self._k += 1
        # One more row and column are for all that lies beyond.
        shape = (-(-size >> self._k) + 1)[::-1]
        self._n_cells = shape[::-1] - 1
        self._table = np.full(shape, self._routed, np.min_scalar_type(self._nowhere))
        touched, disputed = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        origin = np.tile(self._first, 2)
        outer = wide - origin
        outer = np.concatenate([outer[:, :2] >> self._k, -(-outer[:, 2:] >> self._k)], 1)
        inner = own - origin
        inner = np.concatenate([-(-inner[:, :2] >> self._k), inner[:, 2:] >> self._k], 1)
        for number, ((x0, y0, x1, y1), (a0, b0, a1, b1)) in enumerate(zip(inner.tolist(), outer.tolist(), strict=True)):
            self._table[y0:y1, x0:x1] = number
            disputed[b0:b1, a0:a1] |= touched[b0:b1, a0:a1]
            touched[b0:b1, a0:a1] = True
        self._table[disputed] = self._routed
        self._table[~touched] = self._nowhere

    def __call__(
        self, x: NDArray[np.int32], y: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Return the indices of the points in each rectangle or beside it, one rectangle after another, each ascending;
        how many each has; and which are only beside it."""
        import numpy as np

        labels = self._table.reshape(-1).take(self._cells(x, y))
        counts = np.bincount(labels, minlength=self._nowhere + 1)
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(counts)
        order, near = order[: ends[self._routed - 1]], order[ends[self._routed - 1] : ends[self._routed]]
        counts = counts[: self._routed]
        if not len(near):
            return order, counts, np.zeros(len(order), np.bool_)
        return self._merged(np.split(order, ends[: self._routed - 1]), near, x[near], y[near])

    def _cells(self, x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Return the numbers of the points' cells in the table."""
        import numpy as np

        found = []
        for values, first, n in zip((x, y), self._first.tolist(), self._n_cells.tolist(), strict=True):
            # What lies before the first wraps around, to behind the last or, if that is cut by 2^31, into it.
            number = values.view(np.uint32) - np.uint32(first & 0xFFFFFFFF)
            number >>= np.uint32(self._k)
            found.append(np.minimum(number, np.uint32(n), out=number))
        cells: NDArray[np.uint32] = found[1]
        cells *= np.uint32(self._table.shape[1])
        cells += found[0]
        return cells

    def _merged(
        self,
        sure: Sequence[NDArray[np.intp]],
        near: NDArray[np.intp],
        x: NDArray[np.int32],
        y: NDArray[np.int32],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Return what `__call__` does, of points that the table has told and those, at *x* and *y*, that are *near*."""
        import numpy as np

        keys = []
        routed = route(self.tree, x, y, self.reach)
        for indices, at, (x0, y0, x1, y1) in zip(sure, routed, self.boxes.tolist(), strict=True):
            if len(at):
                own_x, own_y = x[at], y[at]
                beside = ~((own_x >= x0) & (own_y >= y0) & (own_x < x1) & (own_y < y1))
                # Index and whether it is beside as one number; two ascending runs are sorted by merging.
                indices = np.concatenate([indices << 1, near[at] << 1 | beside])
                indices.sort(kind="stable")
            else:
                indices = indices << 1
            keys.append(indices)
        counts = np.array([len(one) for one in keys], np.intp)
        key = np.concatenate(keys)
        return key >> 1, counts, (key & 1).astype(np.bool_)
