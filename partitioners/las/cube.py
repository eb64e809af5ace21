"""The cube that an octree of points halves: where its nodes' borders lie, and which node an integer point is in.

COPC readers compute the borders of nodes in floating point, some from the record's centre and halfsize, some from the
least coordinates in the header and its greatest extent. So both describe one cube here, and its side is a little more
than a whole number of units: no border within it meets the integer coordinates of any point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Triple = tuple[float, float, float]

BITS = 21
"""Into how many halves a side is cut for the code of a place: three of them fit 63 bits."""
DEEPEST = 14
"""The depth of the smallest nodes; each of those is still of 2 ** (BITS - DEEPEST) cells a side."""
SHALLOWEST = 8
"""The depth that is allowed even where floats can hardly tell borders from points."""
LEAST_EXCESS_BITS, MOST_EXCESS_BITS = 2, 12
ROUNDINGS = 16
"""How many units in the last place a border is computed wrong at the most, with room to spare."""


@dataclass(frozen=True)
class Cube:
    """A cube that holds all points. Integers are the file's: world = integer * scale + offset, by axis."""

    least: tuple[int, int, int]
    """The integer coordinates of its corner."""
    sides: tuple[Fraction, Fraction, Fraction]
    """Its side, in the units of each axis."""
    deepest: int
    """The greatest depth at which the borders of nodes are surely told from points by floats."""
    corner: Triple
    """The corner in world coordinates."""
    side: float
    """Its side in world coordinates."""
    longest: int
    """The axis along which the points reach farthest."""

    @property
    def halfsize(self) -> float:
        return self.side / 2

    @property
    def centre(self) -> Triple:
        x, y, z = (one + self.halfsize for one in self.corner)
        return x, y, z

    def most(self, most: Triple) -> Triple:
        """Return the greatest world coordinates that a header says for points up to *most*: the cube's on one axis."""
        x, y, z = (self.corner[a] + self.side if a == self.longest else most[a] for a in range(3))
        return x, y, z

    def places(self, coordinates: NDArray[np.int32], axis: int) -> Ints:
        """Return in which of the 2 ** BITS slices along *axis* each point is; of those outside, which is nearest.

        This is decided by one product of floats, which is wrong by less than 2 ** -31 of a slice. No integer within
        lies nearer than 2 ** -28 to the border of a node down to depth `deepest`: a border is an odd multiple of
        2 ** -(excess + depth) units away from an integer, these two together are no more bits than floats tell apart
        where the points are, and that is where 2 ** BITS slices of the side begin.
        """
        factor = float(2**BITS / self.sides[axis])
        found = ((coordinates.astype(np.float64) - self.least[axis]) * factor).astype(np.int64)
        outside = (found >= 2**BITS) | (found < 0)
        if outside.any():
            found = np.clip(found, 0, 2**BITS - 1)
        return found


def cube_of(least: tuple[int, int, int], most: tuple[int, int, int], scale: Triple, offset: Triple) -> Cube:
    """Return the cube of points whose integer coordinates are from *least* to *most*, both inclusive.

    Scales are positive.
    """
    # 0.01 is meant as one hundredth, and differs from it by less than any sum of coordinates is rounded.
    units = [Fraction(repr(float(one))) for one in scale]
    reach = [(m - n) * unit for m, n, unit in zip(most, least, units, strict=True)]
    longest = reach.index(max(reach))
    ratios = [units[longest] / unit for unit in units]
    tells = min(_tells(least[a], most[a], scale[a], offset[a], ratios[a]) for a in range(3))
    halvings = max(_halvings(ratio.numerator) for ratio in ratios)
    excess = max(min(max(tells - DEEPEST, LEAST_EXCESS_BITS), MOST_EXCESS_BITS), halvings)
    along = most[longest] - least[longest] + Fraction(1, 2**excess)
    sides = tuple(along * ratio for ratio in ratios)
    corner = tuple(least[a] * scale[a] + offset[a] for a in range(3))
    end = corner[longest] + float(along * units[longest])
    return Cube(
        least,
        (sides[0], sides[1], sides[2]),
        max(SHALLOWEST, min(DEEPEST, tells - excess)),
        (corner[0], corner[1], corner[2]),
        end - corner[longest],
        longest,
    )


def _halvings(number: int) -> int:
    """Return how often *number* can be halved."""
    return (number & -number).bit_length() - 1


def _tells(least: int, most: int, scale: float, offset: float, ratio: Fraction) -> int:
    """Return how many halvings of a unit floats tell apart where the points are."""
    reach = max(abs(least * scale + offset), abs(most * scale + offset), scale)
    return math.floor(math.log2(scale / ratio.denominator / (ROUNDINGS * math.ulp(reach))))
