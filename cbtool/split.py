"""Where to cut so that the weights come out even. Used by every format; knows none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUTO_CHUNK_BYTES = 64_000_000
UNEVEN = 0.02
UNBEARABLE = 1.25
"""A cut whose heavier side has so many times its share is not made where a single cell is to blame."""
"""By this part of a chunk the halves of a cut may differ from even, before other ways to cut are looked for."""
MOST_OF_HALVES = 2 / 3
"""The part of the chunks that one side of a cut may have, where any cut is even enough: what is evener is chosen."""
SQUARE = 1.5
"""A rectangle no longer than this many times its breadth is cut across whichever side gives the evener halves."""

Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)``, half-open."""


def even(total: int, n_chunks: int) -> list[int]:
    """Return the weights at which *total* is cut into *n_chunks* even parts: fewer if there is less than one a part.

    >>> even(10, 4)
    [3, 5, 8]
    >>> even(2, 5)
    [1]
    """
    n = max(1, min(n_chunks, total))
    return [(2 * total * k + n) // (2 * n) for k in range(1, n)]


def multiples(total: int, step: int) -> list[int]:
    """Return the multiples of *step* that lie inside *total*.

    >>> multiples(10, 4)
    [4, 8]
    """
    return list(range(step, total, step))


def count_for_size(total_bytes: int, chunk_bytes: int) -> int:
    """Return how many even chunks are each at most *chunk_bytes*."""
    return max(1, -(-total_bytes // chunk_bytes))


def auto(read_bytes: int, workers: int) -> int:
    """Return design's `--chunks auto`: one chunk for 64 MB that a worker reads, rounded up to a multiple of *workers*.

    >>> auto(200_000_000, 3)
    6
    """
    return -(-count_for_size(read_bytes, AUTO_CHUNK_BYTES) // workers) * workers


def line(places: NDArray[np.int64], targets: Sequence[int] | NDArray[np.int64]) -> NDArray[np.intp]:
    """Return for each target the index of the nearest of *places* (sorted weights where a cut may lie).

    >>> import numpy as np
    >>> line(np.array([0, 10, 20]), [4, 6, 99]).tolist()
    [0, 1, 2]
    """
    import numpy as np

    wanted = np.asarray(targets, np.int64)
    right = np.clip(np.searchsorted(places, wanted), 1, max(1, len(places) - 1))
    if len(places) < 2:
        return np.zeros(len(wanted), np.intp)
    return right - (wanted - places[right - 1] <= places[right] - wanted)


@dataclass(frozen=True)
class Leaf:
    """A rectangle of cells that is one chunk: *box* is half-open.

    *n_chunks* is more than one only where a cell in it, which no cut can divide, has more than a chunk's share, so that
    no cuts are even: then the caller cuts what is in the rectangle by rank.
    """

    box: Box
    weight: int
    n_chunks: int = 1


def plane(weights: NDArray[np.int64], n_chunks: int) -> list[Leaf]:
    """Cut the plane of *weights* (gx, gy), none negative, into *n_chunks* even rectangles, by halves of halves.

    The leaves tile the array. None is without weight, so there are fewer where there is less than one a chunk, or
    where nothing has any weight: then one.

    >>> import numpy as np
    >>> [leaf.box for leaf in plane(np.array([[2, 1, 1], [0, 0, 0], [0, 0, 4]]), 4)]
    [(0, 0, 1, 1), (0, 1, 1, 3), (1, 0, 3, 3)]
    """
    return _leaves(_Sums(weights), n_chunks, None)


def at_most(weights: NDArray[np.int64], limit: int) -> list[Leaf]:
    """Cut the plane of *weights* as `plane` does, into as few rectangles of at most *limit* as are found.

    The leaf of a cell with more has as many chunks as it takes.
    """
    sums = _Sums(weights)
    fewest = -(-sums.weight(sums.whole) // limit)
    best: list[Leaf] = []
    # Halves are never quite even, so a few chunks more than the fewest spare many that are cut once again.
    for more in sorted({0, 1, 2, *(fewest * percent // 100 for percent in (1, 2, 3, 5, 8))}):
        if best and fewest + more >= sum(leaf.n_chunks for leaf in best):
            break
        found = _leaves(sums, fewest + more, limit)
        if not best or sum(leaf.n_chunks for leaf in found) < sum(leaf.n_chunks for leaf in best):
            best = found
    return best


def grid(weights: NDArray[np.int64], n_chunks: int) -> list[Leaf]:
    """Cut the plane of *weights* into a grid of about *n_chunks* tiles, as near to square as can be, all of one size.

    Tiles without weight are left out, so these leaves need not cover the array: *weights* must be counts of what is
    to be cut.
    """
    sums = _Sums(weights)
    gx, gy = weights.shape
    across = min(gx, max(1, min(n_chunks, round((n_chunks * gx / gy) ** 0.5))))
    along = min(gy, max(1, round(n_chunks / across)))
    xs, ys = ([n * k // parts for k in range(parts + 1)] for n, parts in ((gx, across), (gy, along)))
    boxes = [(xs[i], ys[j], xs[i + 1], ys[j + 1]) for i in range(across) for j in range(along)]
    return [Leaf(box, weight) for box in boxes if (weight := sums.weight(box))] or [Leaf(sums.whole, 0)]


class _Sums:
    """The sums of all rectangles that begin at the first cell: any other's is the sum of four of them."""

    def __init__(self, weights: NDArray[np.int64]) -> None:
        import numpy as np

        gx, gy = weights.shape
        self.whole: Box = (0, 0, gx, gy)
        self._weights = weights
        self.table = np.zeros((gx + 1, gy + 1), np.int64)
        inner = self.table[1:, 1:]
        np.cumsum(weights, axis=1, out=inner)
        np.cumsum(inner, axis=0, out=inner)

    def weight(self, box: Box) -> int:
        x0, y0, x1, y1 = box
        return int(self.table[x1, y1] - self.table[x0, y1] - self.table[x1, y0] + self.table[x0, y0])

    def heaviest(self, box: Box) -> int:
        """Return the weight of the heaviest cell of *box*."""
        x0, y0, x1, y1 = box
        return int(self._weights[x0:x1, y0:y1].max())

    def along(self, box: Box, axis: int) -> NDArray[np.int64]:
        """Return the weight of *box* before each place on *axis* where it could be cut, from its begin to its end."""
        x0, y0, x1, y1 = box
        if axis == 0:
            sums = self.table[x0 : x1 + 1, y1] - self.table[x0 : x1 + 1, y0]
        else:
            sums = self.table[x1, y0 : y1 + 1] - self.table[x0, y0 : y1 + 1]
        found: NDArray[np.int64] = sums - sums[0]
        return found


@dataclass(frozen=True)
class _Halves:
    """A cut across *axis* at cell *place*: *n_before* of the chunks lie before it."""

    axis: int
    place: int
    n_before: int
    load: float
    """The mean weight of a chunk on the heavier side."""


def _leaves(sums: _Sums, n_chunks: int, limit: int | None) -> list[Leaf]:
    """Cut into *n_chunks*; go on cutting what is still heavier than *limit* a chunk."""
    found = []
    todo = [(sums.whole, min(n_chunks, sums.weight(sums.whole)))]
    while todo:
        box, n = todo.pop()
        weight = sums.weight(box)
        n = max(1, n, -(-weight // limit) if limit else 0)
        halves = _halves(sums, box, weight, n) if n > 1 else None
        if halves is None or (halves.load > UNBEARABLE * weight / n and sums.heaviest(box) * n > weight):
            found.append(Leaf(box, weight, n))
            continue
        before, after = list(box), list(box)
        before[2 + halves.axis] = after[halves.axis] = halves.place
        todo += [(_box(after), n - halves.n_before), (_box(before), halves.n_before)]
    return found


def _box(edges: Sequence[int]) -> Box:
    x0, y0, x1, y1 = edges
    return x0, y0, x1, y1


def _halves(sums: _Sums, box: Box, weight: int, n_chunks: int) -> _Halves | None:
    """Return where to cut *box*: across its longer side, as far as it has weight; None if that is in one cell."""
    import numpy as np

    lines = [sums.along(box, axis) for axis in (0, 1)]
    # The cells with weight: from the last place with nothing before it to the first with nothing after.
    ends = [(int(np.searchsorted(c, 0, "right")) - 1, int(np.searchsorted(c, weight))) for c in lines]
    extents = [last - first for first, last in ends]
    if max(extents) < 2:
        return None
    axes = [axis for axis in (0, 1) if extents[axis] > 1]

    def best(axes: Sequence[int], share: float) -> _Halves:
        found = [_cut(lines[axis], ends[axis], axis, box[axis], n_chunks, share) for axis in axes]
        return min(found, key=lambda one: one.load)

    longer = [axis for axis in axes if extents[axis] * SQUARE >= max(extents)]
    halves = best(longer, MOST_OF_HALVES)
    bearable = weight / n_chunks * (1 + UNEVEN)
    if halves.load > bearable and len(axes) > len(longer):
        halves = best(axes, MOST_OF_HALVES)
    if halves.load > bearable:
        halves = best(axes, 1.0)
    return halves


def _cut(
    before: NDArray[np.int64], ends: tuple[int, int], axis: int, begin: int, n_chunks: int, share: float
) -> _Halves:
    """Return the evenest cut of a line with at most *share* of the chunks on a side; of equals the nearest to half."""
    import numpy as np

    weight = int(before[-1])
    most = min(n_chunks - 1, max(n_chunks - n_chunks // 2, int(n_chunks * share)))
    n_before = np.arange(n_chunks - most, most + 1)
    n_before = n_before[np.argsort(np.abs(2 * n_before - n_chunks), kind="stable")]
    places = np.clip(line(before, (n_before * (weight / n_chunks)).astype(np.int64)), ends[0] + 1, ends[1] - 1)
    left = before[places]
    n_before = np.clip(n_before, n_chunks - (weight - left), left)  # no chunk without weight
    loads = np.maximum(left / n_before, (weight - left) / (n_chunks - n_before))
    chosen = int(np.argmin(loads))
    return _Halves(axis, begin + int(places[chosen]), int(n_before[chosen]), float(loads[chosen]))
