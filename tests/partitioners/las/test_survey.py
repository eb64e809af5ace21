"""The index of a cloud: true counts and bounds, the same whatever the parts, and refused where it was tampered with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbtool.errors import FormatError
from cbtool.index import Index, dump, load
from cbtool.partitioners.las import survey as module
from cbtool.partitioners.las.grid import Counter, Frame, anchor_of, cells, coarser, fineness, most_cells, regrid
from cbtool.partitioners.las.groups import Groups
from cbtool.partitioners.las.survey import BOUNDS, LAYERS, check, merge, parts, survey
from fixtures.wrong_clouds import WRONG
from tests.partitioners.las.conftest import EVERY, content, decoded, indexed, judged, made, name_of, opened

MANY = ["uneven.las", "uneven.laz", "uneven.copc.laz", "paged.copc.laz", "heavy.laz", "extremes.laz", "nan_times.laz"]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files be of many parts and batches."""
    for name in ("LEAST_COMPRESSED", "LEAST_PLAIN", "DECODE_POINTS"):
        monkeypatch.setattr(module, name, 700)


def grid(index: Index, name: str) -> np.ndarray:
    frame = Frame(index.facts["k"], tuple(index.facts["corners"]))
    return index.arrays[f"grid_{name}"].astype(np.int64).reshape(frame.shape)


@pytest.mark.parametrize("one", EVERY, ids=name_of)
def test_an_index_is_true(one: str | Path) -> None:
    data = content(one)
    file, index = indexed(data, thorough=True)
    check(load(dump(index)), file)
    theirs = judged(data)
    n, facts = len(theirs.points), index.facts
    assert facts["points"] == n == index.arrays["count"].sum()
    classes, number = np.asarray(theirs.classification), np.asarray(theirs.return_number)
    assert facts["classes"] == {str(one): int((classes == one).sum()) for one in np.unique(classes)}
    assert facts["returns"] == [int((number == one).sum()) for one in range(1, 16)]
    assert facts["unnumbered"] == (number == 0).sum()
    assert facts["withheld"] == np.asarray(theirs.withheld, bool).sum()
    if not n:
        assert facts["k"] is facts["bounds"] is facts["gps_time"] is None
        return
    places = [np.asarray(theirs[axis]) for axis in "XYZ"]
    assert facts["bounds"] == [int(one.min()) for one in places] + [int(one.max()) for one in places]
    k, (ax, ay) = facts["k"], facts["anchor"]
    x0, y0, _, _ = facts["corners"]
    column = (places[0].astype(np.int64) + ax >> k) - x0
    row = (places[1].astype(np.int64) + ay >> k) - y0
    for name, which in (("points", number >= 0), ("first", number == 1), ("ground", classes == 2)):
        want = np.zeros(grid(index, name).shape, np.int64)
        np.add.at(want, (row[which], column[which]), 1)
        assert np.array_equal(grid(index, name), want), name
    assert grid(index, "points").size <= most_cells(n) and facts["largest_cell"] == grid(index, "points").max()
    if "gps_time" in theirs.point_format.dimension_names:
        times = np.asarray(theirs.gps_time)
        times = times[np.isfinite(times)]
        assert facts["gps_time"] == ([times.min(), times.max()] if len(times) else None)
    check_bounds(opened(data)[1], index, decoded(*opened(data)))


def check_bounds(groups: Groups, index: Index, records: np.ndarray) -> None:
    at = np.cumsum(groups.count) - groups.count
    for name in BOUNDS:
        reduce = np.minimum if name[1] == "0" else np.maximum
        assert np.array_equal(index.arrays[name], reduce.reduceat(records[name[0].upper()], at))


@pytest.mark.parametrize("name", MANY)
def test_the_same_index_from_any_parts(name: str, small_parts: None) -> None:
    file, groups = opened(made(name))
    whole = dump(merge([survey(file, groups, (0, file.source.size))]))
    seen = set()
    for workers in (1, 2, 3, 9):
        found = parts(file, groups, workers)
        assert found[0][0] == 0 and sum(length for _, length in found) == file.source.size
        assert all(a + n == b for (a, n), (b, _) in zip(found, found[1:], strict=False))
        assert all(start in groups.start for start, _ in found[1:])
        assert dump(merge([load(dump(survey(file, groups, part))) for part in found])) == whole
        seen.add(len(found))
    assert len(seen) > 1 or len(groups) == 1


def test_parts_that_cut_groups_and_hold_none(small_parts: None) -> None:
    file, groups = opened(made("uneven.laz"))
    size = file.source.size
    edges = [0, 5, 600, int(groups.start[3]) + 1, int(groups.start[3]) + 2, size // 2, size - 1, size]
    found = [survey(file, groups, (a, b - a)) for a, b in zip(edges, edges[1:], strict=False)]
    assert dump(merge(found)) == dump(merge([survey(file, groups, (0, size))]))


def test_small_sources_are_one_part() -> None:
    for name in ("uneven.las", "uneven.laz", "none.laz", "one.copc.laz"):
        file, groups = opened(made(name))
        assert parts(file, groups, 16) == [(0, file.source.size)]


def test_grids_of_tiles_add_up() -> None:
    """Tiles of one scale are anchored at world's zero: their cells are the same squares."""
    (_, one), (_, other) = (indexed(made(f"tile_{i}.laz")) for i in range(2))
    assert one.facts["anchor"] != other.facts["anchor"] and one.facts["anchored"] and other.facts["anchored"]
    k = max(one.facts["k"], other.facts["k"])
    world = Frame(k, cells((49_900_000, 409_900_000, 50_100_000, 410_100_000), k))
    total = sum(
        regrid(grid(index, "points"), Frame(index.facts["k"], tuple(index.facts["corners"])), world)
        for index in (one, other)
    )
    whole = np.concatenate([decoded(*opened(made(f"tile_{i}.laz"))) for i in range(2)])
    shift = np.repeat([one.facts["anchor"][0], other.facts["anchor"][0]], [one.facts["points"], other.facts["points"]])
    want = np.zeros(world.shape, np.int64)
    row, column = whole["Y"] + one.facts["anchor"][1] >> k, whole["X"] + shift >> k
    np.add.at(want, (row - world.corners[1], column - world.corners[0]), 1)
    assert np.array_equal(total, want)


def test_an_offset_that_is_no_multiple_of_the_scale_anchors_nothing() -> None:
    _, index = indexed(made("extremes.las"))
    assert index.facts["anchored"] and index.facts["anchor"] == [50, -50]
    assert anchor_of(0.01, 0.005) is None and anchor_of(1e-9, 1e12) is None and anchor_of(0.25, -1e6) == -4_000_000


@pytest.mark.parametrize("name", ["points_of_zeros.laz", "cut_points.las"])
def test_points_that_do_not_decode_are_an_error(name: str) -> None:
    with pytest.raises(FormatError, match="do not decode|bytes for"):
        indexed(WRONG[name]())


def test_layers_that_are_not_counted_are_decoded_when_asked() -> None:
    data = bytearray(made("format6.laz"))
    file, groups = opened(bytes(data))
    end = int(groups.start[0] + groups.length[0])
    data[end - 600 : end] = b"U" * 600  # of the GPS times, the last layer
    file, groups = opened(bytes(data))
    assert survey(file, groups, (0, file.source.size)).facts["points"] == 4_000
    with pytest.raises(FormatError, match="do not decode"):
        survey(file, groups, (0, file.source.size), thorough=True)


def arrays_with(name: str, change: Callable[[Any], Any]) -> Callable[[Index], Index]:
    return lambda index: replace(index, arrays={**index.arrays, name: change(index.arrays[name].copy())})


def facts_with(**changed: Any) -> Callable[[Index], Index]:
    return lambda index: replace(index, facts={**index.facts, **changed})


def first_is(value: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[0] = value
        return array

    return change


TAMPERED: Mapping[str, Callable[[Index], Index]] = {
    "no groups": arrays_with("start", lambda array: array[:0]),
    "fewer counts": arrays_with("count", lambda array: array[1:]),
    "behind the end": arrays_with("start", lambda array: array + 10**9),
    "negative": arrays_with("length", first_is(-1)),
    "overflow": arrays_with("length", first_is(2**63 - 1)),
    "other type": arrays_with("count", lambda array: array.astype(np.uint32)),
    "upside down": arrays_with("x0", first_is(2**40)),
    "cells": arrays_with("grid_points", lambda array: array[:-1]),
    "ground": arrays_with("grid_ground", lambda array: array[:-1]),
    "more points": arrays_with("grid_points", lambda array: array + 1),
    "missing": lambda index: replace(index, arrays={"start": index.arrays["start"]}),
    "no facts": lambda index: replace(index, facts={}),
    "points": facts_with(points=7),
    "of": facts_with(of=1 << 40),
    "k": facts_with(k=3),
    "huge k": facts_with(k=10**6),
    "no k": facts_with(k=None),
    "corners": facts_with(corners=[0, 0, 10**9, 10**9]),
    "words": facts_with(corners="here"),
    "bounds": facts_with(bounds=[0] * 6),
    "few bounds": facts_with(bounds=[0]),
    "anchor": facts_with(anchor=[0, 0]),
    "largest": facts_with(largest_cell=1),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_an_index_that_was_tampered_with_is_refused(how: str) -> None:
    file, index = indexed(made("uneven.laz"))
    check(index, file)
    with pytest.raises(FormatError, match="its index is not one of this cbtool"):
        check(TAMPERED[how](index), file)


def test_an_index_of_another_file_is_refused() -> None:
    file, _ = indexed(made("uneven.laz"))
    for name in ("format6.laz", "tile_0.laz", "none.laz"):
        with pytest.raises(FormatError):
            check(indexed(made(name))[1], file)


# --- grids -----------------------------------------------------------------------------------------------------------

INT32 = st.integers(-(2**31), 2**31 - 1)
PLACES = st.lists(st.lists(st.tuples(INT32, INT32), min_size=1, max_size=20), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(PLACES, st.integers(-(2**59), 2**59), st.integers(0, 31))
def test_any_points_in_any_order_are_counted_once(
    batches: list[list[tuple[int, int]]], anchor: int, shift: int
) -> None:
    batches = [[(x >> shift, y >> shift) for x, y in batch] for batch in batches]
    everything = [place for batch in batches for place in batch]
    counter = Counter(len(everything), (anchor, -anchor), 2)
    for batch in batches:
        x, y = np.array(batch, np.int32).T.copy()
        counter.add(x, y, (int(x.min()), int(y.min()), int(x.max()), int(y.max())), (None, x % 2 == 0))
    found = counter.grids()
    assert found is not None
    frame, (points, even) = found
    assert points.size <= most_cells(len(everything))
    want = np.zeros((2, *frame.shape), np.int64)
    for x, y in everything:
        cell = (y - anchor >> frame.k) - frame.corners[1], (x + anchor >> frame.k) - frame.corners[0]
        want[(0, *cell)] += 1
        want[(1, *cell)] += x % 2 == 0
    assert np.array_equal(points, want[0]) and np.array_equal(even, want[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4))
def test_coarser_cells_hold_what_finer_ones_do(x: int, y: int, width: int, height: int, steps: int) -> None:
    counts = np.arange(1, width * height + 1).reshape(height, width)
    old = Frame(0, (x, y, x + width - 1, y + height - 1))
    new = Frame(steps, cells(old.corners, steps))
    found = regrid(counts, old, new)
    want = np.zeros(new.shape, np.int64)
    for row in range(height):
        for column in range(width):
            want[(y + row >> steps) - new.corners[1], (x + column >> steps) - new.corners[0]] += counts[row, column]
    assert np.array_equal(found, want)
    any_true, _ = coarser(counts > 1, old)
    assert any_true.dtype == bool


def test_how_fine_a_grid_is() -> None:
    assert fineness((0, 0, 0, 0), 1) == 0 and fineness((-1, -1, 0, 0), 4) == 0
    assert fineness((-(2**31), -(2**31), 2**31 - 1, 2**31 - 1), 1 << 22) == 21
    assert most_cells(0) == most_cells(32_768) == 4096 and most_cells(10**9) == 1 << 22
    assert set(LAYERS) == {"points", "first", "ground"}
