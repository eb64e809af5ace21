"""What `cbtool info` says of a cloud: from its header, a few small reads, and its index if there is one."""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from cbtool.index import Index
from cbtool.partitioners.las import copc
from cbtool.partitioners.las.extra_bytes import Extra, fields_of
from cbtool.partitioners.las.groups import LasFile
from cbtool.partitioners.las.header import Header

POINTS_EACH = 8
"""The area is that of cells that hold so many points on average: smaller ones would leave out what lies between."""


def facts(file: LasFile, index: Index | None) -> dict[str, Any]:
    """Return the facts, in the order to show them. The extent is in world units: (x, y, z) least, then greatest.

    FormatError if *index* is not one of *file*, or a COPC hierarchy contradicts itself.
    """
    from cbtool.partitioners.las.findings import findings
    from cbtool.partitioners.las.reference import crs_of_file

    header, crs = file.header, crs_of_file(file)
    found: dict[str, Any] = {
        "point_format": header.point_format,
        "las_version": f"1.{header.minor}",
        "compression": _compression(file),
        "points": header.n_points,
        "returns": _trimmed(index.facts["returns"] if index else header.by_return),
    }
    if index is not None:
        found |= _learnt(file, index)
    found |= {
        "extent": _extent(header, index),
        "scale": list(header.scale),
        "offset": list(header.offset),
        "crs": crs.name if crs else None,
        "crs_code": crs.code if crs else None,
        "unit": crs.unit if crs else None,
        "vertical_metres": float(crs.vertical_metres) if crs and crs.vertical_metres else None,
        "record_bytes": header.record_bytes,
        "extra_bytes": [_described(field) for field in fields_of(header)],
        "vlrs": [f"{vlr.user_id} {vlr.record_id} ({len(vlr.data)} bytes)" for vlr in header.vlrs],
        "evlrs": header.n_evlrs,
        "system": _text(header.raw[26:58]),
        "software": _text(header.raw[58:90]),
        "created": created(header),
    }
    return found | _copc(file) | {"warnings": list(findings(file, index, crs))}


def _compression(file: LasFile) -> str:
    if file.laszip is None:
        return "none"
    (each,) = struct.unpack_from("<I", file.laszip, 12)
    if file.header.is_copc:
        return "COPC"
    return "LAZ, chunks of different sizes" if each == 0xFFFFFFFF else f"LAZ, chunks of {each} points"


def _extent(header: Header, index: Index | None) -> list[float | None] | None:
    """Return the true extent if the points were seen, else what the header says; None of no points, or no numbers."""
    if not header.n_points:
        return None
    if index is None:
        return [one if math.isfinite(one) else None for one in (*header.least, *header.most)]
    return [*world(header, index.facts["bounds"])]


def world(header: Header, bounds: list[int]) -> list[float]:
    """Return *bounds* of integers (x, y, z least, then greatest) in world units, least first on each axis.

    Scale and offset are taken as they are written, so that a place in hundredths has two digits.
    """
    exact = [(Fraction(repr(s)), Fraction(repr(o))) for s, o in zip(header.scale, header.offset, strict=True)]
    ends = [float(one * exact[i % 3][0] + exact[i % 3][1]) for i, one in enumerate(bounds)]
    return [min(ends[i], ends[i + 3]) for i in range(3)] + [max(ends[i], ends[i + 3]) for i in range(3)]


def _learnt(file: LasFile, index: Index) -> dict[str, Any]:
    from cbtool.partitioners.las.survey import check

    check(index, file)
    of = index.facts
    found = {"first_returns": of["first"], "ground": of["ground"], "classes": of["classes"]}
    found |= {"withheld": of["withheld"], "gps_time": of["gps_time"], "groups": len(index.arrays["count"])}
    if of["k"] is not None:
        area = _area(file.header, index)
        found |= {"area": area, "density": of["points"] / area, "most_in_a_cell": of["largest_cell"]}
    return found


def _area(header: Header, index: Index) -> float:
    """Return the area of the cells that hold points, in square units of the CRS."""
    from cbtool.partitioners.las.grid import Frame, coarser

    of = index.facts
    frame = Frame(of["k"], tuple(of["corners"]))
    is_full = index.arrays["grid_points"].reshape(frame.shape) > 0
    while of["points"] < POINTS_EACH * is_full.sum() and is_full.size > 1:
        is_full, frame = coarser(is_full, frame)
    return float(is_full.sum() * abs(header.scale[0] * header.scale[1]) * 4.0**frame.k)


def _copc(file: LasFile) -> dict[str, Any]:
    if not file.header.is_copc:
        return {}
    info = copc.info_of(file.header, file.source.size, file.where)
    nodes = copc.hierarchy(file.source, info)
    depth = int(nodes["key"][:, 0].max()) if len(nodes) else 0
    return {"copc_nodes": len(nodes), "copc_depth": depth, "copc_spacing": info.spacing}


def _described(field: Extra) -> Mapping[str, Any]:
    found: dict[str, Any] = {"name": field.name, "type": field.form}
    if (field.scale, field.offset) != (1.0, 0.0):
        found |= {"scale": field.scale, "offset": field.offset}
    return found


def created(header: Header) -> str | None:
    """Return the date of creation (ISO 8601); None if the header has none that can be."""
    day, year = struct.unpack_from("<HH", header.raw, 90)
    if not (1 <= day <= 366 and 1900 <= year <= 9999):
        return None
    return (datetime.date(year, 1, 1) + datetime.timedelta(day - 1)).isoformat()


def _trimmed(returns: Any) -> list[int]:
    """Return counts of points by return, without the zeros behind."""
    found = list(returns)
    while found and not found[-1]:
        found.pop()
    return found


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace").strip()
