"""How even a plan is: in its weights, in the time that workers would take, and against a fixed grid."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapreplace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from cbtool import split

if TYPE_CHECKING:
    from cbtool.density import Raster
    from cbtool.report.plane import Plane

PLACES = 4
"""Decimal places of ratios."""


def spread(weights: Sequence[float]) -> dict[str, float | None]:
    """Return how far *weights* are from even; None where all are zero.

    >>> spread([1, 3])
    {'max_over_mean': 1.5, 'min_over_mean': 0.5, 'cv': 0.5}
    """
    mean = fmean(weights)
    found = {"max_over_mean": max(weights), "min_over_mean": min(weights), "cv": pstdev(weights)}
    return {name: round(value / mean, PLACES) if mean else None for name, value in found.items()}


def makespan(weights: Sequence[float], workers: int) -> float:
    """Return how long *workers* take if time goes by weight and the heaviest are begun first: list scheduling.

    Graham 1969: never more than 4/3 of the least there is.

    >>> makespan([1, 2, 3, 4], 2), makespan([1, 1, 1], 2)
    (5.0, 2.0)
    """
    busy = [0.0] * min(workers, len(weights))
    for weight in sorted(weights, reverse=True):
        heapreplace(busy, busy[0] + weight)
    return max(busy)


def predicted(weights: Sequence[float], workers: int) -> dict[str, Any]:
    """Return the predicted makespan on *workers*.

    ``makespan`` is over the ideal, all workers busy to the end; ``makespan_chunks`` in times that the mean chunk
    takes; ``efficiency`` is the part of the workers' time that is work.

    >>> predicted([1, 1, 1], 2)
    {'workers': 2, 'makespan': 1.3333, 'makespan_chunks': 2.0, 'efficiency': 0.75}
    """
    total = sum(weights)
    found: dict[str, Any] = {"workers": workers, "makespan": None, "makespan_chunks": None, "efficiency": None}
    if total:
        longest = makespan(weights, workers)
        found["makespan"] = round(longest * workers / total, PLACES)
        found["makespan_chunks"] = round(longest * len(weights) / total, PLACES)
        found["efficiency"] = round(total / (longest * workers), PLACES)
    return found


def against_grid(plane: Plane, raster: Raster | None, n_chunks: int, workers: int) -> dict[str, Any]:
    """Return what a fixed grid of about *n_chunks* tiles would come to; empty tiles do not count.

    It is taken from *raster*, or else from the plan alone, as if its chunks were even in themselves: a guess, and
    most often a kind one.
    """
    weights = _of_raster(raster, n_chunks) if raster is not None else _of_plan(plane, n_chunks)
    if not weights:
        return {}
    return {
        "fixed_grid_tiles": len(weights),
        "fixed_grid_max_over_mean": spread(weights)["max_over_mean"],
        "fixed_grid_makespan": predicted(weights, workers)["makespan"],
        "fixed_grid_from": "plan" if raster is None else "index",
    }


def _of_raster(raster: Raster, n_chunks: int) -> list[float]:
    return [float(leaf.weight) for leaf in split.grid(raster.counts, n_chunks) if leaf.weight]


def _of_plan(plane: Plane, n_chunks: int) -> list[float]:
    import numpy as np

    from cbtool.report.plane import shares

    width, height = plane.size
    across = max(1, min(n_chunks, round((n_chunks * width / height) ** 0.5)))
    along = max(1, round(n_chunks / across))
    x0, y0, x1, y1 = plane.bounds
    boxes = np.array([tile.box for tile in plane.tiles], np.float64)
    x = shares(boxes[:, 0], boxes[:, 2], np.linspace(x0, x1, across + 1))
    y = shares(boxes[:, 1], boxes[:, 3], np.linspace(y0, y1, along + 1))
    weights = (x * np.array([[tile.amount] for tile in plane.tiles], np.float64)).T @ y
    # Edges are rounded: what of a neighbour is less than a billionth of the whole is none.
    return [float(weight) for weight in weights.flat if weight > 1e-9 * weights.sum()]
