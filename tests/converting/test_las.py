"""LAS to LAZ and back: every field, record and the order of points are kept."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from cbtool.errors import CbtoolError
from fixtures.clouds import cloud
from fixtures.wrong_clouds import WRONG
from tests.converting.clouds import convert, fixture, made, small

ODD = ("version10.las", "extra.las", "records.las", "none.las", "one.laz", "at_end_old.laz", "wkt_behind.laz")


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, stretch=2000)
    monkeypatch.setattr("cbtool.partitioners.las.groups.CHUNK_POINTS", 1000)


def content(records: Any) -> list[tuple[str, int, bytes]]:
    kept = [one for one in records or [] if one.user_id not in ("copc", "laszip encoded")]
    return [(one.user_id, one.record_id, one.record_data_bytes()) for one in kept]


def check(path: Path, source: Path) -> None:
    """Check that *path* says all that *source* does."""
    found, given = laspy.read(path), laspy.read(source)
    assert found.points.array.tobytes() == given.points.array.tobytes()
    assert content(found.header.vlrs) == content(given.header.vlrs)
    assert content(found.evlrs) == content(given.evlrs)
    for name in ("version", "creation_date", "offsets", "scales", "mins", "maxs", "number_of_points_by_return"):
        assert np.array_equal(getattr(found.header, name), getattr(given.header, name)), name
    assert found.header.point_format == given.header.point_format


@pytest.mark.parametrize(
    "names",
    [[f"format{n}.las" for n in range(9)], [f"format{n}.laz" for n in range(11)], ODD],
    ids=["las", "laz", "odd"],
)
def test_there_and_back(tmp_path: Path, names: list[str]) -> None:
    sources = fixture(tmp_path, *names)
    packed = made(convert("laz", sources, tmp_path / "packed"), tmp_path / "packed")
    plain = made(convert("las", packed, tmp_path / "plain"), tmp_path / "plain")
    for source, laz, las in zip(sources, packed, plain, strict=True):
        check(laz, source)
        check(las, source)
        with laspy.open(laz) as one, laspy.open(las) as other:
            assert one.header.are_points_compressed and not other.header.are_points_compressed


def one_channel(tmp_path: Path, form: int) -> Path:
    """Write a cloud with waveforms whose points are all of one scanner channel."""
    file = cloud(form)
    file.records["classification_flags"] &= 0xCF
    (tmp_path / f"one{form}.las").write_bytes(file.las())
    return tmp_path / f"one{form}.las"


def test_waveforms_of_one_channel(tmp_path: Path) -> None:
    sources = [one_channel(tmp_path, 9), one_channel(tmp_path, 10)]
    for path, source in zip(made(convert("laz", sources, tmp_path / "out"), tmp_path / "out"), sources, strict=True):
        check(path, source)


def test_waveforms_that_lazrs_mixes_up_are_refused(tmp_path: Path) -> None:
    report = convert("laz", fixture(tmp_path, "format9.las"), tmp_path / "out")
    assert "several scanner channels" in str(report.failed[0])


def test_waveforms_stay_where_points_look_for_them(tmp_path: Path) -> None:
    sources = [*fixture(tmp_path, "format4.las"), one_channel(tmp_path, 10)]
    for path, source in zip(made(convert("laz", sources, tmp_path / "out"), tmp_path / "out"), sources, strict=True):
        (at,) = struct.unpack_from("<Q", path.read_bytes(), 227)
        (theirs,) = struct.unpack_from("<Q", source.read_bytes(), 227)
        assert path.read_bytes()[at + 60 :] == source.read_bytes()[theirs + 60 :]


def test_waveforms_are_left_out(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "format5.laz", "format9.las")
    paths = made(convert("laz", sources, tmp_path / "out", drop_waveform=True), tmp_path / "out")
    for path, source, form in zip(paths, sources, (3, 6), strict=True):
        found, given = laspy.read(path), laspy.read(source)
        assert found.header.point_format.id == form and len(found) == len(given)
        assert (found.gps_time == given.gps_time).all() and (found.intensity == given.intensity).all()
        assert not found.evlrs and not [vlr for vlr in found.header.vlrs if vlr.user_id == "LASF_Spec"]
        assert struct.unpack_from("<H", path.read_bytes(), 6)[0] & 6 == 0


@pytest.mark.parametrize("name", ["uneven.copc.laz", "paged.copc.laz"])
def test_copc_becomes_laz_whose_chunks_are_the_nodes(tmp_path: Path, name: str) -> None:
    (source,) = fixture(tmp_path, name)
    (path,) = made(convert("laz", [source], tmp_path / "out"), tmp_path / "out")
    found, given = laspy.read(path), laspy.read(source)
    assert np.sort(found.gps_time).tolist() == np.sort(given.gps_time).tolist()
    assert "copc" not in {vlr.user_id for vlr in (*found.header.vlrs, *(found.evlrs or []))}
    assert path.read_bytes()[found.header.offset_to_point_data + 8 :][:5000] in source.read_bytes()


@pytest.mark.parametrize(
    "name, intact, promised",
    [
        ("cut.laz", 3500, 6000),
        ("cut_old.laz", 1500, 4000),
        ("cut_points.las", 1982, 4000),
        ("cut_table.laz", 6000, 6000),
        ("cut.copc.laz", 2895, 6000),
        ("table_of_zeros.laz", 6000, 6000),
        ("points_of_zeros.laz", 3500, 6000),
    ],
)
def test_salvage(tmp_path: Path, name: str, intact: int, promised: int) -> None:
    source = tmp_path / name
    source.write_bytes(WRONG[name]())
    with pytest.raises(CbtoolError):
        convert("laz", [source], tmp_path / "no").check()
    said: list[str] = []
    (path,) = made(convert("laz", [source], tmp_path / "out", said, salvage=True), tmp_path / "out")
    found = laspy.read(path)
    assert len(found) == found.header.point_count == intact
    assert f"{intact} of {promised} points are intact" in said[0]
    assert ("are lost" in said[0]) == (intact < promised)


def test_nothing_is_lost_where_nothing_is_broken(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "records.laz", "format3.las")
    paths = made(convert("laz", sources, tmp_path / "out", salvage=True), tmp_path / "out")
    for path, source in zip(paths, sources, strict=True):
        check(path, source)


def test_each_file_is_thinned_alone(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "uneven.laz", "feet.laz")
    paths = made(convert("las", sources, tmp_path / "out", spacing="10m"), tmp_path / "out")
    for path, source, side, upwards in zip(paths, sources, (1000, 3280.839895), (1000, 3280.83333), strict=True):
        found, given = laspy.read(path), laspy.read(source)
        offsets = [given.header.offsets[axis] / given.header.scales[axis] for axis in range(3)]

        def cells(cloud: Any) -> list[tuple[float, ...]]:
            widths = zip("XYZ", (side, side, upwards), offsets, strict=True)  # noqa: B023
            return list(
                zip(*(np.floor((np.asarray(cloud[n]) + o) / width).tolist() for n, width, o in widths), strict=True)
            )

        assert len(set(cells(found))) == len(found) and set(cells(found)) == set(cells(given))
