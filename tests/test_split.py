"""Rectangles that a plane of weights is cut into: all of it, once, evenly, and none for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cbtool import split
from cbtool.split import Leaf

Grid = np.ndarray[Any, np.dtype[np.int64]]

GRIDS = st.one_of(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 9)),
    arrays.arrays(
        np.int64,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.just(0), st.integers(0, 10**12)),
        fill=st.just(0),
    ),
)


def cloud(shape: tuple[int, int], seed: int = 1, total: int = 22_500_000) -> Grid:
    """Return counts of points whose density goes from 0.03 to 2 times the usual: hills, a river, and noise."""
    random = np.random.default_rng(seed)
    x, y = np.linspace(0, 1, shape[0])[:, None], np.linspace(0, 1, shape[1])[None, :]
    density = np.full(shape, 0.3)
    for _ in range(12):
        at_x, at_y, width, height = random.random(4) * (1, 1, 0.15, 2) + (0, 0, 0.02, 0)
        density += height * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / width**2)
    density[:, int(0.6 * shape[1]) : int(0.7 * shape[1])] *= 0.03
    density = np.clip(density, 0.03, 2)
    found: Grid = random.poisson(density / density.sum() * total).astype(np.int64)
    return found


def cover(leaves: Sequence[Leaf], shape: tuple[int, int]) -> Grid:
    """Return how many leaves each cell is in."""
    found = np.zeros(shape, np.int64)
    for leaf in leaves:
        x0, y0, x1, y1 = leaf.box
        assert 0 <= x0 < x1 <= shape[0] and 0 <= y0 < y1 <= shape[1]
        found[x0:x1, y0:y1] += 1
    return found


def inside(weights: Grid, leaf: Leaf) -> Grid:
    x0, y0, x1, y1 = leaf.box
    return weights[x0:x1, y0:y1]


def check(leaves: Sequence[Leaf], weights: Grid) -> None:
    """Hold what is promised of the leaves of every k-d cut."""
    assert (cover(leaves, weights.shape) == 1).all()
    for leaf in leaves:
        assert leaf.weight == inside(weights, leaf).sum()
        assert leaf.weight >= leaf.n_chunks >= 1 or not weights.any()
        # Only where a cell has more than a chunk's share, or all that there is.
        assert leaf.n_chunks == 1 or inside(weights, leaf).max() * leaf.n_chunks >= leaf.weight


def loads(leaves: Sequence[Leaf]) -> list[float]:
    return [leaf.weight / leaf.n_chunks for leaf in leaves for _ in range(leaf.n_chunks)]


@given(GRIDS, st.integers(1, 40))
@example(np.full((1, 1), 7, np.int64), 9)
@example(np.zeros((3, 2), np.int64), 4)
def test_leaves_are_the_plane(weights: Grid, n_chunks: int) -> None:
    leaves = split.plane(weights, n_chunks)
    check(leaves, weights)
    assert sum(leaf.n_chunks for leaf in leaves) == max(1, min(n_chunks, weights.sum()))
    assert leaves == split.plane(np.asfortranarray(weights), n_chunks)


@given(GRIDS, st.integers(1, 10**12))
@example(np.full((1, 1), 7, np.int64), 2)
@example(np.zeros((3, 2), np.int64), 4)
def test_at_most(weights: Grid, limit: int) -> None:
    limit = max(limit, -(-int(weights.sum()) // 60))
    leaves = split.at_most(weights, limit)
    check(leaves, weights)
    assert all(-(-leaf.weight // leaf.n_chunks) <= limit for leaf in leaves)


@pytest.mark.parametrize(("shape", "worst"), [((1100, 950), 1.015), ((550, 475), 1.03)])
def test_chunks_of_uneven_density_are_even(shape: tuple[int, int], worst: float) -> None:
    for seed in range(3):
        weights = cloud(shape, seed)
        found = loads(split.plane(weights, 46))
        assert len(found) == 46
        assert max(found) / (sum(found) / 46) <= worst
        tiles = loads(split.grid(weights, 46))
        assert len(tiles) == 49 and max(tiles) / (sum(tiles) / 49) > 2


def test_few_more_chunks_than_the_fewest_hold_a_limit() -> None:
    for seed in range(3):
        weights = cloud((550, 475), seed)
        for n_chunks in (2, 7, 46, 300):
            limit = -(-int(weights.sum()) // n_chunks)
            found = loads(split.at_most(weights, limit))
            assert max(found) <= limit and n_chunks <= len(found) <= n_chunks * 1.1 + 1


def test_chunks_are_not_slivers() -> None:
    sides = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in (one.box for one in split.plane(cloud((1100, 950)), 46))]
    assert max(max(a / b, b / a) for a, b in sides) < 6


def test_the_longer_side_is_cut_as_far_as_it_has_weight() -> None:
    weights = np.zeros((100, 10), np.int64)
    weights[40:44] = 1
    assert [leaf.box for leaf in split.plane(weights, 2)] == [(0, 0, 100, 5), (0, 5, 100, 10)]


def test_the_other_side_is_cut_where_that_is_evener() -> None:
    weights = np.array([[1, 1], [1, 1], [9, 9]], np.int64)
    assert [leaf.weight for leaf in split.plane(weights, 2)] == [11, 11]


def test_a_cell_too_heavy_to_be_cut_has_its_share_of_chunks() -> None:
    weights = np.ones((20, 20), np.int64)
    weights[3, 4] = 3600
    leaves = split.plane(weights, 40)
    heavy = [leaf for leaf in leaves if leaf.n_chunks > 1]
    assert [leaf.box for leaf in heavy] == [(3, 4, 4, 5)]
    assert sum(leaf.n_chunks for leaf in leaves) == 40
    assert max(loads(leaves)) < 1.1 * weights.sum() / 40


def test_one_row_of_cells() -> None:
    weights = np.ones((1, 5000), np.int64)
    assert [leaf.weight for leaf in split.plane(weights, 5000)] == [1] * 5000


@given(GRIDS, st.integers(1, 40))
def test_tiles_of_a_grid(weights: Grid, n_chunks: int) -> None:
    leaves = split.grid(weights, n_chunks)
    covered = cover(leaves, weights.shape)
    assert covered.max() == 1 and not weights[covered == 0].any()
    assert all(leaf.weight == inside(weights, leaf).sum() and leaf.n_chunks == 1 for leaf in leaves)
    assert not weights.any() or all(leaf.weight for leaf in leaves)


def test_tiles_are_near_to_square() -> None:
    weights = np.ones((1000, 100), np.int64)
    assert [leaf.box for leaf in split.grid(weights, 10)] == [(100 * k, 0, 100 * k + 100, 100) for k in range(10)]
    assert len(split.grid(weights, 40)) == 40
    assert len(split.grid(np.ones((2, 2), np.int64), 1000)) == 4
