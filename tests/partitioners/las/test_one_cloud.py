"""Several files as one cloud: what is reconciled, and what is refused because a wrong answer would come of it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

import cbtool
from cbtool.chunk import Chunk
from cbtool.errors import FormatError, UsageError
from fixtures.clouds import CLOUDS, cloud, wkt
from fixtures.wrong_clouds import patched
from tests.inprocess import contents

UTM31 = 'PROJCRS["x",BASEGEOGCRS["y",DATUM["z",ELLIPSOID["GRS 1980",6378137,298.257222101]]],CONVERSION["c",'
"""WKT that is not understood, and not that of the fixtures."""


def placed(folder: Path, *files: bytes, suffix: str = ".las") -> list[str]:
    paths = [folder / f"{number}{suffix}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return [str(path) for path in paths]


def read(chunk: Chunk) -> Any:
    (data,) = contents(chunk)
    return laspy.read(io.BytesIO(data))


@pytest.mark.parametrize("name", ["extra.las", "extra.laz", "format6.las", "format1.laz", "extra.copc.laz"])
def test_the_overlap_byte_is_where_its_description_says(name: str, tmp_path: Path) -> None:
    (path,) = placed(tmp_path, CLOUDS[name](), suffix=name[name.index(".") :])
    plan = cbtool.partition(path, chunks=3, overlap="20m")
    wanted = laspy.read(path)
    own = 0
    for chunk in plan:
        las = read(chunk)
        marks = np.asarray(las["cbtool_overlap"])
        assert set(np.unique(marks)) == {0, 1}
        own += int((marks == 0).sum())
        names = set(wanted.point_format.extra_dimension_names) - {"ExtraBytes"}  # laspy's for what nobody described
        assert names <= set(las.point_format.extra_dimension_names)
    assert own == len(wanted)


def test_many_bytes_that_nobody_described_can_have_an_overlap_byte(tmp_path: Path) -> None:
    data = CLOUDS["format6.las"]()
    records = laspy.read(io.BytesIO(data)).points.array
    wide = np.zeros(len(records), [("record", f"V{records.dtype.itemsize}"), ("extra", "V300")])
    wide["record"] = records.view(wide.dtype["record"])
    at = struct.unpack_from("<I", data, 96)[0]
    (path,) = placed(tmp_path, patched(data[:at], {105: struct.pack("<H", 330)}) + wide.tobytes())
    for chunk in cbtool.partition(path, chunks=2, overlap="20m"):
        assert set(np.unique(read(chunk)["cbtool_overlap"])) == {0, 1}


def gps_adjusted(data: bytes) -> bytes:
    return patched(data, {6: struct.pack("<H", struct.unpack_from("<H", data, 6)[0] ^ 1)})


def other_scale(data: bytes) -> bytes:
    """Return *data* with another scale in the description of its first extra bytes."""
    at = data.index(b"LASF_Spec") - 2 + 54
    return patched(data, {at + 112: struct.pack("<d", 0.5)})


def crs_behind(text: str) -> bytes:
    return cloud(6, vlrs=(), evlrs=(wkt(text, is_extended=True),)).las()


REFUSED: dict[str, tuple[Callable[[], tuple[bytes, bytes]], str]] = {
    "CRS behind": (lambda: (CLOUDS["wkt_behind.laz"](), crs_behind(UTM31)), "coordinate systems"),
    "one without CRS": (lambda: (CLOUDS["format6.las"](), cloud(6, vlrs=()).las()), "coordinate systems"),
    "GPS time": (lambda: (CLOUDS["format1.las"](), gps_adjusted(CLOUDS["format1.las"]())), "GPS time"),
    "scale of extra bytes": (lambda: (CLOUDS["extra.las"](), other_scale(CLOUDS["extra.las"]())), "extra bytes"),
    "waveforms": (lambda: (CLOUDS["format4.las"](), CLOUDS["format4.las"]()), "waveforms"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_be_a_wrong_cloud_is_refused(what: str, tmp_path: Path) -> None:
    files, said = REFUSED[what]
    with pytest.raises(UsageError, match=said):
        cbtool.partition(placed(tmp_path, *files()), chunks=2)


def test_one_crs_in_two_places_is_one(tmp_path: Path) -> None:
    paths = placed(tmp_path, CLOUDS["format6.las"](), cloud(6, vlrs=(), evlrs=(wkt(is_extended=True),)).las())
    assert sum(chunk.records or 0 for chunk in cbtool.partition(paths, chunks=3)) == 8000


def test_a_scale_that_is_not_above_zero_is_refused(tmp_path: Path) -> None:
    (path,) = placed(tmp_path, patched(CLOUDS["format6.las"](), {131: struct.pack("<d", -0.01)}))
    with pytest.raises(FormatError, match="make no coordinates"):
        cbtool.partition(path, chunks=2)


def test_an_old_version_becomes_one_that_has_the_point_format(tmp_path: Path) -> None:
    paths = placed(tmp_path, cloud(0, minor=0).las(), CLOUDS["format3.las"]())
    for chunk in cbtool.partition(paths, chunks=2):
        (data,) = contents(chunk)
        assert (data[24], data[25], data[104]) == (1, 2, 3)


def test_a_place_with_more_than_a_share_is_cut_by_order_and_it_is_said(tmp_path: Path) -> None:
    (path,) = placed(tmp_path, CLOUDS["heavy.las"]())
    plan = cbtool.partition(path, chunks=5)
    counts = [chunk.records or 0 for chunk in plan]
    assert len(plan) == 5 and max(counts) < 1.3 * sum(counts) / 5
    assert any("ranks" in (chunk.core or {}) for chunk in plan)
