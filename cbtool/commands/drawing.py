"""Draws heights: as PNG in a file, in colours on a terminal, in letters where stdout is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

PNG_PIXELS = 1600
LETTERS = 100
"""How wide a picture is where nothing says how wide it may be."""


def draw(rasters: Sequence[str], to: str) -> None:
    """Draw the heights that *rasters* (URIs) hold, the first that says something of a place; *to* ``-`` is stdout."""
    from cbtool.output import open_output
    from cbtool.terrain.picture import half_blocks, letters, picture, png
    from cbtool.terrain.preview import heights_of

    if to != "-":
        heights, step = heights_of(rasters, PNG_PIXELS, PNG_PIXELS)
        with open_output(to) as file:
            file.write(png(picture(heights, step)))
        return
    if not sys.stdout.isatty():
        heights, _ = heights_of(rasters, LETTERS, 2 * LETTERS)
        for words in letters(heights):
            typer.echo(words)
        return
    from rich.console import Console

    console = Console()
    heights, step = heights_of(rasters, console.width, 2 * max(10, console.height - 4))
    for line in half_blocks(picture(heights, step)):
        console.print(line, no_wrap=True, overflow="crop")
