"""Pictures of a hill."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
from rich.console import Console

from cbtool.terrain.picture import NOTHING, Heights, half_blocks, letters, picture, png


@pytest.fixture
def hill() -> Heights:
    """Return a round hill of 40 by 40 cells, and nothing in its upper left corner."""
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    heights: Heights = (100 - 60 * (x**2 + y**2)).astype(np.float32)
    heights[:6, :6] = np.nan
    return heights


def test_light_comes_from_the_upper_left(hill: Heights) -> None:
    colours = picture(hill, 1.0)
    bright = colours.astype(int).sum(axis=2)
    assert bright[12, 12] > bright[27, 27] + 60 and abs(bright[12, 27] - bright[27, 12]) < 30
    assert (colours[:6, :6] == NOTHING).all() and not (colours[20, 20] == NOTHING).all()


def test_letters_rise_with_the_land(hill: Heights) -> None:
    lines = list(letters(hill))
    assert len(lines) == 20 and lines[10][20] == "@" and lines[-1][0] == "." and lines[0][:6] == "      "


def test_a_line_on_a_terminal_is_two_rows_of_cells(hill: Heights) -> None:
    colours = picture(hill, 1.0)[:3]
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=80)
    for line in half_blocks(colours):
        console.print(line)
    written = stream.getvalue().splitlines()
    assert len(written) == 2 and all(line.count("▀") == 40 for line in written)
    over, under = (";".join(map(str, colours[row, 20])) for row in (0, 1))
    assert f"38;2;{over};48;2;{under}m" in written[0]


def test_a_png_is_the_same_picture(hill: Heights) -> None:
    colours = picture(hill, 1.0)
    data = png(colours)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.MemoryFile(data) as file:
        with file.open() as image:
            assert image.driver == "PNG" and np.array_equal(np.moveaxis(image.read(), 0, 2), colours)


@pytest.mark.parametrize("heights", [np.full((3, 4), np.nan, np.float32), np.zeros((1, 1), np.float32)])
def test_land_without_heights_or_relief_is_drawn_too(heights: Heights) -> None:
    assert picture(heights, 1.0).shape == (*heights.shape, 3) and len(list(letters(heights))) >= 1
