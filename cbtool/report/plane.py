"""A plan over a plane: where its chunks lie, and how dense each is. From its lines alone, whatever the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.split import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cbtool.density import Raster

MOST = 1 << 62
"""Integers of boxes are smaller than this."""
SCALES = (1e-30, 1e30)
"""A unit of integers is between these."""


@dataclass(frozen=True)
class Tile:
    """A box and the chunks that lie in it: more than one where they share what no cut divides."""

    box: Box
    chunks: tuple[Chunk, ...]
    amount: int
    """What its chunks have of what is counted."""
    area: float
    """In square units of the CRS."""

    @property
    def density(self) -> float:
        return self.amount / self.area


@dataclass(frozen=True)
class Plane:
    """The tiles of a plan. World = integer times *scale* plus *offset*, for each axis."""

    tiles: tuple[Tile, ...]
    scale: tuple[float, float]
    offset: tuple[float, float]
    reach: tuple[int, int] | None
    """How far chunks reach over their boxes, in x and y."""
    of: str
    """What is counted: the weight of the plan; records where that is bytes."""

    @cached_property
    def bounds(self) -> Box:
        boxes = [tile.box for tile in self.tiles]
        return (*(min(box[i] for box in boxes) for i in (0, 1)), *(max(box[i] for box in boxes) for i in (2, 3)))  # type: ignore[return-value]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in units of the CRS."""
        x0, y0, x1, y1 = self.bounds
        return (x1 - x0) * abs(self.scale[0]), (y1 - y0) * abs(self.scale[1])

    def world(self, axis: int, number: float) -> float:
        return number * self.scale[axis] + self.offset[axis]


def plane_of(chunks: Sequence[Chunk]) -> Plane | None:
    """Return where the chunks of a plan lie, or None if its cores are no boxes; FormatError if they make no sense."""
    if not all(chunk.core and "box" in chunk.core for chunk in chunks):
        return None
    first = chunks[0]
    scale, offset = _two(first, "scale"), _two(first, "offset")
    by_records = first.by == "bytes" and all(chunk.records is not None for chunk in chunks)
    groups: dict[Box, list[Chunk]] = {}
    for chunk in chunks:
        if (_two(chunk, "scale"), _two(chunk, "offset")) != (scale, offset):
            raise _wrong(chunk)
        groups.setdefault(_box(chunk), []).append(chunk)
    unit = abs(scale[0] * scale[1])
    tiles = []
    for box, shared in groups.items():
        amount = sum((chunk.records or 0) if by_records else chunk.weight for chunk in shared)
        tiles.append(Tile(box, tuple(shared), amount, (box[2] - box[0]) * (box[3] - box[1]) * unit))
    return Plane(tuple(tiles), scale, offset, _reach(first), "records" if by_records else first.by)


def _wrong(chunk: Chunk) -> FormatError:
    return FormatError(f"chunk {chunk.chunk}: its core is not a box in the plane", hint="make the plan again")


def _box(chunk: Chunk) -> Box:
    assert chunk.core is not None
    found = chunk.core["box"]
    if not (isinstance(found, list) and len(found) == 4 and all(type(n) is int and abs(n) < MOST for n in found)):
        raise _wrong(chunk)
    x0, y0, x1, y1 = found
    if not (x0 < x1 and y0 < y1):
        raise _wrong(chunk)
    return x0, y0, x1, y1


def _two(chunk: Chunk, name: str) -> tuple[float, float]:
    """Return a number for x and one for y."""
    assert chunk.core is not None
    found = chunk.core.get(name)
    if not (isinstance(found, list) and len(found) >= 2 and all(_is_number(n) for n in found[:2])):
        raise _wrong(chunk)
    if name == "scale" and not all(SCALES[0] < abs(n) < SCALES[1] for n in found[:2]):
        raise _wrong(chunk)
    return float(found[0]), float(found[1])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MOST


def _reach(chunk: Chunk) -> tuple[int, int] | None:
    found = chunk.recipe.get("reach")
    if isinstance(found, list) and len(found) == 2 and all(type(n) is int and 0 < n < MOST for n in found):
        return found[0], found[1]
    return None


def owners(plane: Plane, n_x: int, n_y: int) -> NDArray[np.int32]:
    """Return which tile has the middle of each of (n_x, n_y) pixels over the bounds; -1 is none."""
    import numpy as np

    found = np.full((n_x, n_y), -1, np.int32)
    x0, y0, x1, y1 = plane.bounds
    for number, tile in enumerate(plane.tiles):
        a, b = (_middles(tile.box[i] - x0, x1 - x0, n_x) for i in (0, 2))
        c, d = (_middles(tile.box[i] - y0, y1 - y0, n_y) for i in (1, 3))
        found[a:b, c:d] = number
    return found


def _middles(place: int, length: int, n: int) -> int:
    """Return how many of *n* pixels on *length* have their middle before *place*."""
    return -((length - 2 * n * place) // (2 * length))


def densities(plane: Plane, raster: Raster | None, n_x: int, n_y: int) -> NDArray[np.float64]:
    """Return what lies in a square unit of the CRS, in each of (n_x, n_y) pixels over the bounds.

    Of *raster*, whose cells are taken as even; without it, each pixel has the density of its tile.
    """
    import numpy as np

    if raster is None:
        of_tiles = np.array([tile.density for tile in plane.tiles] + [0.0])
        found: NDArray[np.float64] = of_tiles[owners(plane, n_x, n_y)]
        return found
    x0, y0, x1, y1 = plane.bounds
    x_edges, y_edges = np.linspace(x0, x1, n_x + 1), np.linspace(y0, y1, n_y + 1)
    x = shares(raster.x_edges[:-1], raster.x_edges[1:], x_edges)
    y = shares(raster.y_edges[:-1], raster.y_edges[1:], y_edges)
    width, height = plane.size
    amounts: NDArray[np.float64] = x.T @ raster.counts.astype(np.float64) @ y
    return amounts / (width / n_x * (height / n_y))


def shares(low: NDArray[Any], high: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.float64]:
    """Return which part of each stretch [low, high) lies between each two neighbours of *edges*.

    >>> import numpy as np
    >>> shares(np.array([0, 2]), np.array([2, 6]), np.array([0, 3, 6])).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    import numpy as np

    inside = np.minimum(high[:, None], edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1])
    found: NDArray[np.float64] = np.maximum(inside, 0) / (high - low)[:, None]
    return found
