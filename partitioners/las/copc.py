"""The hierarchy of COPC files: which node lies where, and what it covers (COPC 1.0, copc.io)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.las.header import COPC_INFO, Header, wrong
from cbtool.source import Range, Source

INFO_BYTES = 160
ENTRY = np.dtype([("key", "<i4", 4), ("offset", "<u8"), ("length", "<i4"), ("count", "<i4")])
PAGE = -1
"""The count of an entry that stands for a page of further entries."""
MOST_PAGE_BYTES = 256 * 1024 * 1024
MOST_DEPTH = 30

Box = tuple[float, float, float, float]
Entries = NDArray[np.void]


@dataclass(frozen=True)
class Info:
    """The cube of the root node, the spacing of its points (world units), and where the hierarchy begins."""

    centre: tuple[float, float, float]
    halfsize: float
    spacing: float
    root: Range


def info_of(header: Header, size: int, where: str) -> Info:
    """Return what the info record of a COPC file says; FormatError if it cannot be."""
    vlr = header.find(COPC_INFO)
    if vlr is None or len(vlr.data) < INFO_BYTES:
        wrong(where, "its COPC record is cut short")
    x, y, z, halfsize, spacing, start, length = struct.unpack_from("<5d2Q", vlr.data)
    if not (all(map(math.isfinite, (x, y, z, halfsize, spacing))) and halfsize > 0):
        wrong(where, "its COPC record describes no cube")
    return Info((x, y, z), halfsize, spacing, _page(start, length, size, where))


def _page(start: int, length: int, size: int, where: str) -> Range:
    if length % ENTRY.itemsize or not 0 < length <= MOST_PAGE_BYTES or start + length > size:
        wrong(where, f"a page of its hierarchy cannot lie in bytes {start} to {start + length} of {size}")
    return start, length


def footprints(entries: Entries, info: Info) -> NDArray[np.float64]:
    """Return the (x0, y0, x1, y1) of each node, in world units; shape (n, 4)."""
    side = 2 * info.halfsize / (2.0 ** entries["key"][:, 0])
    x0 = info.centre[0] - info.halfsize + entries["key"][:, 1] * side
    y0 = info.centre[1] - info.halfsize + entries["key"][:, 2] * side
    return np.column_stack([x0, y0, x0 + side, y0 + side])


def hierarchy(
    source: Source, info: Info, meets: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None
) -> Entries:
    """Return the entries of all nodes that hold points, in the order of their bytes.

    Each page is read once; with *meets*, which takes footprints, only those are that it wants. FormatError if the
    hierarchy contradicts itself or the size of the file.
    """
    found: list[Entries] = []
    todo, seen = [info.root], {info.root}
    while todo:
        pages = source.read_many(todo)
        todo = []
        for data in pages:
            entries = np.frombuffer(data, ENTRY)
            _check(entries, source)
            if meets is not None:
                entries = entries[meets(footprints(entries, info))]
            found.append(entries[entries["count"] > 0])
            for one in entries[entries["count"] == PAGE]:
                page = _page(int(one["offset"]), int(one["length"]), source.size, source.uri)
                if page in seen:
                    wrong(source.uri, "a page of its hierarchy names itself")
                seen.add(page)
                todo.append(page)
    nodes = np.concatenate(found)
    nodes = nodes[np.argsort(nodes["offset"], kind="stable")]
    if len(np.unique(nodes["key"], axis=0)) != len(nodes):
        wrong(source.uri, "its hierarchy has a node twice")
    return nodes


def _check(entries: Entries, source: Source) -> None:
    keys, lengths, counts = entries["key"], entries["length"].astype(np.int64), entries["count"]
    deep = (keys[:, 0] < 0) | (keys[:, 0] > MOST_DEPTH)
    bad = deep | (keys < 0).any(axis=1) | (keys[:, 1:] >> np.clip(keys[:, :1], 0, MOST_DEPTH)).any(axis=1)
    bad |= (counts < PAGE) | (lengths < 0)
    bad |= entries["offset"].astype(np.float64) + lengths > source.size
    if bad.any():
        one = entries[int(np.argmax(bad))]
        wrong(source.uri, f"its hierarchy has a node that cannot be: {one['key'].tolist()}, {one['count']} points")
