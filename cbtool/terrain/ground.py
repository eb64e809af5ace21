"""Tells ground from what stands on it, where no classification does.

Two ways. *morphology*: a progressive morphological filter over the lowest points of cells (after Zhang et al. 2003, "A
progressive morphological filter for removing nonground measurements from airborne LIDAR data", IEEE Transactions on
Geoscience and Remote Sensing 41(4); cells that are found not to be ground are left out, not lowered). It is local and
in integers, so that chunks whose overlap covers `Morphology.reach` give the same to the bit.
*cloth*: the simulation of Zhang et al. 2016, "An easy-to-use airborne LiDAR data filtering method based on cloth
simulation", Remote Sensing 8(6), by its authors' library. A cloth is one over all of its chunk, and stops when all of
it has come to rest, so that the result depends on how the cloud is cut: on steep land under forest, DTMs of 1 to 16
chunks were within 0.6 m of each other in 95 % of cells, which is less than they are from classified ground (0.8 m).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import ConfigError
from cbtool.terrain.grid import Grid, Window
from cbtool.terrain.surfaces import Points, lowest

MOST_WINDOW = 257
EMPTY = 2**62


@dataclass(frozen=True)
class Morphology:
    """What shapes the filter; heights are in the units of the frame's z."""

    window: int = 17
    """The greatest window, in cells: what is wider than that is taken for ground. Windows are 3, 5, 9, 17 …"""
    rise: float = 0.0
    """How much higher ground may be for each cell that a window is wider than the last: the slope of the land."""
    least: float = 0.0
    """How high above the opened surface ground may be at any rate."""

    @property
    def windows(self) -> list[int]:
        return [one for k in range(1, 9) if (one := 2**k + 1) <= max(3, min(self.window, MOST_WINDOW))]

    @property
    def reach(self) -> int:
        """How many cells away a point may have a say."""
        return sum(2 * (one // 2) for one in self.windows)


def by_morphology(points: Points, grid: Grid, area: Window, how: Morphology) -> NDArray[np.bool_]:
    """Say of each point whether it is ground: no higher than *how* allows above the opened surface of last returns.

    True of what is in cells at least `reach` inside of *area* (or where the cloud ends).
    """
    cell = grid.index(points.x, points.y, area)
    is_used = (cell >= 0) & points.is_last
    surface = lowest(cell[is_used], points.z[is_used], area.n_cells).reshape(area.height, area.width)
    before = 1
    allowed = how.least
    for window in how.windows:
        opened = _opened(surface, window)
        # Where the land rises, the opening cuts its tops: the more, the wider the window is.
        allowed = how.least + how.rise * (window - before)
        surface = np.where((surface < EMPTY) & (surface > opened + allowed), EMPTY, surface)
        before = window
    ceiling = np.where(surface < EMPTY, surface + how.least, -EMPTY).reshape(-1)
    return np.asarray(is_used & (points.z <= ceiling[np.maximum(cell, 0)]))


def _opened(surface: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Return the opening of *surface*: the greatest of the least, over squares; `EMPTY` cells have no say."""
    least = _extreme(surface, window, np.minimum, EMPTY)
    return _extreme(np.where(least < EMPTY, least, -EMPTY), window, np.maximum, -EMPTY)


def _extreme(values: NDArray[np.int64], window: int, which: np.ufunc, beyond: int) -> NDArray[np.int64]:
    """Return the extreme of *values* over squares of *window* cells; outside there is *beyond*."""
    for axis in (0, 1):
        n = values.shape[axis]
        ends = [(0, 0), (0, 0)]
        ends[axis] = (window // 2, window // 2)
        padded = np.pad(values, ends, constant_values=beyond)
        values = padded.take(range(n), axis)
        for i in range(1, window):
            which(values, padded[i : i + n] if axis == 0 else padded[:, i : i + n], out=values)
    return values


@dataclass(frozen=True)
class Cloth:
    """What the cloth simulation is told; lengths are in the unit of heights."""

    resolution: float = 1.0
    """How far apart the nodes of the cloth are."""
    rigidness: int = 2
    """1 for steep land, 2 for terraces, 3 for flat land."""
    threshold: float = 0.5
    """How far from the cloth ground may be."""
    iterations: int = 500
    time_step: float = 0.65
    smooth: bool = True
    """Whether steep slopes are looked at again."""


def by_cloth(world: NDArray[np.float64], how: Cloth) -> NDArray[np.bool_]:
    """Say of each point (rows of *world*: x, y, z in one unit) whether it is near a cloth that fell from below.

    ConfigError if the library is not there.
    """
    try:
        import CSF
    except ModuleNotFoundError as error:
        raise ConfigError(f"cloth simulation: {error}", hint="pip install 'cbtool[lidar]'") from error
    found = np.zeros(len(world), bool)
    if len(world) < 2:
        return found
    filter_ = CSF.CSF()
    filter_.params.bSloopSmooth = how.smooth
    filter_.params.cloth_resolution = how.resolution
    filter_.params.rigidness = how.rigidness
    filter_.params.class_threshold = how.threshold
    filter_.params.interations = how.iterations
    filter_.params.time_step = how.time_step
    ground, rest = CSF.VecInt(), CSF.VecInt()
    with _silent():
        filter_.setPointCloud(np.concatenate([world, _corners(world, how.resolution)]))
        # exportCloth writes cloth_nodes.txt into the working folder, unless it is told not to.
        filter_.do_filtering(ground, rest, False)
    at = np.array(ground, np.int64)
    found[at[at < len(world)]] = True
    return found


def _corners(world: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return two more points that span the lattice of a cloth from whole multiples of *resolution* to others.

    The library begins it at the corner of the points: cloths over parts of a cloud would be nodes of their own each.
    Each has the height of the point that is nearest to it.
    """
    low = np.floor(world[:, :2].min(axis=0) / resolution) * resolution
    high = np.ceil(world[:, :2].max(axis=0) / resolution) * resolution
    made = np.empty((2, 3))
    for row, corner in enumerate((low, high)):
        made[row, :2] = corner
        made[row, 2] = world[np.argmin(((world[:, :2] - corner) ** 2).sum(axis=1)), 2]
    return made


@contextmanager
def _silent() -> Iterator[None]:
    """Send what a library prints by itself nowhere; Python's own streams of this process go there meanwhile too."""
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
