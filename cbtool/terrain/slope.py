"""Slope and aspect after Horn (1981), "Hill shading and the reflectance map", Proceedings of the IEEE 69(1), 14-47.

Only additions, multiplications, divisions and square roots are used, which IEEE 754 fixes to the bit: arctangents of
libraries differ between processors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TERMS = 9


def gradients(heights: Array, resolution: float) -> tuple[Array, Array]:
    """Return the rise to the east and to the north, as height over length, for every cell but the outermost.

    Row 0 of *heights* is in the south. NaN where any of the nine cells is.
    """
    south, middle, north = heights[:-2], heights[1:-1], heights[2:]
    columns = south + 2 * middle + north
    rows = heights[:, :-2] + 2 * heights[:, 1:-1] + heights[:, 2:]
    east = (columns[:, 2:] - columns[:, :-2]) / (8 * resolution)
    north_ = (rows[2:] - rows[:-2]) / (8 * resolution)
    # The centre has no weight, but without it there is no surface to have a slope.
    void = np.isnan(middle[:, 1:-1]) | np.isnan(east) | np.isnan(north_)
    east[void] = north_[void] = np.nan
    return east, north_


def slope(east: Array, north: Array) -> NDArray[np.float32]:
    """Return the steepness in degrees, 0 to 90."""
    return np.degrees(_arctangent(np.sqrt(east * east + north * north))).astype(np.float32)


def aspect(east: Array, north: Array) -> NDArray[np.float32]:
    """Return where the slope faces: degrees clockwise from north, in [0, 360); NaN where it is flat, as GDAL has it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.degrees(_arctangent(np.abs(east) / np.abs(north)))
    turn[(east == 0) & (north == 0)] = np.nan
    # Downhill is against the gradient.
    turn = np.where(north > 0, 180.0 - turn, turn)
    turn = np.where(east > 0, 360.0 - turn, turn).astype(np.float32)
    turn[turn >= 360] = 0
    return turn


def _arctangent(x: Array) -> Array:
    """Return the arctangent of *x*, from 0 on, in radians: the series, after the angle was halved three times.

    arctan(x) = 2 arctan(x / (1 + sqrt(1 + x^2))); what is left is below tan(pi / 16), where the terms that are taken
    leave an error below 1e-15.
    """
    for _ in range(3):
        with np.errstate(invalid="ignore"):
            x = np.where(np.isinf(x), 1.0, x / (1.0 + np.sqrt(1.0 + x * x)))
    square = x * x
    series = np.zeros_like(x)
    for n in range(TERMS, -1, -1):
        series = (1.0 if n % 2 == 0 else -1.0) / (2 * n + 1) + square * series
    return 8.0 * x * series
