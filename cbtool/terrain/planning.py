"""From what a user asks of a terrain model to what its tasks are told: lengths in units, ground, bounds, overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from cbtool.asked import Options
from cbtool.crs import Crs, horizontal
from cbtool.errors import FormatError, UsageError
from cbtool.index import Index
from cbtool.lengths import parse
from cbtool.partitioners.las.frame import Frame, frame_of, place_of
from cbtool.partitioners.las.groups import LasFile, open_las
from cbtool.partitioners.las.reference import crs_of_file
from cbtool.partitioning import Indexer, indexed, partition
from cbtool.plan import Plan
from cbtool.source import Source
from cbtool.terrain.geotiff import Reference
from cbtool.terrain.grid import Box, Grid, exact
from cbtool.terrain.ground import Cloth, Morphology
from cbtool.terrain.model import RASTERS, Model
from cbtool.terrain.tiles import Ground, Terrain

FORMAT = "las"
WAYS = ("auto", "classes", "cloth", "morphology")
FILL_CELLS = 10
WINDOW_CELLS = 17
CHUNK_POINTS, FEW_POINTS = 12_000_000, 1_000_000
"""How many points a chunk has at the most, where nobody says how many there are; and how many are not cut."""
MOST_CELLS = 200_000_000
"""How many cells a chunk may have: they are all in memory."""
CLOTH_OVERLAP = 30
"""How many nodes of a cloth chunks overlap by: so far away, hardly anything is felt of its edge."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is asked of a model, lengths as people write them."""

    resolution: str = "1"
    fill: str | None = None
    ground: str = "auto"
    ground_classes: tuple[int, ...] = (2,)
    ground_height: str | None = None
    ground_window: str | None = None
    ground_slope: float = 0.3
    cloth_resolution: str = "1m"
    cloth_rigidness: int = 2
    cloth_iterations: int = 500
    cover_height: str = "2m"
    cover_window: int = 3
    rasters: tuple[str, ...] = RASTERS

    def __post_init__(self) -> None:
        if self.ground not in WAYS:
            raise UsageError(f"--ground {self.ground}: not a way to tell ground", hint=f"there are: {', '.join(WAYS)}")
        if self.cloth_rigidness not in (1, 2, 3):
            raise UsageError(f"--cloth-rigidness {self.cloth_rigidness}: not 1, 2 or 3", hint="1 steep, 3 flat land")
        unknown = [name for name in self.rasters if name not in RASTERS]
        if unknown:
            raise UsageError(f"--rasters: no raster is called {unknown[0]!r}", hint=f"there are: {', '.join(RASTERS)}")
        if not self.ground_slope >= 0 or not math.isfinite(self.ground_slope):
            raise UsageError(f"--ground-slope {self.ground_slope}: it must be 0 or more")


@dataclass(frozen=True)
class Planned:
    """All that a job needs to know."""

    plan: Plan
    terrain: Terrain
    reference: Reference


def planned(
    sources: Sequence[Source],
    asked: Asked,
    options: Options,
    indexer: Indexer,
    *,
    index_to: str | None = None,
    say: Say = lambda note: None,
) -> Planned:
    """Cut the cloud that *sources* are so that *asked* can be made of its chunks; missing indexes are made.

    Whether it has points that are classified as ground is asked of the whole cloud, so that all chunks do the same.
    """
    files = [open_las(source) for source in sources]
    indexes = indexed(sources, FORMAT, "bounds and classes of all points are wanted", indexer, index_to, say)
    frame, crs = frame_of(files), crs_of_file(files[0])
    step = _units(asked.resolution, "--resolution", crs)
    assert crs is not None and crs.metres is not None
    fill = _units(asked.fill, "--fill", crs) if asked.fill not in (None, "0") else Fraction(0)
    grid = Grid.of(frame.scale[:2], frame.offset[:2], _bounds(files, indexes, frame), step)
    model = Model(
        grid,
        frame.scale[2],
        frame.offset[2],
        float(_vertical(crs, say) / crs.metres),
        step * FILL_CELLS if asked.fill is None else fill,
        float(_units(asked.cover_height, "--cover-height", crs)),
        asked.cover_window,
        tuple(name for name in RASTERS if name in asked.rasters),
    )
    terrain = Terrain(model, _ground(asked, indexes, crs, model, say))
    n_points = sum(index.facts["points"] for index in indexes)
    n_chunks = _chunks(n_points, options.workers) if options.chunks == "auto" else options.chunks
    wanted = replace(options, chunks=n_chunks, overlap=_overlap(terrain))
    plan = partition(sources, wanted, indexer, form=FORMAT, index_to=index_to, say=say)
    terrain = replace(terrain, model=replace(model, grid=replace(grid, bounds=_within(grid.bounds, plan))))
    extent = terrain.model.grid.extent
    most = max(terrain.owned(chunk).n_cells for chunk in plan)
    if most > MOST_CELLS:
        raise UsageError(
            f"{extent.width} x {extent.height} cells, of which one chunk has {most}: too many for its memory",
            hint="a larger --resolution, more chunks (-n), or --only without points that lie far away",
        )
    say(f"{extent.width} x {extent.height} cells of {float(step):g} {crs.unit}")
    return Planned(plan, terrain, Reference(extent, float(step), horizontal(crs), crs.unit))


def _chunks(n_points: int, workers: int) -> int:
    """Return how many chunks a cloud is cut into where nobody says: few, for what they overlap is done twice."""
    if n_points < FEW_POINTS:
        return 1
    return -(-n_points // (CHUNK_POINTS * workers)) * workers


def _units(text: str, option: str, crs: Crs | None) -> Fraction:
    return parse(option, text).in_units(crs)


def _vertical(crs: Crs, say: Say) -> Fraction:
    """Return metres in a unit of height: those of the horizontal unit where the CRS says nothing of heights."""
    assert crs.metres is not None
    if crs.vertical_metres is None:
        say(f"the CRS says nothing of heights: they are taken to be in its horizontal unit ({crs.unit})")
        return crs.metres
    if crs.vertical_metres != crs.metres:
        say(f"heights are given in the unit of the grid ({crs.unit})")
    return crs.vertical_metres


def _bounds(files: Sequence[LasFile], indexes: Sequence[Index], frame: Frame) -> Box:
    """Return the bounds of all points in the integers of *frame*."""
    found: list[tuple[int, int, int, int]] = []
    for file, index in zip(files, indexes, strict=True):
        if index.facts["bounds"] is None:
            continue
        place = place_of(file.header, frame, file.where)
        x0, y0, _, x1, y1, _ = index.facts["bounds"]
        (tx, ty, _), (px, py, _) = place.times, place.plus
        found.append((x0 * tx + px, y0 * ty + py, x1 * tx + px + 1, y1 * ty + py + 1))
    if not found:
        raise FormatError(f"{files[0].where}: holds no points: there is nothing to make a model of")
    return _around(found)


def _around(boxes: Sequence[Box]) -> Box:
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _within(bounds: Box, plan: Plan) -> Box:
    """Return the part of *bounds* that the chunks share out: less than all where only a region is wanted."""
    x0, y0, x1, y1 = _around([tuple(chunk.core["box"]) for chunk in plan if chunk.core])
    return max(bounds[0], x0), max(bounds[1], y0), min(bounds[2], x1), min(bounds[3], y1)


def _ground(asked: Asked, indexes: Sequence[Index], crs: Crs, model: Model, say: Say) -> Ground:
    """Return how ground is told; FormatError if it is to be by classes, and no point has one of them."""
    classes = asked.ground_classes
    n_ground = sum(index.facts["classes"].get(str(one), 0) for index in indexes for one in classes)
    named = ", ".join(map(str, classes))
    way = asked.ground
    if way == "auto":
        way = "classes" if n_ground else "cloth"
        say(f"ground: by class {named}" if n_ground else f"ground: no point has class {named}: cloth simulation")
    if way == "classes":
        if not n_ground:
            raise FormatError(f"no point has class {named}", hint="tell ground by a filter: --ground cloth|morphology")
        return Ground(classes)
    assert crs.metres is not None
    height = parse("--ground-height", asked.ground_height or ("0.5m" if way == "cloth" else "0.3m")).in_units(crs)
    if way == "cloth":
        node = float(_units(asked.cloth_resolution, "--cloth-resolution", crs) * crs.metres)
        cloth = Cloth(node, asked.cloth_rigidness, float(height * crs.metres), asked.cloth_iterations)
        return Ground(classes, cloth=cloth, metres_per_unit=float(crs.metres))
    step, unit = model.grid.resolution, exact(model.height_factor) * exact(model.z_scale)
    window = step * WINDOW_CELLS if asked.ground_window is None else _units(asked.ground_window, "--ground-window", crs)
    rise = exact(asked.ground_slope) * step / unit
    return Ground(classes, Morphology(math.floor(window / step), float(rise), float(height / unit)))


def _overlap(terrain: Terrain) -> str:
    """Return the overlap that the model needs: its margin, and the cell that a chunk's border runs through."""
    need = (terrain.margin + 1) * terrain.model.grid.resolution
    if terrain.ground.cloth is not None:
        need += exact(CLOTH_OVERLAP * terrain.ground.cloth.resolution / terrain.ground.metres_per_unit)
    return f"{math.ceil(need * 10**6) / 10**6:.6f}"
