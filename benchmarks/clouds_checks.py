"""Looks at clouds by laspy alone, whoever wrote them: ``python -m benchmarks.clouds_checks WHAT FILE...`` prints JSON.

It is a process of its own, so that the one that measures others stays small.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import laspy
import numpy as np
import numpy.typing as npt

BATCH = 1_000_000
ODD = np.uint64(0x9E3779B97F4A7C15)
OTHER = np.uint64(0xBF58476D1CE4E5B9)


def total(records: npt.NDArray[np.uint8]) -> int:
    """Return the sum mod 2^64 of a hash of each row: it tells sets that differ, also where a row is there twice."""
    padded = np.zeros((len(records), -(-records.shape[1] // 8) * 8), np.uint8)
    padded[:, : records.shape[1]] = records
    mixed = np.full(len(records), ODD)
    for word in padded.view(np.uint64).T:
        mixed = (mixed ^ word) * OTHER
        mixed ^= mixed >> np.uint64(29)
        mixed *= ODD
        mixed ^= mixed >> np.uint64(32)
    return int(mixed.sum())


def batches(path: str) -> Iterator[npt.NDArray[Any]]:
    with laspy.open(path) as reader:
        for points in reader.chunk_iterator(BATCH):
            yield points.array


def summary(paths: Sequence[str]) -> dict[str, Any]:
    """Return how many points the files hold, what their records add up to, and how many each has.

    Points that are marked as overlap (the extra byte `cbtool_overlap`) are counted apart. The sum is of all that a
    point has but extra bytes.
    """
    counts, carried, added = [], 0, 0
    for path in paths:
        count = 0
        for points in batches(path):
            n_bytes = points.dtype.itemsize
            names = points.dtype.names or ()
            if "cbtool_overlap" in names:
                assert points.dtype.fields
                # Extra bytes come last, and this is the first of them.
                n_bytes = points.dtype.fields["cbtool_overlap"][1]
                carried += int((points["cbtool_overlap"] != 0).sum())
                points = points[points["cbtool_overlap"] == 0]
            records = np.ascontiguousarray(points).view(np.uint8).reshape(len(points), -1)
            added = (added + total(records[:, :n_bytes])) % 2**64
            count += len(points)
        counts.append(count)
    return {"points": sum(counts), "sum": added, "counts": counts, "overlap": carried}


def header(paths: Sequence[str]) -> dict[str, Any]:
    """Return where the points of a file are, by its header."""
    with laspy.open(paths[0]) as reader:
        found = reader.header
        return {"points": found.point_count, "mins": found.mins.tolist(), "maxs": found.maxs.tolist()}


def nodes(paths: Sequence[str]) -> dict[str, Any]:
    """Return what the hierarchy of a COPC file says, as laspy reads it: pages that it leaves for later are read too."""
    with laspy.CopcReader.open(paths[0]) as reader:
        page, missing = reader.root_page, True
        while missing:
            missing = False
            for entry in [one for one in page.entries.values() if one.point_count == -1]:
                reader.source.seek(entry.offset)
                page.entries |= laspy.copc.HierarchyPage.from_bytes(reader.source.read(entry.byte_size)).entries
                missing = True
        counts = [entry.point_count for entry in page.entries.values()]
        return {"nodes": len(counts), "points": sum(counts), "depth": max(key.level for key in page.entries)}


if __name__ == "__main__":
    what = {"summary": summary, "header": header, "nodes": nodes}[sys.argv[1]]
    print(json.dumps(what(sys.argv[2:])))
