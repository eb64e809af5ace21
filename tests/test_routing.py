"""Points are put into every rectangle that they are in or near, and into no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cbtool import routing, split
from cbtool.errors import FormatError
from cbtool.routing import Sorter, guillotine, route
from cbtool.split import Box

WEIGHTS = arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


@st.composite
def boxes(draw: st.DrawFn) -> list[Box]:
    """Return the boxes of a plane or a grid, in any order, somewhere on the plane."""
    cut = draw(st.sampled_from([split.plane, split.grid]))
    leaves = cut(draw(WEIGHTS), draw(st.integers(1, 30)))
    dx, dy, size = draw(st.integers(-20, 20)), draw(st.integers(-20, 20)), draw(st.integers(1, 3))
    found = [(x0 * size + dx, y0 * size + dy, x1 * size + dx, y1 * size + dy) for x0, y0, x1, y1 in _boxes(leaves)]
    return draw(st.permutations(found))


def _boxes(leaves: list[split.Leaf]) -> list[Box]:
    return [leaf.box for leaf in leaves]


def near(box: Box, x: Any, y: Any, reach_x: int, reach_y: int) -> list[int]:
    x0, y0, x1, y1 = box
    in_x = (x >= x0 - reach_x) & (x < x1 + reach_x)
    found: list[int] = np.flatnonzero(in_x & (y >= y0 - reach_y) & (y < y1 + reach_y)).tolist()
    return found


@given(boxes(), st.lists(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), max_size=60), st.integers(0, 8))
def test_every_point_is_where_a_look_at_all_boxes_puts_it(
    some: list[Box], points: list[tuple[int, int]], reach: int
) -> None:
    x, y = np.array(points, np.int32).reshape(-1, 2).T
    tree = guillotine(some)
    assert [one.tolist() for one in route(tree, x, y, reach)] == [near(box, x, y, reach, reach) for box in some]
    uneven = route(tree, x, y, (reach, 1))
    assert [one.tolist() for one in uneven] == [near(box, x, y, reach, 1) for box in some]


@given(WEIGHTS, st.integers(1, 30))
def test_each_point_of_a_plane_is_in_one_leaf(weights: Any, n_chunks: int) -> None:
    x, y = (axis.ravel().astype(np.int32) for axis in np.indices(weights.shape))
    found = route(guillotine(_boxes(split.plane(weights, n_chunks))), x, y)
    assert sorted(np.concatenate(found).tolist()) == list(range(weights.size))


def test_points_outside_are_in_no_leaf_unless_in_reach() -> None:
    tree = guillotine([(0, 0, 10, 10)])
    x, y = np.array([-1, 0, 9, 10, 12], np.int32), np.array([5, 0, 9, 5, 5], np.int32)
    assert route(tree, x, y)[0].tolist() == [1, 2]
    assert route(tree, x, y, 1)[0].tolist() == [0, 1, 2, 3]


def test_reach_beyond_what_coordinates_can_be() -> None:
    tree = guillotine([(-(2**31), 0, 0, 1), (0, 0, 2**31, 1)])
    x, y = np.array([-(2**31), -1, 0, 2**31 - 1], np.int32), np.zeros(4, np.int32)
    assert [one.tolist() for one in route(tree, x, y)] == [[0, 1], [2, 3]]
    assert [one.tolist() for one in route(tree, x, y, 2**33)] == [[0, 1, 2, 3]] * 2


def test_thousands_of_slices_of_slices() -> None:
    some = [(k, 0, k + 1, 1) for k in range(3000)]
    found = route(guillotine(some[::-1]), np.arange(3000, dtype=np.int32), np.zeros(3000, np.int32))
    assert [one.tolist() for one in found] == [[k] for k in range(2999, -1, -1)]
    stairs = [(k, k, k + 1, 2000) if odd else (k + 1, k, 2000, k + 1) for k in range(1500) for odd in (0, 1)]
    corner = route(guillotine(stairs), np.array([1999], np.int32), np.array([1499], np.int32))
    assert [number for number, one in enumerate(corner) if len(one)] == [2998]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [(0, 0, 0, 1)],
        [(0, 0, 2, 2), (1, 1, 3, 3)],
        [(0, 0, 2, 2), (0, 0, 2, 2)],
        # a pinwheel: nothing overlaps, but no straight cut goes through
        [(0, 0, 2, 1), (2, 0, 3, 2), (1, 2, 3, 3), (0, 1, 1, 3), (1, 1, 2, 2)],
    ],
)
def test_boxes_that_no_cuts_made_are_refused(wrong: list[Box]) -> None:
    with pytest.raises(FormatError, match="box"):
        guillotine(wrong)


@given(
    boxes(),
    st.lists(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), max_size=60),
    st.integers(0, 8),
    st.integers(4, 2_000),
    st.sampled_from([(0, 0), (2**31 - 61, -(2**31) + 30), (-(2**31) + 30, 2**31 - 61)]),
)
def test_sorting_by_a_table_puts_points_where_routing_does(
    some: list[Box], points: list[tuple[int, int]], reach: int, most_cells: int, move: tuple[int, int]
) -> None:
    dx, dy = move
    some = [(x0 + dx, y0 + dy, x1 + dx, y1 + dy) for x0, y0, x1, y1 in some]
    x, y = (np.array(points, np.int64).reshape(-1, 2) + move).astype(np.int32).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routing, "MOST_CELLS", most_cells)
        order, counts, beside = Sorter(some, (reach, 1))(x, y)
    parts = np.split(order, np.cumsum(counts)[:-1])
    assert [one.tolist() for one in parts] == [one.tolist() for one in route(guillotine(some), x, y, (reach, 1))]
    own = [np.isin(one, near(box, x, y, 0, 0)) for one, box in zip(parts, some, strict=True)]
    assert np.array_equal(beside, ~np.concatenate(own))


def test_sorting_wraps_around_nowhere() -> None:
    ends = [-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1]
    x, y = (axis.ravel().astype(np.int32) for axis in np.meshgrid(ends, ends))
    for some in (
        [(-(2**31), -(2**31), 0, 2**32), (0, -(2**31), 2**33, 2**32)],
        [(1, 1, 2**31 - 1, 2**31)],
        [(0, 0, 1, 1)],
    ):
        for reach in (0, 1, 2**20):
            order, counts, _ = Sorter(some, reach)(x, y)
            found = [one.tolist() for one in np.split(order, np.cumsum(counts)[:-1])]
            assert found == [near(box, x.astype(np.int64), y.astype(np.int64), reach, reach) for box in some]
