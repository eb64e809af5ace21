"""Which point goes to which node: each to one, single points above, and the same nodes however columns are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbtool.partitioners.las import octree as tree
from cbtool.partitioners.las.columns import (
    CELL_DEPTH,
    cells,
    columns_of,
    from_bytes,
    numbers,
    shallowest,
    to_bytes,
)
from cbtool.partitioners.las.cube import BITS, Cube, Ints, cube_of
from fixtures.clouds import terrain

SIDE = 2**BITS


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "GRID_BITS", 2)
    monkeypatch.setattr(tree, "LEAF_POINTS", 60)
    monkeypatch.setattr(tree, "LEAST_POINTS", 5)


def scattered(n: int, seed: int = 1, *, twice: bool = True) -> tuple[Ints, Ints, Ints]:
    """Return places of points, of which half are in one corner, some at one place, and few high up."""
    rng = np.random.default_rng(seed)
    x, y, z = (rng.integers(0, SIDE, n) for _ in range(3))
    z //= 64
    z[::50] *= 60
    for place in (x, y, z):
        place[: n // 2] //= 32
        if twice:
            place[n // 4 : n // 2 : 2] = place[n // 4]
    return x, y, z


def members(nodes: tree.Nodes) -> dict[tuple[int, ...], set[int]]:
    parts = np.split(nodes.order, np.cumsum(nodes.counts)[:-1])
    return {tuple(key): set(part.tolist()) for key, part in zip(nodes.keys.tolist(), parts, strict=True)}


def test_every_point_has_one_node_which_it_lies_in() -> None:
    places = scattered(5000)
    nodes = tree.octree(tree.morton(*places), 0, 8)
    assert sorted(nodes.order.tolist()) == list(range(5000))
    for (depth, *key), inside in members(nodes).items():
        for axis in range(3):
            assert set((places[axis][list(inside)] >> BITS - depth).tolist()) == {key[axis]}


def test_nodes_have_parents_and_come_after_them() -> None:
    nodes = tree.octree(tree.morton(*scattered(5000)), 0, 8)
    keys = [tuple(key) for key in nodes.keys.tolist()]
    for number, (depth, x, y, z) in enumerate(keys):
        assert depth == 0 or keys.index((depth - 1, x >> 1, y >> 1, z >> 1)) < number
    assert len(keys) > 20


def test_nodes_keep_the_points_of_small_children() -> None:
    nodes = tree.octree(tree.morton(*scattered(5000, twice=False)), 0, 8)
    assert nodes.counts.min() >= tree.LEAST_POINTS
    tree.LEAST_POINTS = 0
    assert tree.octree(tree.morton(*scattered(5000, twice=False)), 0, 8).counts.min() < 5


def test_points_above_leaves_are_one_of_each_cell() -> None:
    places = scattered(5000)
    codes = tree.morton(*places)
    tree.LEAST_POINTS = 0
    nodes = tree.octree(codes, 0, 8)
    parents = {(d - 1, x >> 1, y >> 1, z >> 1) for d, x, y, z in nodes.keys.tolist()}
    for key, inside in members(nodes).items():
        cells = codes[list(inside)] >> 3 * (BITS - tree.GRID_BITS - key[0])
        assert key not in parents or len(set(cells.tolist())) == len(inside)


def test_within_a_node_points_stay_in_order() -> None:
    nodes = tree.octree(tree.morton(*scattered(5000)), 0, 8)
    for part in np.split(nodes.order, np.cumsum(nodes.counts)[:-1]):
        assert (np.diff(part) > 0).all()


def test_the_point_that_stays_is_not_always_in_the_same_corner() -> None:
    cells = np.repeat(np.arange(300), 20)
    ranks = np.flatnonzero(tree.one_of_each(cells)) % 20
    assert len(ranks) == 300 and len(set(ranks.tolist())) > 10


def test_more_points_of_one_place_than_a_leaf_keeps_go_down_to_the_deepest_node() -> None:
    codes = tree.morton(*(np.full(500, 77) for _ in range(3)))
    nodes = tree.octree(codes, 0, 3)
    assert nodes.keys[:, 0].tolist() == [0, 1, 2, 3] and nodes.counts.sum() == 500


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.sampled_from([200, 1000, 100_000]))
def test_columns_together_give_shared_nodes_what_one_column_gives(seed: int, most: int) -> None:
    tree.LEAST_POINTS, tree.GRID_BITS = 0, 3
    x, y, z = scattered(3000, seed)
    codes = tree.morton(x, y, z)
    counts = np.zeros((8, 8), np.int64)
    np.add.at(counts, (y >> BITS - 3, x >> BITS - 3), 1)
    columns = columns_of(counts, most)
    bundle = columns.bundle_of[y >> BITS - columns.finest, x >> BITS - columns.finest]
    found: dict[tuple[int, ...], set[int]] = {}
    for number, depth in enumerate(columns.depths):
        mine = np.flatnonzero(bundle == number)
        for key, inside in members(tree.octree(codes[mine], depth, 8)).items():
            assert key[0] < depth or key not in found
            found.setdefault(key, set()).update(mine[list(inside)].tolist())
    assert sum(map(len, found.values())) == 3000
    whole = members(tree.octree(codes, 0, 8))
    for key, inside in found.items():
        assert key[0] >= min(columns.depths) or inside == whole[key]


def cube_and_cells(n: int) -> tuple[Cube, np.ndarray]:
    records = terrain(n, 6)
    ends = [(int(records[a].min()), int(records[a].max())) for a in "XYZ"]
    (x, u), (y, v), (z, w) = ends
    cube = cube_of((x, y, z), (u, v, w), (0.01, 0.01, 0.01), (0.0, 0.0, 0.0))
    return cube, cells(records, cube, CELL_DEPTH)


def test_bundles_hold_no_more_than_they_may() -> None:
    _, cell = cube_and_cells(20_000)
    counts = np.bincount(cell, minlength=4**CELL_DEPTH)
    columns = columns_of(counts[numbers(CELL_DEPTH)], 1500)
    sizes = np.zeros(len(columns), np.int64)
    for first, last, bundle in columns.runs():
        sizes[bundle] += counts[first:last].sum()
    assert sizes.sum() == 20_000 and sizes.max() <= 1500
    assert len(columns) < 2 * 20_000 / 1500 + len(set(columns.depths))
    again = from_bytes(to_bytes(columns))
    assert again.depths == columns.depths and (again.bundle_of == columns.bundle_of).all()


def test_cells_are_those_of_the_octree_from_above() -> None:
    cube, cell = cube_and_cells(1000)
    records = terrain(1000, 6)
    x, y = (cube.places(records[axis], i) >> BITS - CELL_DEPTH for i, axis in enumerate("XY"))
    assert (numbers(CELL_DEPTH)[y, x] == cell).all()
    assert not cells(records, cube, 0).any()


def test_a_small_cloud_is_one_column() -> None:
    columns = columns_of(np.array([[500]]), 1500)
    assert columns.depths == (0,) and columns.runs() == [(0, 1, 0)]
    assert shallowest(columns) is None


def test_narrow_columns_do_not_give_more_than_a_point_of_each_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbtool.partitioners.las.columns.GRID_BITS", 2)
    x, y, z = scattered(6000)
    codes = tree.morton(x, y, z)
    counts = np.zeros((64, 64), np.int64)
    np.add.at(counts, (y >> BITS - 6, x >> BITS - 6), 1)
    columns = columns_of(counts, 100)
    first = shallowest(columns)
    assert max(columns.depths) > 4 and first is not None
    row, place = y >> BITS - columns.finest, x >> BITS - columns.finest
    root = []
    for number, depth in enumerate(columns.depths):
        mine = np.flatnonzero(columns.bundle_of[row, place] == number)
        nodes = tree.octree(codes[mine], depth, 8, first[row, place][mine])
        assert nodes.counts.sum() == len(mine)
        if len(mine):
            root += [n for key, part in members(nodes).items() if key[0] == 0 for n in mine[list(part)].tolist()]
    cells = codes[root] >> 3 * (BITS - tree.GRID_BITS)
    assert len(set(cells.tolist())) == len(root) > 0
