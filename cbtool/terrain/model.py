"""The rasters of a terrain model, for a window of cells.

After the workflow of the CloudButton geospatial use case (outliers left out; first returns, greatest height: DSM;
ground points: DTM; CHM; fractional canopy cover in a window of 3 cells; slope; aspect), but with every point in exactly
one cell.

====== ===============================================================================================================
dsm    the height of the highest first return; cells without one stay void
dtm    the mean height of the ground points; voids filled as `cbtool.terrain.filling` says
chm    dsm - dtm, and 0 where that is below 0; void where either is
slope  of the dtm, in degrees; void where one of the nine cells is, so along the edge too (as gdaldem)
aspect the direction which the slope of the dtm faces, in degrees clockwise from north; void where it is flat as well
cover  the share of first returns, of those over a cell with a dtm, that are more than a given height above it
====== ===============================================================================================================

CHM, slope and aspect are of the heights as they are written, rounded to 32 bits. What a cell holds depends on the
points within `Model.margin` cells of it and on nothing else, so that any chunks with that overlap give the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import UsageError
from cbtool.terrain.filling import filled
from cbtool.terrain.grid import Grid, Window, exact
from cbtool.terrain.slope import aspect, gradients, slope
from cbtool.terrain.surfaces import NOTHING, Points, highest, means, shares

RASTERS = ("dsm", "dtm", "chm", "slope", "aspect", "cover")
VOID = -9999.0
LARGEST = 2**31 - 1
Raster = NDArray[np.float32]
"""2-D, row 0 in the south; `VOID` where there is nothing."""


@dataclass(frozen=True)
class Model:
    """What shapes the rasters besides the points. Lengths are in the units of the CRS."""

    grid: Grid
    z_scale: float
    z_offset: float
    height_factor: float = 1.0
    """What makes a height one in the unit of the grid."""
    fill: Fraction = Fraction(10)
    """How far a void is filled from; 0 fills none."""
    cover_above: float = 2.0
    cover_window: int = 3
    """Cells on a side; odd."""
    rasters: tuple[str, ...] = RASTERS
    """Those that are wanted, in the order of `RASTERS`."""

    def __post_init__(self) -> None:
        if self.cover_window < 1 or self.cover_window % 2 == 0:
            raise UsageError(f"--cover-window {self.cover_window}: not an odd number of cells")
        if self.fill < 0:
            raise UsageError(f"--fill {float(self.fill):g}: it must be 0 or more")

    def wants(self, *names: str) -> bool:
        """Say whether one of *names* is wanted."""
        return any(name in self.rasters for name in names)

    @property
    def fill_square(self) -> int:
        """The square of the reach of filling, in cells."""
        return int((self.fill / self.grid.resolution) ** 2)

    @property
    def margin(self) -> int:
        """How many cells about a window have a say in it."""
        return isqrt(self.fill_square) + self.border

    @property
    def border(self) -> int:
        """How many cells about a window need a DTM: for the slope, and for the cover."""
        return max(1, self.cover_window // 2)

    def heights(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return heights of the grid's unit for *z* in units of the frame."""
        return np.asarray((z * self.z_scale + self.z_offset) * self.height_factor)

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain values; `from_json` gives it back."""
        grid = self.grid
        axes = {name: [str(axis.scale), str(axis.offset)] for name, axis in (("x", grid.x), ("y", grid.y))}
        said = {name: value for name, value in asdict(self).items() if name not in ("grid", "fill", "rasters")}
        said["rasters"] = list(self.rasters)
        return {"resolution": str(grid.resolution), "bounds": list(grid.bounds), **axes, "fill": str(self.fill), **said}

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Model:
        step = Fraction(said["resolution"])
        (xs, xo), (ys, yo) = said["x"], said["y"]
        grid = Grid.of([Fraction(xs), Fraction(ys)], [Fraction(xo), Fraction(yo)], tuple(said["bounds"]), step)
        plain = ("z_scale", "z_offset", "height_factor", "cover_above", "cover_window")
        more = {name: said[name] for name in plain}
        return Model(grid, fill=exact(said["fill"]), rasters=tuple(said["rasters"]), **more)


def rasters(points: Points, model: Model, own: Window) -> dict[str, Raster]:
    """Return those rasters of the window *own* that the model wants.

    *points* are at least all within the margin of it, and no noise.
    """
    grid, made = model.grid, dict[str, NDArray[np.float32]]()
    area = own.grown(model.margin).within(grid.extent)
    near = own.grown(model.border).within(grid.extent)
    inner = near.inside(area)
    cell = grid.index(points.x, points.y, area)
    if (cell < 0).any():
        cell, points = cell[cell >= 0], points.taken(cell >= 0)
    first = cell[points.is_first], points.z[points.is_first]
    if model.wants("dsm", "chm"):
        top = highest(*first, area.n_cells).reshape(area.height, area.width)[inner]
        made["dsm"] = np.where(top == NOTHING, np.nan, model.heights(top)).astype(np.float32)
    if model.wants("dtm", "chm", "slope", "aspect", "cover"):
        mean = means(cell[points.is_ground], points.z[points.is_ground], area.n_cells)
        known = model.heights(mean.reshape(area.height, area.width))
        made["dtm"] = filled(known, model.fill_square, inner)[inner].astype(np.float32)
    if model.wants("chm"):
        made["chm"] = np.maximum(made["dsm"] - made["dtm"], np.float32(0))
    if model.wants("slope", "aspect"):
        made |= _slopes(made["dtm"], model)
    if model.wants("cover"):
        made["cover"] = _cover(*first, made["dtm"], model, area, near)
    kept = own.inside(near)
    return {name: _void(made[name][kept]) for name in model.rasters}


def _slopes(ground: NDArray[np.float32], model: Model) -> dict[str, NDArray[np.float32]]:
    """Return slope and aspect of a DTM, beyond which there is nothing."""
    ring = np.pad(ground.astype(np.float64), 1, constant_values=np.nan)
    east, north = gradients(ring, float(model.grid.resolution))
    return {name: of(east, north) for name, of in (("slope", slope), ("aspect", aspect)) if model.wants(name)}


def _cover(
    cell: NDArray[np.int64],
    z: NDArray[np.int32],
    ground: NDArray[np.float32],
    model: Model,
    area: Window,
    near: Window,
) -> NDArray[np.float32]:
    """Return the cover over *near*, where the DTM is *ground*; *cell* is the place of each first return in *area*."""
    inner = near.inside(area)
    floor = np.full((area.height, area.width), np.nan)
    # The highest unit that is not above: points are then told apart by integers.
    top = (ground.astype(np.float64) + model.cover_above) / model.height_factor
    floor[inner] = np.floor((top - model.z_offset) / model.z_scale)
    least = np.where(np.isnan(floor), LARGEST, np.clip(floor, -LARGEST, LARGEST)).astype(np.int32).reshape(-1)
    all_ = np.bincount(cell, minlength=area.n_cells).reshape(floor.shape)[inner]
    above = np.bincount(cell[z > least[cell]], minlength=area.n_cells).reshape(floor.shape)[inner]
    return shares(above, np.where(np.isnan(ground), 0, all_), model.cover_window).astype(np.float32)


def _void(raster: NDArray[np.float32]) -> Raster:
    return np.where(np.isnan(raster), np.float32(VOID), raster)
