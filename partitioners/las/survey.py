"""The pass that makes the index of one source: how many points of which kind lie where, and the bounds of groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import FormatError
from cbtool.index import Index
from cbtool.partitioners.las.grid import Box, Counter, Frame, anchor_of, cells, fineness, most_cells, regrid, union
from cbtool.partitioners.las.groups import Groups, LasFile, decode_groups
from cbtool.partitioners.las.records import GROUND, Records, classification, is_withheld, return_number
from cbtool.source import Range

FORMAT = "las"
LAYERS = ("points", "first", "ground")
"""The grids: all points, first returns, points classified as ground."""
BOUNDS = ("x0", "y0", "z0", "x1", "y1", "z1")
"""Names of the arrays with the bounds of groups: the least and the greatest integers, both included."""
GROUPS = ("start", "length", "count")
COUNTS = ("points", "unnumbered", "withheld", "first", "ground")
"""Facts that add up. ``unnumbered`` are the points whose return has number 0."""
Grids = tuple[Frame, list[NDArray[Any]]]

LEAST_COMPRESSED, LEAST_PLAIN = 1_000_000, 8_000_000
"""A part has at least as many points: a worker takes longer to start than to read fewer."""
PARTS_EACH = 2
DECODE_POINTS, DECODE_BYTES = 250_000, 8 << 20
"""What is decoded at once, if no group is larger."""


def parts(file: LasFile, groups: Groups, workers: int) -> list[Range]:
    """Return the parts of *file* to survey at once: each begins where a group does, the first at 0."""
    n_points, size = int(groups.count.sum()), file.source.size
    least = LEAST_PLAIN if file.laszip is None else LEAST_COMPRESSED
    n = min(n_points // least, workers * PARTS_EACH if workers > 1 else 1, len(groups))
    if n < 2:
        return [(0, size)]
    before = np.cumsum(groups.count) - groups.count
    first = np.searchsorted(before, np.arange(1, n) * n_points // n)
    edges = [0, *np.unique(groups.start[np.minimum(first, len(groups) - 1)]).tolist(), size]
    return [(start, end - start) for start, end in zip(edges, edges[1:], strict=False) if end > start]


def survey(file: LasFile, groups: Groups, part: Range, *, thorough: bool = False) -> Index:
    """Pass over the groups that begin in *part*; FormatError if their points do not decode.

    Of point formats 6 to 10 only the layers that are counted are decoded unless *thorough*, and their GPS time is
    not looked at.
    """
    mine = np.flatnonzero((groups.start >= part[0]) & (groups.start < part[0] + part[1]))
    start, length, count = groups.start[mine], groups.length[mine], groups.count[mine]
    anchor, anchored = _anchors(file)
    counter = Counter(file.header.n_points, anchor, len(LAYERS))
    seen = np.zeros(1 << 13, np.int64)
    bounds = np.zeros((len(BOUNDS), len(mine)), np.int64)
    gps: list[float] = []
    for a, b in _batches(start, length, count):
        records = _decoded(file, start[a:b], length[a:b], count[a:b], thorough)
        x, y, z = (np.ascontiguousarray(records[axis]) for axis in "XYZ")
        bounds[:, a:b] = here = _bounds((x, y, z), count[a:b])
        box = int(here[0].min()), int(here[1].min()), int(here[3].max()), int(here[4].max())
        returns, classes = return_number(records), classification(records)
        counter.add(x, y, box, (None, returns == 1, classes == GROUND))
        seen += np.bincount(_kinds(returns, classes, is_withheld(records)), minlength=len(seen))
        gps += _times(records) if thorough or not _is_layered(file) else ()
    arrays = {"start": start, "length": length, "count": count, **dict(zip(BOUNDS, bounds, strict=True))}
    facts = {"points": int(count.sum()), "of": file.header.n_points, "anchor": list(anchor), "anchored": anchored}
    facts |= {**_tallies(seen), "gps_time": [min(gps), max(gps)] if gps else None}
    return _index(Index(FORMAT, file.source.version, file.source.size, facts, arrays), counter.grids())


def _anchors(file: LasFile) -> tuple[tuple[int, int], bool]:
    x, y = (anchor_of(file.header.scale[axis], file.header.offset[axis]) for axis in (0, 1))
    return ((0, 0), False) if x is None or y is None else ((x, y), True)


def _batches(
    start: NDArray[np.int64], length: NDArray[np.int64], count: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield runs [a, b) of groups that lie one behind the other and are decoded at once."""
    a, n_points, n_bytes = 0, 0, 0
    for i in range(len(start)):
        apart = i > a and start[i] != start[i - 1] + length[i - 1]
        if i > a and (apart or n_points + count[i] > DECODE_POINTS or n_bytes + length[i] > DECODE_BYTES):
            yield a, i
            a, n_points, n_bytes = i, 0, 0
        n_points, n_bytes = n_points + int(count[i]), n_bytes + int(length[i])
    if len(start):
        yield a, len(start)


def _decoded(
    file: LasFile, start: NDArray[np.int64], length: NDArray[np.int64], count: NDArray[np.int64], thorough: bool
) -> Records:
    data = file.source.read(int(start[0]), int(length.sum()))
    selection = None
    if file.laszip is not None and not thorough:
        from cbtool.partitioners.las.codec import PLACES as selection
    return decode_groups(file, data, count.tolist(), length.tolist(), selection)


def _is_layered(file: LasFile) -> bool:
    return file.laszip is not None and file.header.point_format >= 6


def _bounds(axes: Sequence[NDArray[np.int32]], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bounds of groups of *counts* points; shape (6, groups)."""
    at = np.cumsum(counts) - counts
    return np.array([reduce.reduceat(one, at) for reduce in (np.minimum, np.maximum) for one in axes], np.int64)


def _kinds(returns: NDArray[np.uint8], classes: NDArray[np.uint8], withheld: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the number of the return, the class (from bit 4) and whether it is withheld (bit 12) of each point."""
    kinds: NDArray[np.uint16] = classes.astype(np.uint16)
    kinds <<= 4
    kinds |= returns
    kinds |= withheld.astype(np.uint16) << 12
    return kinds


def _times(records: Records) -> list[float]:
    """Return the least and the greatest GPS time, if there are any; those that are no number do not count."""
    if "gps_time" not in (records.dtype.names or ()):
        return []
    time = records["gps_time"]
    ends = float(np.fmin.reduce(time)), float(np.fmax.reduce(time))
    if not all(map(math.isfinite, ends)):
        time = time[np.isfinite(time)]
        return [float(time.min()), float(time.max())] if len(time) else []
    return list(ends)


def _tallies(seen: NDArray[np.int64]) -> dict[str, Any]:
    """Return counts of points by return (from 1 to 15), class and flag from a count of each of `_kinds`."""
    by = seen.reshape(2, 256, 16)
    returns, classes = by.sum(axis=(0, 1)), by.sum(axis=(0, 2))
    return {
        "returns": returns[1:].tolist(),
        "unnumbered": int(returns[0]),
        "classes": {str(number): int(classes[number]) for number in np.flatnonzero(classes)},
        "withheld": int(by[1].sum()),
        "first": int(returns[1]),
        "ground": int(classes[GROUND]),
    }


def _index(index: Index, grids: Grids | None) -> Index:
    """Return *index* with the facts and arrays of its grids, and the bounds of all groups."""
    facts, arrays = dict(index.facts), dict(index.arrays)
    facts |= {"k": None, "corners": None, "largest_cell": 0, "bounds": None}
    frame, layers = grids or (None, [np.zeros(0, np.uint8)] * len(LAYERS))
    if frame is not None:
        facts |= {"k": frame.k, "corners": list(frame.corners), "largest_cell": int(layers[0].max())}
        facts["bounds"] = [int((arrays[one].min, arrays[one].max)[one[1] == "1"]()) for one in BOUNDS]
    for name, layer in zip(LAYERS, layers, strict=True):
        most = int(layer.max(initial=0))
        dtype = np.uint8 if most < 1 << 8 else np.uint32 if most < 1 << 32 else np.int64
        arrays[f"grid_{name}"] = layer.reshape(-1).astype(dtype)
    return Index(index.format, index.version, index.size, facts, arrays)


def merge(parts: Sequence[Index]) -> Index:
    """Join the indexes of all parts, in order: the same index whatever the parts were."""
    first = parts[0]
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in (*GROUPS, *BOUNDS)}
    facts = {**first.facts, **_added([part.facts for part in parts])}
    grids = _overlaid([part for part in parts if part.facts["k"] is not None])
    return _index(Index(FORMAT, first.version, first.size, facts, arrays), grids)


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    classes: dict[str, int] = {}
    for part in parts:
        for name, n in part["classes"].items():
            classes[name] = classes.get(name, 0) + n
    found: dict[str, Any] = {name: sum(part[name] for part in parts) for name in COUNTS}
    found["returns"] = np.sum([part["returns"] for part in parts], axis=0).tolist()
    found["classes"] = {name: classes[name] for name in sorted(classes, key=int)}
    times = [part["gps_time"] for part in parts if part["gps_time"]]
    return found | {"gps_time": [min(a for a, _ in times), max(b for _, b in times)] if times else None}


def _overlaid(parts: Sequence[Index]) -> Grids | None:
    """Return the grids of all parts in the frame of the whole."""
    if not parts:
        return None
    ax, ay = parts[0].facts["anchor"]
    box: Box | None = None
    for part in parts:
        x0, y0, _, x1, y1, _ = part.facts["bounds"]
        box = union(box, (x0 + ax, y0 + ay, x1 + ax, y1 + ay))
    assert box is not None
    k = fineness(box, most_cells(parts[0].facts["of"]))
    frame = Frame(k, cells(box, k))
    layers = [np.zeros(frame.shape, np.int64) for _ in LAYERS]
    for part in parts:
        old = Frame(part.facts["k"], tuple(part.facts["corners"]))
        for layer, name in zip(layers, LAYERS, strict=True):
            layer += regrid(part.arrays[f"grid_{name}"].astype(np.int64).reshape(old.shape), old, frame)
    return frame, layers


def check(index: Index, file: LasFile) -> None:
    """Raise FormatError unless *index*, which anybody can have written, holds what an index of *file* does."""
    facts, arrays, size = index.facts, index.arrays, file.source.size
    try:
        start, length, count = (arrays[name] for name in ("start", "length", "count"))
        right = all(arrays[name].dtype == np.int64 and len(arrays[name]) == len(start) for name in (*GROUPS, *BOUNDS))
        right = right and bool((start >= 0).all() and (length > 0).all() and (start <= size - length).all())
        right = right and bool((count > 0).all()) and int(count.sum()) == file.header.n_points == facts["points"]
        right = right and facts["of"] == facts["points"] and (facts["k"] is None) == (not len(start))
        right = right and (tuple(facts["anchor"]), facts["anchored"]) == _anchors(file)
        if right and len(start):
            right = _fits(index)
    except (KeyError, TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise FormatError(
            f"{file.where}: its index is not one of this cbtool", hint="make it again: cbtool index --force"
        )


def _fits(index: Index) -> bool:
    """Say whether grids and bounds are of one size, and hold all points."""
    facts, arrays = index.facts, index.arrays
    low, high = np.array(facts["bounds"]).reshape(2, 3).astype(np.int64)
    for axis in range(3):
        one, other = arrays[BOUNDS[axis]], arrays[BOUNDS[axis + 3]]
        if (one > other).any() or (one.min(), other.max()) != (low[axis], high[axis]):
            return False
    (ax, ay), k = facts["anchor"], facts["k"]
    box = int(low[0]) + ax, int(low[1]) + ay, int(high[0]) + ax, int(high[1]) + ay
    frame = Frame(fineness(box, most_cells(facts["of"])), cells(box, k))
    layers = [arrays[f"grid_{name}"] for name in LAYERS]
    return (
        (frame.k, frame.corners) == (k, tuple(facts["corners"]))
        and all(len(layer) == frame.shape[0] * frame.shape[1] for layer in layers)
        and int(layers[0].sum(dtype=np.int64)) == facts["points"]
        and int(layers[0].max()) == facts["largest_cell"]
    )
