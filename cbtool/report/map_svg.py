"""A plan over a plane as a picture: where its chunks lie, coloured by how dense they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbtool.chunk import Chunk
from cbtool.report import plan_svg, ramp, svg
from cbtool.report.measures import labelled_ticks
from cbtool.report.plane import Plane, Tile, densities
from cbtool.report.ramp import Ramp, ramp_of
from cbtool.report.scatter_svg import show_weight
from cbtool.split import Box
from cbtool.units import show_count, show_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cbtool.density import Raster

TOP, BELOW, TALLEST, LEAST = 66.0, 44.0, 760.0, 24.0
KEY_PX, KEY_TOP = 26.0, 10.0
NUMBERED_PX = (26.0, 15.0)
NUMBERED_SHARE = 0.3
"""A box at least so wide and high has its number in it, if such a part of all boxes can have theirs."""
REACH_FROM_PX, MOST_REACHES, MOST_POINTED_AT = 1.5, 150, 1000
"""The overlaps of more boxes are shown where the mouse is, and of still more nowhere."""
MOST_COLUMNS, AMOUNT_EACH = 256, 4
"""A raster is drawn in at most so many columns or rows, and with so much in each pixel, or chance would be drawn."""

STYLE = (
    "\n"
    + ramp.style()
    + """
svg .cells{fill:none;stroke-width:1;shape-rendering:crispEdges}
svg .casing{fill:none;stroke:var(--paper);stroke-opacity:.8}svg .border{fill:none;stroke:var(--ink)}
svg .clear{fill:transparent;stroke:none}svg .hidden{visibility:hidden}
svg .reach{fill:none;stroke:var(--ink);stroke-width:1;stroke-dasharray:4 3;stroke-opacity:.55;pointer-events:none}
svg .at:hover .clear{stroke:var(--warn);stroke-width:3}
svg .at:hover .reach{visibility:visible;stroke:var(--warn);stroke-opacity:1;stroke-width:1.5}
svg .number{fill:var(--ink);font-size:11px;text-anchor:middle;paint-order:stroke;stroke:var(--paper);
stroke-width:3px;stroke-linejoin:round;pointer-events:none}
"""
)


@dataclass(frozen=True)
class Picture:
    """Where the plane lies in the picture, in pixels."""

    plane: Plane
    view: Box
    """What of the plane is drawn: the boxes, with what they reach over."""
    shows_reach: bool
    width: float
    height: float
    is_stretched: bool
    cells: NDArray[np.float64] | None
    """Densities (columns, rows) where there is a raster."""
    ramp: Ramp | None

    @property
    def bottom(self) -> float:
        return TOP + self.height

    def x(self, number: float) -> float:
        x0, _, x1, _ = self.view
        return svg.LEFT + self.width * self._part(number, x0, x1, self.plane.scale[0] < 0)

    def y(self, number: float) -> float:
        """Return where *number* of the y axis lies: the world's goes up."""
        _, y0, _, y1 = self.view
        return self.bottom - self.height * self._part(number, y0, y1, self.plane.scale[1] < 0)

    @staticmethod
    def _part(number: float, low: int, high: int, is_turned: bool) -> float:
        part = (number - low) / (high - low)
        return 1 - part if is_turned else part

    def rectangle(self, box: Box, beyond: tuple[int, int] = (0, 0)) -> tuple[float, float, float, float]:
        """Return (x, y, width, height) of *box*, and of what lies so far *beyond* its sides."""
        xs = sorted((self.x(box[0] - beyond[0]), self.x(box[2] + beyond[0])))
        ys = sorted((self.y(box[1] - beyond[1]), self.y(box[3] + beyond[1])))
        return xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]


def picture_of(plane: Plane, raster: Raster | None) -> Picture:
    """Return how *plane* is drawn: as many pixels to a unit in x and in y, unless one is next to nothing."""
    view, shows_reach = _view(plane)
    units = [(view[axis + 2] - view[axis]) * abs(plane.scale[axis]) for axis in (0, 1)]
    zoom = min(svg.PLOT / units[0], TALLEST / units[1])
    width, height = (max(LEAST, one * zoom) for one in units)
    stretched = width > units[0] * zoom * 1.001 or height > units[1] * zoom * 1.001
    cells = None
    if raster is not None:
        across = max(1, min(MOST_COLUMNS, round((float(raster.counts.sum()) / AMOUNT_EACH) ** 0.5)))
        n_x, n_y = (max(1, round(across * one / max(plane.size))) for one in plane.size)
        cells = densities(plane, raster, n_x, n_y)
    shades = [tile.density for tile in plane.tiles] if cells is None else cells.ravel().tolist()
    return Picture(plane, view, shows_reach, width, height, stretched, cells, ramp_of(shades))


def _view(plane: Plane) -> tuple[Box, bool]:
    """Return the bounds, and with them what is reached over, if that is enough to be drawn."""
    (x0, y0, x1, y1), reach = plane.bounds, plane.reach
    if reach is None or len(plane.tiles) > MOST_POINTED_AT:
        return plane.bounds, False
    width, height = plane.size
    zoom = min(svg.PLOT / width, TALLEST / height)
    if max(reach[axis] * abs(plane.scale[axis]) for axis in (0, 1)) * zoom < REACH_FROM_PX:
        return plane.bounds, False
    return (x0 - reach[0], y0 - reach[1], x1 + reach[0], y1 + reach[1]), True


def plane_map(chunks: Sequence[Chunk], plane: Plane, raster: Raster | None, *, alone: bool = False) -> str:
    """Draw where a plan over a plane cuts; alone, with the bar of its weights below."""
    to = picture_of(plane, raster)
    width, height = plane.size
    words = f"A map of {len(plane.tiles)} boxes on {width:,.6g} by {height:,.6g} units of the CRS."
    drawn, end = list(_body(to)), to.bottom + BELOW
    if alone:
        end += 10
        drawn.append(svg.tag("g", "".join(plan_svg.body(chunks)), transform=f"translate(0 {svg.at(end)})"))
        words += " " + plan_svg.words(chunks)
        end += plan_svg.height(chunks)
    return svg.picture("map", end, "Where the plan cuts", words, drawn, alone=alone, style=STYLE)


def _body(to: Picture) -> Iterator[str]:
    yield from _key(to)
    if to.cells is not None:
        yield from _cells(to)
    elif to.ramp is not None:
        yield from _fills(to)
    yield from _borders(to)
    yield from _numbers(to)
    yield from _tiles(to)
    yield from _axes(to)


def _key(to: Picture) -> Iterator[str]:
    """Say what the colours and lines are."""
    x = float(svg.LEFT)
    if to.ramp is not None:
        is_flat = to.ramp.high <= ramp.LEAST_RANGE * to.ramp.low
        steps = [ramp.STEPS // 2] if is_flat else list(range(ramp.STEPS))
        for i, step in enumerate(steps):
            yield svg.box(x + i * KEY_PX, KEY_TOP, KEY_PX + 0.5 * (step != steps[-1]), 12, f"d{step}")
        for number in [0] if is_flat else range(0, ramp.STEPS + 1, 3):
            yield svg.text(x + number * KEY_PX, KEY_TOP + 26, show_count(to.ramp.edge(number)), "middle")
        x += len(steps) * KEY_PX + 34
    unit = f"{to.plane.of} in a square unit of the CRS" + ", log scale" * (to.ramp is not None)
    if to.cells is None:
        unit += "; the mean of each box"
    else:
        width, height = (size / n for size, n in zip(to.plane.size, to.cells.shape, strict=True))
        unit += f"; in cells of {width:.3g} × {height:.3g} units"
    yield svg.text(x, KEY_TOP + 10, unit)
    said = [f"{len(to.plane.tiles):,} boxes"]
    shared = sum(len(tile.chunks) - 1 for tile in to.plane.tiles)
    if shared:
        said.append(f"some of several chunks (×N): {shared + len(to.plane.tiles):,} chunks")
    if to.plane.reach is not None:
        reach = f"{to.plane.reach[0] * abs(to.plane.scale[0]):.6g} units"
        said.append(f"overlap of {reach}{_how(to)}")
    if to.is_stretched:
        said.append("not to scale")
    yield svg.text(x, KEY_TOP + 26, "; ".join(said))


def _how(to: Picture) -> str:
    if not to.shows_reach:
        return ", not drawn"
    return " dashed" if len(to.plane.tiles) <= MOST_REACHES else ", dashed where the mouse is"


def _cells(to: Picture) -> Iterator[str]:
    """Draw the raster as lines, one path for each step: colours that follow the page, which no image does."""
    assert to.cells is not None and to.ramp is not None
    n_x, n_y = to.cells.shape
    flip = [to.plane.scale[axis] < 0 for axis in (0, 1)]
    cells = to.cells[:: -1 if flip[0] else 1, :: 1 if flip[1] else -1]
    paths: dict[int, list[str]] = {}
    for row, values in enumerate(cells.T.tolist()):
        steps = [to.ramp.step(value) if value > 0 else -1 for value in values]
        begin = 0
        for column in range(1, n_x + 1):
            if column == n_x or steps[column] != steps[begin]:
                if steps[begin] >= 0:
                    paths.setdefault(steps[begin], []).append(f"M{begin} {row}.5h{column - begin}")
                begin = column
    x, y, width, height = to.rectangle(to.plane.bounds)
    where = f"translate({svg.at(x)} {svg.at(y)}) scale({width / n_x:.6g} {height / n_y:.6g})"
    lines = (svg.tag("path", d="".join(paths[step]), class_=f"r{step}") for step in sorted(paths))
    yield svg.tag("g", "".join(lines), class_="cells", transform=where)


def _fills(to: Picture) -> Iterator[str]:
    """Fill the boxes, in one path for each step."""
    assert to.ramp is not None
    paths: dict[int, list[str]] = {}
    for tile in to.plane.tiles:
        if tile.density > 0:
            paths.setdefault(to.ramp.step(tile.density), []).append(_outline(to, tile))
    for step in sorted(paths):
        yield svg.tag("path", d="".join(paths[step]), class_=f"d{step}")


def _outline(to: Picture, tile: Tile) -> str:
    x, y, width, height = (svg.at(one) for one in to.rectangle(tile.box))
    return f"M{x} {y}h{width}v{height}h-{width}z"


def _tiles(to: Picture) -> Iterator[str]:
    """Draw over each box what says what it is, and how far its chunks reach."""
    reach = "reach" if len(to.plane.tiles) <= MOST_REACHES else "reach hidden"
    for tile in to.plane.tiles:
        drawn = svg.box(*to.rectangle(tile.box), "clear")
        if to.shows_reach:
            drawn += svg.box(*to.rectangle(tile.box, to.plane.reach or (0, 0)), reach)
        yield svg.tag("g", svg.tag("title", svg.said(_words(to.plane, tile))) + drawn, class_="at")


def _words(plane: Plane, tile: Tile) -> str:
    first, last = tile.chunks[0], tile.chunks[-1]
    by = first.by
    if len(tile.chunks) == 1:
        said = f"chunk {first.chunk}: {first.name}\n{show_weight(tile.chunks[0].weight, by)}"
    else:
        weight = sum(chunk.weight for chunk in tile.chunks)
        said = f"{len(tile.chunks)} chunks, {first.chunk} to {last.chunk}, share this box\n{show_weight(weight, by)}"
    records = [chunk.records for chunk in tile.chunks if chunk.records is not None]
    if len(records) == len(tile.chunks):
        said += f", {sum(records):,} records"
    said += f"\n{show_count(tile.density)} {plane.of} in a square unit"
    n_bytes, requests = (sum(getattr(chunk, name) for chunk in tile.chunks) for name in ("n_bytes", "requests"))
    return f"{said}\nreads {show_size(n_bytes)} in {requests} requests"


def _borders(to: Picture) -> Iterator[str]:
    """Draw all borders, dark on light: they show on any colour. The finer the boxes, the finer the lines."""
    sides = sorted(min(to.rectangle(tile.box)[2:]) for tile in to.plane.tiles)
    typical = sides[len(sides) // 2]
    path = "".join(_outline(to, tile) for tile in to.plane.tiles)
    if typical >= 16:
        yield svg.tag("path", d=path, class_="casing", stroke_width=3)
    yield svg.tag("path", d=path, class_="border", stroke_width=1.2 if typical >= 16 else max(0.2, typical / 20))


def _numbers(to: Picture) -> list[str]:
    found = []
    for tile in to.plane.tiles:
        x, y, width, height = to.rectangle(tile.box)
        words = str(tile.chunks[0].chunk) + (f" ×{len(tile.chunks)}" if len(tile.chunks) > 1 else "")
        if height >= NUMBERED_PX[1] and width >= max(NUMBERED_PX[0], svg.GLYPH * len(words) + 6):
            found.append(svg.text(x + width / 2, y + height / 2 + 4, words, "number"))
    return found if len(found) >= NUMBERED_SHARE * len(to.plane.tiles) else []


def _axes(to: Picture) -> Iterator[str]:
    """Draw the world's coordinates."""
    x0, y0, x1, y1 = to.view
    left, right = sorted((to.plane.world(0, x0), to.plane.world(0, x1)))
    low, high = sorted((to.plane.world(1, y0), to.plane.world(1, y1)))
    bottom = to.bottom + 4
    yield svg.line(svg.LEFT, bottom, svg.LEFT + to.width, bottom, "axis")
    yield svg.line(svg.LEFT - 4, TOP, svg.LEFT - 4, to.bottom, "axis")
    for value, words in labelled_ticks(left, right, round(to.width / 100)):
        x = svg.LEFT + to.width * (value - left) / (right - left)
        yield svg.line(x, bottom, x, bottom + 5, "axis")
        yield svg.tick_label(x, bottom + 18, words)
    for value, words in labelled_ticks(low, high, round(to.height / 80)):
        y = to.bottom - to.height * (value - low) / (high - low)
        yield svg.line(svg.LEFT - 9, y, svg.LEFT - 4, y, "axis")
        yield svg.text(svg.LEFT - 12, y + 4, words, "end")
    yield svg.text(svg.LEFT, bottom + 34, "coordinates in units of the CRS")
