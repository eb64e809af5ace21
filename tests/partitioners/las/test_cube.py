"""The cube of an octree: floats as readers compute them put every point into the node that integers do."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cbtool.partitioners.las.cube import BITS, Cube, cube_of

SCALES = st.sampled_from([0.01, 0.001, 0.0001, 0.25, 0.1, 0.005, 1.0, 0.02])
COORDINATES = st.integers(-(2**31), 2**31 - 1)
Corner = tuple[int, int, int]


@st.composite
def clouds(draw: st.DrawFn) -> tuple[Cube, np.ndarray, tuple[float, ...], tuple[float, ...]]:
    one = draw(SCALES)
    scale = (one, one, draw(st.one_of(st.just(one), SCALES)))
    offset = tuple(draw(st.sampled_from([0.0, 500000.0, -4100000.5, 0.1])) for _ in range(3))
    reach = draw(st.sampled_from([1, 2, 1000, 100_000, 2**20, 2**31]))
    near = st.integers(-reach, reach - 1)
    middle = [draw(st.integers(-(2**31) + reach, 2**31 - reach)) for _ in range(3)]
    points = draw(st.lists(st.tuples(near, near, near), min_size=1, max_size=20))
    array = np.array(points, np.int64) + middle
    least, most = ((int(x), int(y), int(z)) for x, y, z in (array.min(axis=0), array.max(axis=0)))
    # Borders of nodes are where floats can go wrong: put points on both sides of each.
    cube = cube_of(least, most, scale, (offset[0], offset[1], offset[2]))
    extra = []
    for depth in (1, 2, 5, cube.deepest):
        k = draw(st.integers(1, 2**depth - 1))
        border = [least[a] + cube.sides[a] * k / 2**depth for a in range(3)]
        extra += [[min(floor(b) + more, most[a]) for a, b in enumerate(border)] for more in (0, 1)]
    return cube, np.concatenate([array, np.array(extra, np.int64)]), scale, offset


@given(clouds())
def test_every_point_is_in_the_node_that_exact_numbers_say(
    case: tuple[Cube, np.ndarray, tuple[float, ...], tuple[float, ...]],
) -> None:
    cube, points, _, _ = case
    for axis in range(3):
        found = cube.places(points[:, axis].astype(np.int32), axis)
        for depth in (1, 4, cube.deepest):
            exact = [floor(Fraction(int(x) - cube.least[axis]) / cube.sides[axis] * 2**depth) for x in points[:, axis]]
            assert (found >> BITS - depth).tolist() == exact


@given(clouds())
def test_readers_find_every_point_within_its_node(
    case: tuple[Cube, np.ndarray, tuple[float, ...], tuple[float, ...]],
) -> None:
    cube, points, scale, offset = case
    world = points * np.array(scale) + np.array(offset)
    most = cube.most((world[:, 0].max(), world[:, 1].max(), world[:, 2].max()))
    span = max(b - a for a, b in zip(cube.corner, most, strict=True))
    for axis in range(3):
        places = cube.places(points[:, axis].astype(np.int32), axis)
        for depth in range(cube.deepest + 1):
            node = places >> BITS - depth
            # As copclib has it: from the header's least coordinates and its greatest extent.
            low = span / 2**depth * node + cube.corner[axis]
            assert (world[:, axis] >= low).all() and (world[:, axis] <= low + span / 2**depth).all()
            # As laspy has it: from centre and halfsize.
            least, greatest = cube.centre[axis] - cube.halfsize, cube.centre[axis] + cube.halfsize
            side = (greatest - least) / 2**depth
            inner_low, inner_high = node > 0, node < 2**depth - 1
            assert (world[:, axis] >= least + node * side)[inner_low].all()
            assert (world[:, axis] <= least + (node + 1) * side)[inner_high].all()


def test_the_cube_reaches_less_than_a_unit_beyond_the_last_point() -> None:
    cube = cube_of((0, 0, 0), (1000, 500, 20), (0.01, 0.01, 0.01), (500000.0, 4100000.0, 0.0))
    assert cube.corner == (500000.0, 4100000.0, 0.0)
    x, y, z = cube.most((500010.0, 4100005.0, 0.2))
    assert 500010.0 < x < 500010.0 + 0.0025
    assert (y, z) == (4100005.0, 0.2)
    assert cube.deepest == 14


def test_points_that_are_all_one_have_a_cube() -> None:
    cube = cube_of((7, 8, 9), (7, 8, 9), (0.01, 0.01, 0.01), (0.0, 0.0, 0.0))
    assert cube.side > 0
    assert cube.places(np.array([7], np.int32), 0).tolist() == [0]
