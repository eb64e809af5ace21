"""Joins the nodes of all bundles to one COPC file; nodes that bundles share are encoded here, all others are copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.partitioners.las.codec import chunk_table
from cbtool.partitioners.las.copc import ENTRY
from cbtool.partitioners.las.copc_file import Around, head, hierarchy, nodes_at, vlrs_of
from cbtool.partitioners.las.copc_layout import Layout
from cbtool.partitioners.las.copc_parts import NODE, Bundle, Encoder, in_time, read_bundle
from cbtool.partitioners.las.groups import file_of
from cbtool.partitioners.las.header import (
    COPC_HIERARCHY,
    EVLR_BYTES,
    LASZIP,
    PROJECTION,
    WKT,
    Header,
    Vlr,
    pack_vlr,
    parse_evlrs,
)
from cbtool.partitioners.las.writing import MOST_VLR_BYTES, WAVEFORMS, Counts
from cbtool.source import Source

SPOOL_BYTES = 32 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Base:
    """The file that header, records and extended records are taken from."""

    header: Header
    evlrs: Sequence[Vlr]
    wkt: bytes | None


def joined(base: Base, layout: Layout, objects: Sequence[Source]) -> Iterator[bytes]:
    """Yield the file of the nodes in *objects*, the bundles in their order."""
    bundles = [read_bundle(source) for source in objects]
    with closing(SpooledTemporaryFile(SPOOL_BYTES)) as spool:
        shared = _shared(bundles, layout, spool)
        own = [bundle.table[bundle.table["is_shared"] == 0] for bundle in bundles]
        nodes = np.concatenate([shared, *own])
        around = _around(base, layout, [bundle.said for bundle in bundles])
        entries = np.zeros(len(nodes), ENTRY)
        for name in ("key", "length", "count"):
            entries[name] = nodes[name]
        entries["offset"] = nodes_at(base.header, around) + np.cumsum(nodes["length"]) - nodes["length"]
        laszip = next(vlr.data for vlr in vlrs_of(base.header, around) if vlr.key == LASZIP)
        table = chunk_table(list(zip(nodes["count"].tolist(), nodes["length"].tolist(), strict=True)), laszip)
        n_body = int(nodes["length"].sum())
        evlrs_at = nodes_at(base.header, around) + n_body + len(table)
        pages, root = hierarchy(entries, evlrs_at + EVLR_BYTES)
        evlrs = [Vlr(*COPC_HIERARCHY, b"EPT hierarchy".ljust(32, b"\0"), pages, 0, True), *base.evlrs]
        yield head(base.header, around, n_body, len(table), evlrs, root)
        spool.seek(0)
        while block := spool.read(BLOCK_BYTES):
            yield block
    for bundle in bundles:
        yield from _own(bundle)
    yield table + b"".join(pack_vlr(vlr) for vlr in evlrs)


def _shared(bundles: Sequence[Bundle], layout: Layout, out: IO[bytes]) -> Any:
    """Encode to *out* the nodes that bundles share, the shallowest first; return their table."""
    of: dict[tuple[int, ...], list[tuple[Bundle, int]]] = {}
    for bundle in bundles:
        for row in np.flatnonzero(bundle.table["is_shared"]).tolist():
            of.setdefault(tuple(bundle.table["key"][row].tolist()), []).append((bundle, row))
    table, encode = np.zeros(len(of), NODE), Encoder(layout.frame)
    for number, (key, parts) in enumerate(sorted(of.items())):
        data = [bundle.source.read(int(bundle.at[at]), int(bundle.table["length"][at])) for bundle, at in parts]
        records = in_time(np.frombuffer(b"".join(data), layout.frame.dtype))
        encoded = encode(records)
        out.write(encoded)
        table[number] = (key, len(encoded), len(records), 0)
    return table


def _own(bundle: Bundle) -> Iterator[bytes]:
    """Yield the encoded nodes of *bundle* as they are."""
    own = np.flatnonzero(bundle.table["is_shared"] == 0)
    # Nodes follow each other but for those that are shared, which are few.
    breaks = np.flatnonzero(np.diff(own) != 1) + 1
    for run in np.split(own, breaks) if len(own) else []:
        start, end = int(bundle.at[run[0]]), int(bundle.at[run[-1]] + bundle.table["length"][run[-1]])
        yield from bundle.source.stream(start, end - start)


def _around(base: Base, layout: Layout, said: Sequence[Any]) -> Around:
    counts = Counts(
        sum(one["points"] for one in said),
        [sum(column) for column in zip(*(one["by_return"] for one in said), strict=True)],
        [min(column) for column in zip(*(one["least"] for one in said), strict=True)],
        [max(column) for column in zip(*(one["most"] for one in said), strict=True)],
    )
    times = [one["gps_time"] for one in said if one["gps_time"]]
    ends = (min(a for a, _ in times), max(b for _, b in times)) if times else (0.0, 0.0)
    return Around(layout.frame, layout.cube, counts, ends, base.wkt)


def base_of(chunk: Chunk, source: Source) -> Base:
    """Read what a task to join nodes takes from the file that its first source is."""
    try:
        points_at, wkt = int(chunk.recipe["points_at"]), chunk.recipe["wkt"]
        ranges = [(int(at), int(length)) for at, length in chunk.recipe["evlrs"]]
        made = wkt.encode() if wkt is not None else None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FormatError(f"chunk {chunk.chunk}: not a recipe of a COPC file", hint="begin anew: --force") from None
    header = file_of(source, source.read(0, points_at)).header
    evlrs = [parse_evlrs(source.read(*one), one[0], 1, source.uri)[0] for one in ranges]
    evlrs = [one for one in evlrs if one.key != WAVEFORMS]
    if made is None and header.find((PROJECTION, WKT)) is None:
        # Readers look for the CRS before the points.
        moved = next((one for one in evlrs if one.key == (PROJECTION, WKT) and len(one.data) <= MOST_VLR_BYTES), None)
        if moved is not None:
            evlrs.remove(moved)
            made = moved.data
    return Base(header, evlrs, made)
