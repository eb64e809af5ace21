"""Shows a terrain model that is made: its heights, read as small as they are drawn."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from cbtool.output import open_output
from cbtool.source import open_source
from cbtool.streams import SourceFile
from cbtool.terrain.picture import Heights, half_blocks, letters, picture, png

PNG_PIXELS = 1600
LETTERS = 100
"""How wide a picture is where nothing says how wide it may be."""


def preview(surface: str, ground: str, to: str) -> None:
    """Draw the heights of a model (URIs of its DSM and DTM) on the terminal (*to* is ``-``) or as PNG in a file.

    They are those of the surface, and of the ground where nothing was seen of it.
    """
    if to != "-":
        heights, step = _heights(surface, ground, PNG_PIXELS, PNG_PIXELS)
        with open_output(to) as file:
            file.write(png(picture(heights, step)))
        return
    if not sys.stdout.isatty():
        heights, _ = _heights(surface, ground, LETTERS, 2 * LETTERS)
        print(*letters(heights), sep="\n")
        return
    from rich.console import Console

    console = Console()
    heights, step = _heights(surface, ground, console.width, 2 * max(10, console.height - 4))
    for line in half_blocks(picture(heights, step)):
        console.print(line, no_wrap=True, overflow="crop")


def _heights(surface: str, ground: str, most_columns: int, most_rows: int) -> tuple[Heights, float]:
    """Return the heights of both rasters in no more columns and rows than given, and the size of a cell."""
    import rasterio
    from rasterio.enums import Resampling

    found: list[Any] = []
    step = 1.0
    for uri in (surface, ground):
        with open_source(uri) as source, rasterio.open(SourceFile(source)) as raster:
            times = max(1.0, raster.width / most_columns, raster.height / most_rows)
            shape = max(1, round(raster.height / times)), max(1, round(raster.width / times))
            read = raster.read(1, out_shape=shape, resampling=Resampling.average, masked=True)
            found.append(read.astype(np.float32).filled(np.nan))
            step = float(raster.res[0]) * times
    return np.where(np.isnan(found[0]), found[1], found[0]), step
