"""The bytes of a COPC file around its nodes: header and records, chunk table, hierarchy (COPC 1.0, copc.io)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.las.copc import ENTRY, PAGE, Entries
from cbtool.partitioners.las.cube import BITS, Cube, Ints
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.header import (
    COMPRESSED,
    COPC_INFO,
    EVLR_BYTES,
    LASZIP,
    PROJECTION,
    SIZES,
    WKT,
    WKT_BIT,
    Header,
    Vlr,
    pack_vlr,
)
from cbtool.partitioners.las.octree import GRID_BITS, morton
from cbtool.partitioners.las.writing import Counts

PAGE_ENTRIES = 4096
"""How many entries a page of the hierarchy has at the most, if the tree can be cut so."""
INLINE_ENTRIES = 32
"""So few are not worth a page of their own."""
KEPT_ENCODING = 0x09
"""Of the global encoding: the meaning of GPS times, and whether return numbers are made up; no waveforms."""
WAVEFORM_DESCRIPTORS = range(100, 355)
"""Numbers of the records (``LASF_Spec``) that describe waveforms."""


@dataclass(frozen=True)
class Around:
    """What is known of the points of a COPC file when all nodes are there."""

    frame: Frame
    cube: Cube
    counts: Counts
    gps_time: tuple[float, float]
    wkt: bytes | None
    """The CRS, for a record of its own; None where the source's records are all there is."""


def head(source: Header, around: Around, n_body: int, n_table: int, evlrs: Sequence[Vlr], root: int) -> bytes:
    """Return all that lies before the first node, of a file whose nodes are *n_body* bytes, then their table.

    *evlrs* begins with the hierarchy, whose *root* page is of so many bytes. Date, names and ids are the *source*'s.
    """
    vlrs = vlrs_of(source, around)
    # The first record is filled in once it is known where the others end.
    before = SIZES[4] + sum(len(pack_vlr(vlr)) for vlr in vlrs)
    table_at = before + 8 + n_body
    evlrs_at = table_at + n_table
    info = _info(around, (evlrs_at + EVLR_BYTES, root))
    packed = pack_vlr(Vlr(*COPC_INFO, _named("COPC info"), info, 0)) + b"".join(pack_vlr(vlr) for vlr in vlrs[1:])
    return _header(source, around, before, len(vlrs), (evlrs_at, len(evlrs))) + packed + struct.pack("<q", table_at)


def nodes_at(source: Header, around: Around) -> int:
    """Return where the first node begins."""
    return SIZES[4] + sum(len(pack_vlr(vlr)) for vlr in vlrs_of(source, around)) + 8


def vlrs_of(source: Header, around: Around) -> list[Vlr]:
    """Return the records before the points; the first, which describes the octree, still empty."""
    from cbtool.partitioners.las.codec import new_laszip

    frame = around.frame
    laszip = new_laszip(frame.point_format, frame.n_extra, is_variable=True)
    made = [Vlr(*COPC_INFO, _named("COPC info"), bytes(160), 0), Vlr(*LASZIP, _named("cbtool"), laszip, 0)]
    kept = [vlr for vlr in source.vlrs if vlr.key != LASZIP and vlr.user_id != "copc" and not is_of_waveforms(vlr)]
    if around.wkt is not None:
        made.append(Vlr(PROJECTION, WKT, _named("WKT"), around.wkt, 0))
        kept = [vlr for vlr in kept if vlr.key != (PROJECTION, WKT)]
    return made + kept


def is_of_waveforms(vlr: Vlr) -> bool:
    return vlr.user_id == "LASF_Spec" and vlr.record_id in WAVEFORM_DESCRIPTORS


def _named(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


def _info(around: Around, root: tuple[int, int]) -> bytes:
    cube = around.cube
    spacing = cube.side / 2**GRID_BITS
    return struct.pack("<5d2Q2d88x", *cube.centre, cube.halfsize, spacing, *root, *around.gps_time)


def _header(source: Header, around: Around, points_at: int, n_vlrs: int, evlrs: tuple[int, int]) -> bytes:
    frame, counts, cube = around.frame, around.counts, around.cube
    raw = bytearray(SIZES[4])
    raw[:96] = source.raw[:96]
    raw[24:26] = 1, 4
    encoding = source.global_encoding & KEPT_ENCODING | WKT_BIT
    struct.pack_into("<H", raw, 6, encoding)
    form = frame.point_format | COMPRESSED
    struct.pack_into("<HIIBH", raw, 94, SIZES[4], points_at, n_vlrs, form, frame.record_bytes)
    struct.pack_into("<3d3d", raw, 131, *frame.scale, *frame.offset)
    least = cube.corner
    x, y, z = (counts.most[i] * frame.scale[i] + frame.offset[i] for i in range(3))
    most = cube.most((x, y, z))
    struct.pack_into("<6d", raw, 179, *(end for i in range(3) for end in (most[i], least[i])))
    struct.pack_into("<QI", raw, 235, *evlrs)
    struct.pack_into("<16Q", raw, 247, counts.points, *counts.by_return[1:16])
    return bytes(raw)


def hierarchy(nodes: Entries, at: int) -> tuple[bytes, int]:
    """Return the pages of the hierarchy, which lie from byte *at* of the file on, and the size of the first.

    Nodes whose parents have no points get them as entries of none.
    """
    entries, codes = _walk(_with_ancestors(nodes))
    # In a walk that meets parents before children, what is below a node follows it.
    width = np.uint64(1) << (3 * (BITS - entries["key"][:, 0])).astype(np.uint64)
    ends = np.searchsorted(codes, codes + width)
    pages = _pages(entries, ends)
    sizes = [len(rows) * ENTRY.itemsize for rows, _ in pages]
    starts = dict(zip((rows[0] for rows, _ in pages), at + np.cumsum([0, *sizes[:-1]]), strict=True))
    lengths = dict(zip((rows[0] for rows, _ in pages), sizes, strict=True))
    found = []
    for rows, below in pages:
        page = entries[rows]
        for place in below:
            page[place] = (page[place]["key"], starts[rows[place]], lengths[rows[place]], PAGE)
        found.append(page.tobytes())
    return b"".join(found), sizes[0]


def _with_ancestors(nodes: Entries) -> Entries:
    keys = [nodes["key"]]
    while (above := keys[-1][keys[-1][:, 0] > 0]).size:
        keys.append(np.unique(np.column_stack([above[:, 0] - 1, above[:, 1:] >> 1]), axis=0))
    there = {tuple(key) for key in nodes["key"].tolist()}
    missing = {tuple(key) for part in keys[1:] for key in part.tolist()} - there
    made = np.zeros(len(missing), ENTRY)
    made["key"] = np.array(sorted(missing), np.int32).reshape(-1, 4)
    return np.concatenate([nodes, made])


def _walk(entries: Entries) -> tuple[Entries, NDArray[np.uint64]]:
    """Return *entries* in a walk that meets parents before children, and where each begins on the Morton curve."""
    depths, x, y, z = entries["key"].astype(np.int64).T
    codes = morton(*(place << BITS - depths for place in (x, y, z)))
    order = np.lexsort((depths, codes))
    return entries[order], codes[order].astype(np.uint64)


def _pages(entries: Entries, ends: Ints) -> list[tuple[list[int], list[int]]]:
    """Return for each page the rows of its entries, its root first, and which of them stand for pages of their own."""
    depths = entries["key"][:, 0]
    todo, found = [0], []
    while todo:
        root = todo.pop(0)
        rows, below = _page(root, ends, depths)
        found.append((rows, below))
        todo += [rows[place] for place in below]
    return found


def _page(root: int, ends: Ints, depths: NDArray[np.int32]) -> tuple[list[int], list[int]]:
    mine = np.arange(root, ends[root])
    if len(mine) <= PAGE_ENTRIES:
        return mine.tolist(), []
    of = depths[mine]
    cut, best = int(of[0]) + 1, None
    while best is None or len(best[0]) <= PAGE_ENTRIES:
        inside = of < cut
        at_cut = mine[of == cut]
        if not len(at_cut):
            break
        small = at_cut[ends[at_cut] - at_cut <= INLINE_ENTRIES]
        for row in small.tolist():
            inside[row - root : ends[row] - root] = True
        large = set(at_cut.tolist()) - set(small.tolist())
        rows = sorted([*mine[inside].tolist(), *large])
        if best is not None and len(rows) > PAGE_ENTRIES:
            break
        best = rows, [place for place, row in enumerate(rows) if row in large]
        cut += 1
    assert best is not None
    return best
