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
