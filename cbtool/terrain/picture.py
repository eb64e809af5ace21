"""Pictures of heights: shaded, coloured from low to high; on a terminal, as text, or as PNG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cbtool.terrain.slope import gradients

if TYPE_CHECKING:
    from rich.text import Text

Heights = NDArray[np.float32]
"""2-D, row 0 in the north; NaN where there is nothing."""
Rgb = NDArray[np.uint8]

COLOURS = ((36, 104, 84), (98, 152, 88), (190, 196, 124), (222, 186, 122), (170, 116, 84), (236, 232, 228))
"""From low to high, evenly."""
NOTHING = (24, 26, 30)
RAMP = ".:-=+*#%@"
SUN_AZIMUTH, SUN_HEIGHT = math.radians(315), math.radians(45)
"""Where light comes from on maps: the upper left."""
TRIM = 0.5
"""Percent of the heights at either end that are not told apart, so that one tower does not darken the land."""
HALF = "▀"


def picture(heights: Heights, resolution: float) -> Rgb:
    """Return *heights* as colours (rows, columns, 3). *resolution* is the size of a cell in units of height.

    Light is after Horn (1981), as of a Lambertian surface, and exaggerated where the land is flat.
    """
    low, high = _range(heights)
    at = np.clip((heights - low) / max(high - low, 1e-9), 0, 1) * (len(COLOURS) - 1)
    at = np.where(np.isnan(at), 0, at)
    stops = np.array(COLOURS, float)
    first = np.minimum(at.astype(int), len(COLOURS) - 2)
    share = (at - first)[..., None]
    colour = stops[first] * (1 - share) + stops[first + 1] * share
    shade = 0.35 + 0.75 * _light(heights, resolution)
    found: Rgb = np.clip(colour * shade[..., None], 0, 255).astype(np.uint8)
    found[np.isnan(heights)] = NOTHING
    return found


def _range(heights: Heights) -> tuple[float, float]:
    known = heights[~np.isnan(heights)]
    if not len(known):
        return 0.0, 0.0
    low, high = np.percentile(known, [TRIM, 100 - TRIM])
    return float(low), float(high)


def _light(heights: Heights, resolution: float) -> NDArray[np.float64]:
    """Return how bright each cell is, 0 to 1; cells without a slope are as bright as flat ones."""
    up = np.pad(heights.astype(np.float64)[::-1], 1, mode="edge")
    east, north = (one[::-1] for one in gradients(up, resolution))
    known = np.abs(np.concatenate([east[~np.isnan(east)], north[~np.isnan(north)]]))
    steep = float(np.percentile(known, 90)) if len(known) else 0.0
    times = min(20.0, 0.7 / steep) if steep > 0 else 1.0
    east, north = east * times, north * times
    towards = -(east * math.sin(SUN_AZIMUTH) + north * math.cos(SUN_AZIMUTH)) * math.cos(SUN_HEIGHT)
    light = (towards + math.sin(SUN_HEIGHT)) / np.sqrt(1 + east * east + north * north)
    return np.asarray(np.clip(np.where(np.isnan(light), math.sin(SUN_HEIGHT), light), 0, 1))


def half_blocks(colours: Rgb) -> Iterator[Text]:
    """Yield the lines of a picture on a terminal: a character is two cells, one above the other."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    if len(colours) % 2:
        colours = np.concatenate([colours, np.full_like(colours[:1], NOTHING)])
    for upper, lower in zip(colours[::2].tolist(), colours[1::2].tolist(), strict=True):
        line = Text()
        for a, b in zip(upper, lower, strict=True):
            line.append(HALF, Style(color=Color.from_rgb(*a), bgcolor=Color.from_rgb(*b)))
        yield line


def letters(heights: Heights) -> Iterator[str]:
    """Yield the lines of a picture of letters, from low (``.``) to high (``@``); spaces where there is nothing.

    A letter is twice as high as it is wide, so that every second row is drawn.
    """
    low, high = _range(heights)
    at = np.clip((heights[::2] - low) / max(high - low, 1e-9), 0, 1) * (len(RAMP) - 1)
    for row in at.tolist():
        yield "".join(" " if math.isnan(one) else RAMP[round(one)] for one in row).rstrip()


def png(colours: Rgb) -> bytes:
    """Return a picture as PNG."""
    import warnings

    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    height, width, bands = colours.shape
    with warnings.catch_warnings(), MemoryFile() as file:
        # It has no place on the earth, and needs none.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(driver="PNG", width=width, height=height, count=bands, dtype="uint8") as image:
            image.write(np.moveaxis(colours, 2, 0))
        return bytes(file.read())
