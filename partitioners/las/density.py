"""The density of a cloud: weights on a grid in the cloud's integers, from indexes or from a COPC hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.chunk import Chunk
from cbtool.density import Raster
from cbtool.errors import FormatError
from cbtool.index import Index
from cbtool.partitioners.las import copc
from cbtool.partitioners.las.frame import Frame, Place
from cbtool.partitioners.las.grid import MOST_CELLS, Box, cells, regrid, union
from cbtool.partitioners.las.grid import Frame as Cells
from cbtool.partitioners.las.groups import Ints
from cbtool.partitioners.las.recipe import recipe_of

MOST_LEVELS = 10
"""A hierarchy is spread over at most 2^10 cells along each side."""
FINER = 2
"""How many levels below the deepest node cuts may lie: points are taken to lie evenly in a node."""

GRIDS = {"points": "points", "bytes": "points", "returns": "first", "ground": "ground"}
"""The grid that a weight is taken from; of an index, bytes go by points."""


@dataclass(frozen=True)
class Density:
    """Weights of cells. *x_edges* and *y_edges* are where cells begin and end, in the frame's integers."""

    counts: dict[str, Ints]
    """For each kind of weight, what each cell has; shape (columns, rows): first x, then y."""
    x_edges: Ints
    y_edges: Ints
    exact: bool
    """Whether what a box of cells has is just what its points are."""
    unit: int = 1
    """What one point counts."""

    def box(self, leaf: Box) -> Box:
        """Return the box of a leaf's cells [x0, x1) and [y0, y1), in the frame's integers."""
        x0, y0, x1, y1 = leaf
        return int(self.x_edges[x0]), int(self.y_edges[y0]), int(self.x_edges[x1]), int(self.y_edges[y1])


def from_indexes(indexes: Sequence[Index], places: Sequence[Place], names: Sequence[str]) -> Density:
    """Return the weights called *names* of all sources together, from the grids of their indexes."""
    full = [(index, place) for index, place in zip(indexes, places, strict=True) if index.facts["k"] is not None]
    anchors = {tuple(index.facts["anchor"]) for index, _ in full}
    alike = all(place.times[:2] == (1, 1) for _, place in full)
    nested = alike and (all(index.facts["anchored"] for index, _ in full) or len(anchors) == len(full) == 1)
    # World's zero in the integers of the frame: the same for all sources whose grids nest.
    index, place = full[0]
    zero = index.facts["anchor"][0] - place.plus[0], index.facts["anchor"][1] - place.plus[1]
    grids = [_grid(index, place, zero, nested) for index, place in full]
    whole: Box | None = None
    for cells_of, _ in grids:
        x0, y0, x1, y1 = cells_of.corners
        k = cells_of.k
        whole = union(whole, (x0 << k, y0 << k, (x1 + 1 << k) - 1, (y1 + 1 << k) - 1))
    assert whole is not None
    k = max(cells_of.k for cells_of, _ in grids)
    while Cells(k, cells(whole, k)).shape[0] * Cells(k, cells(whole, k)).shape[1] > MOST_CELLS:
        k += 1
    new = Cells(k, cells(whole, k))
    counts = {
        name: sum((regrid(arrays[name], old, new) for old, arrays in grids), np.zeros(new.shape, np.int64)).T.copy()
        for name in names
    }
    return Density(counts, _edges(new, 0, zero[0]), _edges(new, 1, zero[1]), nested)


def of_plan(chunks: Sequence[Chunk], indexes: Mapping[str, Index]) -> Raster | None:
    """Return what a plan's sources have of its weight, in the integers of its boxes and only as far as those reach.

    None where the plan is of a region that is no box: the cells do not say how much of them is in it.
    """
    recipes = [recipe_of(chunk) for chunk in chunks]
    if any(recipe.only is not None and "polygons" in recipe.only for recipe in recipes):
        return None
    places = {
        source.uri: piece.place
        for chunk, recipe in zip(chunks, recipes, strict=True)
        for source, piece in zip(chunk.sources, recipe.pieces, strict=True)
    }
    if all(index.facts["k"] is None for index in indexes.values()):
        return None
    name = GRIDS.get(chunks[0].by, "points")
    found = from_indexes(list(indexes.values()), [places[uri] for uri in indexes], (name,))
    boxes = np.array([recipe.box for recipe in recipes])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    edges, counts = [found.x_edges, found.y_edges], found.counts[name]
    for axis in (0, 1):
        a = max(0, int(np.searchsorted(edges[axis], low[axis], "right")) - 1)
        b = min(len(edges[axis]) - 1, int(np.searchsorted(edges[axis], high[axis])))
        counts = counts[a:b] if axis == 0 else counts[:, a:b]
        edges[axis] = edges[axis][a : b + 1]
    return Raster(counts, edges[0], edges[1], "points" if chunks[0].by == "bytes" else chunks[0].by)


def _edges(frame: Cells, axis: int, zero: int) -> Ints:
    first, last = frame.corners[axis], frame.corners[axis + 2]
    edges: Ints = (np.arange(first, last + 2, dtype=np.int64) << frame.k) - zero
    return edges


def _grid(index: Index, place: Place, zero: tuple[int, int], nested: bool) -> tuple[Cells, dict[str, Ints]]:
    """Return the grids of one index, in cells that are numbered from world's zero in the frame's units."""
    x0, y0, x1, y1 = map(int, index.facts["corners"])
    cells_of = Cells(int(index.facts["k"]), (x0, y0, x1, y1))
    arrays = {name: _layer(index, name, cells_of) for name in ("points", "first", "ground")}
    if nested:
        return cells_of, arrays
    return _moved(cells_of, arrays, index, place, zero)


def _layer(index: Index, name: str, frame: Cells) -> Ints:
    layer = index.arrays[f"grid_{name}"].astype(np.int64)
    if len(layer) != frame.shape[0] * frame.shape[1]:
        raise FormatError(
            "an index has a grid of another size than it says", hint="make it again: cbtool index --force"
        )
    return layer.reshape(frame.shape)


def _moved(
    frame: Cells, arrays: dict[str, Ints], index: Index, place: Place, zero: tuple[int, int]
) -> tuple[Cells, dict[str, Ints]]:
    """Return grids in cells of the frame's units, where the file's own do not fit into them: by their centres."""
    k = frame.k + max(place.times[:2]).bit_length()
    numbers = []
    for axis in (0, 1):
        first, last = frame.corners[axis], frame.corners[axis + 2]
        own = (
            (np.arange(first, last + 1, dtype=np.int64) << frame.k) + (1 << frame.k >> 1) - index.facts["anchor"][axis]
        )
        numbers.append((own * place.times[axis] + place.plus[axis] + zero[axis]) >> k)
    new = Cells(k, (int(numbers[0][0]), int(numbers[1][0]), int(numbers[0][-1]), int(numbers[1][-1])))
    made = {}
    for name, layer in arrays.items():
        made[name] = np.zeros(new.shape, np.int64)
        np.add.at(made[name], np.ix_(numbers[1] - new.corners[1], numbers[0] - new.corners[0]), layer)
    return new, made


def from_hierarchy(
    entries: copc.Entries, lengths: Ints, info: copc.Info, extent: tuple[float, float, float, float], frame: Frame
) -> Density:
    """Return points and bytes of a COPC file by cells of its octree, as if both lay evenly in each node."""
    depths = entries["key"][:, 0]
    level = min(int(depths.max()) + FINER, MOST_LEVELS)
    side = 1 << level
    counts = {name: np.zeros((side, side), np.int64) for name in ("points", "bytes")}
    for depth in range(int(depths.max()) + 1):
        of = depths == depth
        x, y = entries["key"][of, 1], entries["key"][of, 2]
        for name, values in (("points", entries["count"][of].astype(np.int64)), ("bytes", lengths[of])):
            up = max(0, depth - level)
            n = 1 << (depth - up)
            at = (x >> up).astype(np.int64) * n + (y >> up)
            here = np.bincount(at, values, n * n).astype(np.int64).reshape(n, n)
            each = side // n
            counts[name] += np.repeat(np.repeat(here * (n * n), each, 0), each, 1)
    edges = [_octree_edges(info, axis, level, extent, frame) for axis in (0, 1)]
    return Density(counts, edges[0], edges[1], False, side * side)


def _octree_edges(
    info: copc.Info, axis: int, level: int, extent: tuple[float, float, float, float], frame: Frame
) -> Ints:
    """Return where the cells of a level begin; the outermost reach as far as the header says that points do."""
    low = info.centre[axis] - info.halfsize
    world = low + np.arange((1 << level) + 1) * (2 * info.halfsize / (1 << level))
    edges: Ints = np.rint((world - frame.offset[axis]) / frame.scale[axis]).astype(np.int64)
    ends = [round((extent[i] - frame.offset[axis]) / frame.scale[axis]) for i in (axis, axis + 2)]
    edges[0], edges[-1] = min(edges[0], ends[0]) - 2, max(edges[-1], ends[1]) + 2
    return edges


def within(density: Density, is_wanted: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Density:
    """Return *density* without the cells that *is_wanted* does not want; it takes boxes (n, 4), half-open."""
    n_x, n_y = len(density.x_edges) - 1, len(density.y_edges) - 1
    x, y = (np.arange(n_x * n_y) // n_y), (np.arange(n_x * n_y) % n_y)
    boxes = np.column_stack([density.x_edges[x], density.y_edges[y], density.x_edges[x + 1], density.y_edges[y + 1]])
    wanted = is_wanted(boxes).reshape(n_x, n_y)
    counts = {name: np.where(wanted, one, 0) for name, one in density.counts.items()}
    return Density(counts, density.x_edges, density.y_edges, False, density.unit)
