"""Tiles: the blocks of a chunk's rasters, there and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cbtool.errors import FormatError, UsageError
from cbtool.source import open_source
from cbtool.terrain import tiles
from cbtool.terrain.grid import Grid, Window
from cbtool.terrain.ground import Cloth
from cbtool.terrain.model import VOID, Model
from cbtool.terrain.surfaces import Points
from cbtool.terrain.tiles import Ground, Terrain, blocks_of, decoded, encoded, read_windows


@pytest.fixture
def corners() -> tuple[Terrain, Points]:
    """Return points in two opposite corners of 3 km by 3 km, and a model of two of its rasters."""
    near = np.arange(0, 1000, 7, dtype=np.int32)
    x = np.concatenate([near, near + 299_000]).astype(np.int32)
    every = np.ones(len(x), bool)
    grid = Grid.of([0.01, 0.01], [0.0, 0.0], (0, 0, 300_000, 300_000), Fraction(1))
    model = Model(grid, 0.01, 0.0, rasters=("dsm", "slope"))
    return Terrain(model, Ground()), Points(x, x, x, every, every, every)


def test_blocks_share_out_a_window() -> None:
    own = Window(-1500, 1000, 2600, 100)
    blocks = list(blocks_of(own))
    assert sum(block.n_cells for block in blocks) == own.n_cells and len(blocks) == 4 * 2
    assert all(block.col % tiles.BLOCK == 0 or block.col == own.col for block in blocks)


def test_a_tile_holds_the_blocks_that_have_something(corners: tuple[Terrain, Points], tmp_path: Path) -> None:
    terrain, points = corners
    own = terrain.model.grid.extent
    made = list(terrain.blocks(points, own))
    assert len(made) == 2 < len(list(blocks_of(own)))
    path = tmp_path / "tile"
    path.write_bytes(b"".join(encoded(iter(made), terrain.model.rasters)))
    with open_source(str(path)) as source:
        length, windows = read_windows(source)
        n_bytes = 4 * sum(window.n_cells for window in windows)
        assert windows == [window for window, _ in made] and source.size == length + 2 * n_bytes
        for number, name in enumerate(terrain.model.rasters):
            found = list(decoded(source.read(length + number * n_bytes, n_bytes), windows))
            for (window, raster), (_, cells) in zip(made, found, strict=True):
                assert np.array_equal(raster[name], cells) and cells.shape == (window.height, window.width)
    assert (made[0][1]["dsm"] != VOID).sum() == 10


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: data[:5], lambda data: b"\xff" * 20])
def test_a_harmed_tile_is_told(harm: object, corners: tuple[Terrain, Points], tmp_path: Path) -> None:
    terrain, points = corners
    data = b"".join(encoded(terrain.blocks(points, terrain.model.grid.extent), terrain.model.rasters))
    path = tmp_path / "tile"
    path.write_bytes(harm(data))  # type: ignore[operator]
    with open_source(str(path)) as source, pytest.raises(FormatError, match="tile"):
        read_windows(source)


def test_what_would_take_too_much_is_refused(corners: tuple[Terrain, Points], monkeypatch: pytest.MonkeyPatch) -> None:
    terrain, points = corners
    own = terrain.model.grid.extent
    monkeypatch.setattr(tiles, "MOST_BLOCKS", 1)
    with pytest.raises(UsageError, match="more than 1048576 cells"):
        list(encoded(terrain.blocks(points, own), terrain.model.rasters))
    cloth = replace(terrain, ground=Ground(cloth=Cloth(resolution=0.1)))
    with pytest.raises(UsageError, match=r"a cloth of 9e\+08 nodes"):
        list(cloth.blocks(points, own))
