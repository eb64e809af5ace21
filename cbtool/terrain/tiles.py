"""What is made of one chunk: the rasters of the cells it owns, as a tile, in blocks.

A tile is the length of its header (8 bytes, little endian), the header (JSON: the names of rasters, the windows of
blocks), and then for each raster the cells of all blocks, one block after another, as little-endian floats of 32 bits.
Blocks without anything are left out, so that a tile is not larger for the empty land about its points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cbtool.chunk import Chunk
from cbtool.errors import FormatError, UsageError
from cbtool.source import Source
from cbtool.terrain.grid import Window
from cbtool.terrain.ground import Cloth, Morphology, by_cloth, by_morphology
from cbtool.terrain.model import VOID, Model, Raster, rasters
from cbtool.terrain.surfaces import Points

BLOCK = 1024
"""Blocks are squares of so many cells that begin at whole multiples of it: what is worked on at once."""
MOST_BLOCKS = 64
"""A tile of more of them, all with something in them, is no tile: 1.6 GB."""
MOST_NODES = 30_000_000
HEADER_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Ground:
    """How ground is told: by its *classes*, or else by a filter."""

    classes: tuple[int, ...] = (2,)
    morphology: Morphology | None = None
    cloth: Cloth | None = None
    metres_per_unit: float = 1.0
    """A cloth hangs in metres."""

    @property
    def reach(self) -> int:
        """How many cells away a point may have a say in whether another is ground, where that is known."""
        return self.morphology.reach if self.morphology is not None else 0

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Ground:
        morphology, cloth = said["morphology"], said["cloth"]
        return Ground(
            tuple(said["classes"]),
            Morphology(**morphology) if morphology is not None else None,
            Cloth(**cloth) if cloth is not None else None,
            said["metres_per_unit"],
        )


@dataclass(frozen=True)
class Terrain:
    """All that shapes the rasters besides the points."""

    model: Model
    ground: Ground

    @property
    def margin(self) -> int:
        """How many cells about a window have a say in it, but for those that a cloth reaches."""
        return self.model.margin + self.ground.reach

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model.to_json(), "ground": json.loads(json.dumps(asdict(self.ground)))}

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Terrain:
        return Terrain(Model.from_json(said["model"]), Ground.from_json(said["ground"]))

    def owned(self, chunk: Chunk) -> Window:
        """Return the cells that *chunk* owns: of chunks that share a box, the first has all of them."""
        core = chunk.core or {}
        x0, y0, x1, y1 = core["box"]
        own = self.model.grid.owned((x0, y0, x1, y1))
        return own if core.get("ranks", [0])[0] == 0 else replace(own, width=0, height=0)

    def blocks(self, points: Points, own: Window) -> Iterator[tuple[Window, dict[str, Raster]]]:
        """Yield the rasters of those blocks of *own* that have something in them."""
        if self.ground.cloth is not None:
            points = replace(points, is_ground=self._by_cloth(points, self.ground.cloth))
        for window in blocks_of(own):
            near = self._near(points, window)
            if not len(near.x):
                continue
            if self.ground.morphology is not None:
                area = window.grown(self.margin).within(self.model.grid.extent)
                near = replace(near, is_ground=by_morphology(near, self.model.grid, area, self.ground.morphology))
            made = rasters(near, self.model, window)
            if any((raster != VOID).any() for raster in made.values()):
                yield window, made

    def _near(self, points: Points, window: Window) -> Points:
        """Return the points that have a say in *window*."""
        grid, area = self.model.grid, window.grown(self.margin)
        is_near = (points.x >= grid.x.border(area.col)) & (points.x < grid.x.border(area.col + area.width))
        is_near &= (points.y >= grid.y.border(area.row)) & (points.y < grid.y.border(area.row + area.height))
        return points.taken(is_near)

    def _by_cloth(self, points: Points, how: Cloth) -> Any:
        """Say of each point whether it is ground by a cloth over the last returns; in metres, from their corner."""
        found = np.zeros(len(points.x), bool)
        last = np.flatnonzero(points.is_last)
        if not len(last):
            return found
        model, metres = self.model, self.ground.metres_per_unit
        world = np.empty((len(last), 3))
        for axis, (units, along) in enumerate(((points.x, model.grid.x), (points.y, model.grid.y))):
            # From a whole multiple of what lies between nodes, so that those of all chunks are in line.
            zero = (float(units.min()) * float(along.scale) + float(along.offset)) * metres // how.resolution
            world[:, axis] = (units[last] * float(along.scale) + float(along.offset)) * metres - zero * how.resolution
        world[:, 2] = model.heights(points.z[last]) * metres
        nodes = float(np.prod(np.ptp(world[:, :2], axis=0) / how.resolution + 1))
        if nodes > MOST_NODES:
            raise UsageError(f"a cloth of {nodes:.3g} nodes is too large", hint="more --chunks or --cloth-resolution")
        found[last] = by_cloth(world, how)
        return found


def blocks_of(own: Window) -> Iterator[Window]:
    """Yield the parts of *own* that lie in blocks of the grid, row by row.

    >>> [block.width for block in blocks_of(Window(1000, 0, 100, 5))]
    [24, 76]
    """
    for row in range(own.row // BLOCK, -(-(own.row + own.height) // BLOCK)):
        for col in range(own.col // BLOCK, -(-(own.col + own.width) // BLOCK)):
            part = Window(col * BLOCK, row * BLOCK, BLOCK, BLOCK).within(own)
            if part.n_cells:
                yield part


def encoded(blocks: Iterator[tuple[Window, dict[str, Raster]]], names: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of the tile of *blocks* of rasters of these *names*; UsageError if they are too many."""
    windows, cells = [], []
    for window, made in blocks:
        windows.append([window.col, window.row, window.width, window.height])
        cells.append([np.ascontiguousarray(made[name], "<f4").tobytes() for name in names])
        if len(windows) > MOST_BLOCKS:
            raise UsageError(
                f"a chunk with points over more than {MOST_BLOCKS * BLOCK**2} cells is too large",
                hint="more --chunks, or a coarser --resolution",
            )
    header = json.dumps({"v": 1, "rasters": list(names), "blocks": windows}, separators=(",", ":")).encode()
    yield len(header).to_bytes(8, "little") + header
    for raster in range(len(names)):
        for of_block in cells:
            yield of_block[raster]


def read_windows(source: Source) -> tuple[int, list[Window]]:
    """Return how long the header of the tile *source* is, with its length, and the windows of its blocks."""
    length = int.from_bytes(source.read(0, min(8, source.size)), "little")
    if not 0 < length <= min(HEADER_MOST_BYTES, source.size - 8):
        raise FormatError(f"{source.uri}: not a tile of a terrain model", hint="make it again: --force")
    said = json.loads(source.read(8, length))
    windows = [Window(*map(int, one)) for one in said["blocks"]]
    n_bytes = 4 * len(said["rasters"]) * sum(window.n_cells for window in windows)
    if source.size != 8 + length + n_bytes:
        raise FormatError(f"{source.uri}: a tile of another size than it says", hint="make it again: --force")
    return 8 + length, windows


def decoded(data: bytes, windows: Sequence[Window]) -> Iterator[tuple[Window, Raster]]:
    """Yield the blocks of one raster, from their bytes."""
    at = 0
    for window in windows:
        cells = np.frombuffer(data, "<f4", window.n_cells, at)
        yield window, cells.reshape(window.height, window.width)
        at += 4 * window.n_cells
