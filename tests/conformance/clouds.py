"""Cases of point clouds. Records are told by laspy, and counted by LASzip's own decoder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import laspy
import numpy as np

from fixtures.clouds import CLOUDS
from tests.conformance.cases import Case, Files


def split(plain: bytes, scale: tuple[float, float, float] | None = None) -> list[bytes]:
    """Return the points of a LAS or LAZ file: their integers and all other fields as they lie."""
    las = laspy.read(io.BytesIO(plain))
    return [one.tobytes() for one in in_scale(las, scale)]


def in_scale(las: Any, scale: tuple[float, float, float] | None) -> Any:
    """Return the records of *las*; with *scale*, X, Y and Z in units of it from zero on."""
    records = las.points.array
    if scale is not None:
        records = records.copy()
        for axis, name in enumerate("XYZ"):
            world = records[name] * las.header.scales[axis] + las.header.offsets[axis]
            records[name] = np.rint(world / scale[axis]).astype(np.int64)
    return records


def join(like: Callable[[], bytes], records: Sequence[bytes]) -> bytes:
    """Return a LAS file of *records* with the header of another file."""
    las = laspy.read(io.BytesIO(like()))
    array = np.frombuffer(b"".join(records), las.points.array.dtype)
    las.points = laspy.ScaleAwarePointRecord(array, las.header.point_format, las.header.scales, las.header.offsets)
    las.header.vlrs = [vlr for vlr in las.header.vlrs if vlr.user_id != "copc"]
    las.evlrs = None
    las.header.global_encoding.waveform_data_packets_internal = False
    las.header.version = max(las.header.version, laspy.header.Version(1, 2))
    out = io.BytesIO()
    las.write(out)
    return out.getvalue()


def count(paths: Sequence[Path]) -> int:
    """Return how many points LASzip finds in *paths*."""
    return sum(len(laspy.read(path, laz_backend=laspy.LazBackend.Laszip)) for path in paths)


def cloud_case(name: str, names: Sequence[str] | None = None, **more: Any) -> Case:
    """Return a case of one cloud of `fixtures.clouds`, or of several as one."""

    def files() -> Files:
        return {one: CLOUDS[one]() for one in names or (name,)}

    scale = more.pop("scale", None)
    return Case(
        name,
        cache(files),
        partial(split, scale=scale),
        partial(join, CLOUDS[(names or (name,))[0]]),
        count,
        ("points", "bytes", "returns"),
        is_ordered=False,
        on_the_fly=more.pop("on_the_fly", False),
        unreadable=(Exception,),
        **more,
    )


CLOUD_CASES = [
    cloud_case("uneven.las"),
    cloud_case("uneven.laz", main=True),
    cloud_case("uneven.copc.laz", on_the_fly=True, main=True),
    cloud_case("extra.laz"),
    cloud_case("heavy.laz"),
    cloud_case("tiles", ("tile_0.laz", "tile_1.laz"), scale=(0.01, 0.01, 0.01)),
]
"""Other clouds are held to the same by tests/partitioners/las."""
