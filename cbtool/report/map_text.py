"""A plan over a plane in text: half blocks in colour where a terminal has them, a ramp of characters elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from cbtool.report.plane import Plane, densities, owners
from cbtool.report.ramp import STEPS, Ramp, colours, ramp_of
from cbtool.report.svg import printable
from cbtool.units import show_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cbtool.density import Raster

Colour = Literal["true", "256", "none"]
CHARACTERS = ".:;coa08@"
"""From the least to the greatest density; borders are | - +."""
LEAST_COLUMNS, MOST_COLUMNS, MOST_LINES = 20, 120, 40
BORDERED_PIXELS = 12
"""Borders are drawn where a box has so many pixels or more on the whole."""
NONE, BORDER, OUTER_BORDER = -1, STEPS, STEPS + 1
"""Beside the steps of the ramp: no colour, and the colours of borders, on a colour and on none."""
BORDERS = {BORDER: (0, 0, 0), OUTER_BORDER: (128, 128, 128)}
"""Grey shows on a light ground and on a dark one."""
PALETTE = (55, 25, 31, 37, 73, 79, 115, 151, 229, 16, 244)
"""What comes near to the steps and to the borders in xterm's palette of 256, and grows lighter as the steps do."""
RESET = "\x1b[0m"


def colour_of(environment: Mapping[str, str], encoding: str) -> Colour:
    """Return how many colours a terminal has, as it says of itself: https://no-color.org, COLORTERM, TERM.

    >>> colour_of({"TERM": "xterm-256color"}, "utf-8"), colour_of({"COLORTERM": "truecolor", "NO_COLOR": "1"}, "utf-8")
    ('256', 'none')
    """
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term in ("", "dumb") or not encoding.lower().startswith("utf"):
        return "none"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "true"
    return "256" if "256color" in term else "none"


def plane_map(plane: Plane, raster: Raster | None, colour: Colour, columns: int | None = None) -> list[str]:
    """Draw where a plan over a plane cuts, at most *columns* wide (by default as the terminal is), and a key below."""
    wide = columns or min(MOST_COLUMNS, shutil.get_terminal_size().columns)
    aspect = plane.size[1] / plane.size[0]
    # A character is about twice as high as wide.
    lines = min(MOST_LINES, max(1, round(wide * aspect / 2)))
    wide = min(wide, max(min(wide, LEAST_COLUMNS), round(2 * lines / aspect)))
    n_y = lines if colour == "none" else 2 * lines
    shades = densities(plane, raster, wide, n_y)
    of = owners(plane, wide, n_y)
    turn = tuple(slice(None, None, -1 if is_turned else 1) for is_turned in (plane.scale[0] < 0, plane.scale[1] > 0))
    shades, of = shades[turn], of[turn]
    ramp = ramp_of(shades.ravel().tolist())
    steps = [[NONE if ramp is None or one <= 0 else ramp.step(one) for one in row] for row in shades.T.tolist()]
    has_borders = wide * n_y >= BORDERED_PIXELS * len(plane.tiles)
    edges = _edges(of) if has_borders else None
    drawn = list(_characters(steps, edges)) if colour == "none" else list(_halves(steps, edges, colour))
    return [*drawn, *_key(plane, ramp, colour, has_borders)]


def _edges(of: NDArray[np.int32]) -> tuple[list[list[bool]], list[list[bool]]]:
    """Return, by rows, where a pixel's tile differs from that to the right, and from that below."""
    import numpy as np

    right, below = np.zeros(of.shape, bool), np.zeros(of.shape, bool)
    right[:-1] = of[:-1] != of[1:]
    below[:, :-1] = of[:, :-1] != of[:, 1:]
    return right.T.tolist(), below.T.tolist()


def _characters(steps: list[list[int]], edges: tuple[list[list[bool]], list[list[bool]]] | None) -> Iterator[str]:
    for number, row in enumerate(steps):
        drawn = [" " if step == NONE else CHARACTERS[step] for step in row]
        if edges is not None:
            right, below = edges[0][number], edges[1][number]
            for i in range(len(drawn)):
                if right[i] or below[i]:
                    drawn[i] = "+" if right[i] and below[i] else "|" if right[i] else "-"
        yield "".join(drawn).rstrip()


def _halves(
    steps: list[list[int]], edges: tuple[list[list[bool]], list[list[bool]]] | None, colour: Colour
) -> Iterator[str]:
    """Draw two rows of pixels in a line: the upper in the colour of the letter, the lower in that of its ground."""
    if edges is not None:
        steps = [[_bordered(*pixel) for pixel in zip(*rows, strict=True)] for rows in zip(steps, *edges, strict=True)]
    for upper, lower in zip(steps[0::2], steps[1::2], strict=True):
        line, before = "", (NONE, NONE)
        for pair in zip(upper, lower, strict=True):
            if pair != before:
                line += _switch(pair, colour)
                before = pair
            line += " " if pair == (NONE, NONE) else "▄" if pair[0] == NONE else "▀"
        yield line + RESET


def _bordered(step: int, right: bool, below: bool) -> int:
    if not (right or below):
        return step
    return OUTER_BORDER if step == NONE else BORDER


def _switch(pair: tuple[int, int], colour: Colour) -> str:
    upper, lower = pair
    if upper == NONE:
        return RESET if lower == NONE else RESET + _code(lower, 38, colour)
    return _code(upper, 38, colour) + ("\x1b[49m" if lower == NONE else _code(lower, 48, colour))


def _code(step: int, ground: int, colour: Colour) -> str:
    """Return the sequence that sets the letter (38) or the ground (48) to a step's colour."""
    if colour == "256":
        return f"\x1b[{ground};5;{PALETTE[step]}m"
    r, g, b = BORDERS[step] if step in BORDERS else colours("terminal")[step]
    return f"\x1b[{ground};2;{r};{g};{b}m"


def _key(plane: Plane, ramp: Ramp | None, colour: Colour, has_borders: bool) -> Iterator[str]:
    width, height = plane.size
    x0, y0, x1, y1 = plane.bounds
    if ramp is None:
        yield f"no {printable(plane.of)}"
    else:
        swatch = CHARACTERS if colour == "none" else "".join(_code(i, 38, colour) + "██" for i in range(STEPS)) + RESET
        unit = f"{printable(plane.of)} in a square unit of the CRS, log scale"
        yield f"{show_count(ramp.low)} {swatch} {show_count(ramp.high)} {unit}"
    x, y = sorted((plane.world(0, x0), plane.world(0, x1))), sorted((plane.world(1, y0), plane.world(1, y1)))
    said = f"{len(plane.tiles):,} boxes on {width:,.6g} x {height:,.6g} units, from {x[0]:,.10g} {y[0]:,.10g}"
    yield said + ("" if has_borders else "; too small for borders")
