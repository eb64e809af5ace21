"""LAS and LAZ to COPC, judged by copclib and laspy."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from cbtool.errors import FormatError, UsageError
from cbtool.partitioners.las.promote import PROMOTED
from cbtool.stagers import copc as stager
from tests.converting.clouds import convert, copc, fixture, made, points, small
from tests.inprocess import plan_of


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


def test_of_many_columns(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "uneven.laz")
    (path,) = made(convert("copc", sources, tmp_path / "out"), tmp_path / "out")
    nodes = copc(path).GetAllNodes()
    assert path.name == "uneven.copc.laz"
    assert points(path).tobytes() == points(sources[0]).tobytes()
    assert len(nodes) > 40 and max(node.key.d for node in nodes) > 3
    assert not list((tmp_path / "out" / ".cbtool" / "copc").glob("*"))


def test_the_same_bytes_with_and_without_an_index(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "uneven.laz")
    said: list[str] = []
    (one,) = made(convert("copc", sources, tmp_path / "one", said), tmp_path / "one")
    assert said == [] and not list(tmp_path.glob("*.cbi"))
    plan_of([str(sources[0])], chunks=2)
    (other,) = made(convert("copc", sources, tmp_path / "other"), tmp_path / "other")
    assert list(tmp_path.glob("*.cbi")) and one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("ends", [(1e9, -1e9) * 3, (500010.0, 500000.0, 4100010.0, 4100000.0, 10.0, 0.0)])
def test_a_header_that_is_wrong_about_bounds(tmp_path: Path, ends: tuple[float, ...]) -> None:
    sources = fixture(tmp_path, "uneven.laz")
    (right,) = made(convert("copc", sources, tmp_path / "right"), tmp_path / "right")
    data = bytearray(sources[0].read_bytes())
    struct.pack_into("<6d", data, 179, *ends)
    sources[0].write_bytes(data)
    said: list[str] = []
    (path,) = made(convert("copc", sources, tmp_path / "out", said), tmp_path / "out")
    assert path.read_bytes() == right.read_bytes()
    assert said


@pytest.mark.parametrize("tiles", ["tile", "fine_tile"])
def test_tiles_become_one(tmp_path: Path, tiles: str) -> None:
    sources = fixture(tmp_path, f"{tiles}_0.laz", f"{tiles}_1.laz")
    (path,) = made(convert("copc", sources, tmp_path / "out"), tmp_path / "out")
    copc(path)
    found, parts = laspy.read(path), [laspy.read(one) for one in sources]
    assert len(found) == sum(map(len, parts))
    for axis in "xyz":
        whole = np.sort(np.concatenate([np.asarray(part[axis]) for part in parts]))
        np.testing.assert_allclose(np.sort(np.asarray(found[axis])), whole, atol=1e-6)


@pytest.mark.parametrize("form", range(11))
def test_of_every_point_format(tmp_path: Path, form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, stretch=10_000, column=10_000, leaf=2_000)
    sources = fixture(tmp_path, f"format{form}.laz")
    said: list[str] = []
    report = convert("copc", sources, tmp_path / "out", said, drop_waveform=True)
    (path,) = made(report, tmp_path / "out")
    copc(path)
    found, source = laspy.read(path), laspy.read(sources[0])
    assert found.header.point_format.id == PROMOTED[form]
    assert [note for note in said if "becomes" in note] == (
        [f"point format {form} becomes {PROMOTED[form]}: COPC takes 6 to 8 only"] if PROMOTED[form] != form else []
    )
    fields = set(found.header.point_format.dimension_names) & set(source.header.point_format.dimension_names)
    order, other = (np.lexsort([one.Z, one.Y, one.X, one.intensity, one.user_data]) for one in (found, source))
    for name in fields - {"overlap"}:
        assert (np.asarray(found[name])[order] == np.asarray(source[name])[other]).all(), name
    assert found.header.parse_crs().to_epsg() == 25830
    assert found.header.global_encoding.wkt
    assert not [vlr for vlr in found.header.vlrs if vlr.user_id == "LASF_Spec"]


@pytest.mark.parametrize("form", [4, 5, 9, 10])
def test_waveforms_are_refused(tmp_path: Path, form: int) -> None:
    sources = fixture(tmp_path, f"format{form}.las")
    with pytest.raises(UsageError, match=f"point format {form} has waveforms"):
        convert("copc", sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "extra.laz", "records.las", "wkt_behind.laz", "no_crs.laz", "heavy.laz", "equal.laz", "extremes.las", "one.laz",
        "feet.laz", "degrees.laz", "nan_times.laz", "paged.copc.laz", "version10.las", "flagged_old.las",
    ],
)  # fmt: skip
def test_of_odd_clouds(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, stretch=10_000, column=10_000, leaf=2_000)
    sources = fixture(tmp_path, name)
    (path,) = made(convert("copc", sources, tmp_path / "out"), tmp_path / "out")
    copc(path)
    found, source = laspy.read(path), laspy.read(sources[0])
    assert places(found) == places(source)
    assert (found.header.mins == source.header.mins).all()
    assert (np.abs(found.header.maxs - [found.x.max(), found.y.max(), found.z.max()]) < found.header.scales / 2).all()
    assert found.header.number_of_points_by_return[:5].tolist() == source.header.number_of_points_by_return[:5].tolist()
    extra = [one.name for one in source.header.point_format.extra_dimensions]
    assert [one.name for one in found.header.point_format.extra_dimensions] == extra
    assert found.header.creation_date == source.header.creation_date


def places(cloud: Any) -> list[tuple[int, ...]]:
    return sorted(zip(cloud.X.tolist(), cloud.Y.tolist(), cloud.Z.tolist(), strict=True))


def test_records_go_along(tmp_path: Path) -> None:
    sources = fixture(tmp_path, "records.laz")
    (path,) = made(convert("copc", sources, tmp_path / "out"), tmp_path / "out")
    found, source = laspy.read(path), laspy.read(sources[0])
    assert content(found.header.vlrs) == content(source.header.vlrs) != []
    assert content(found.evlrs) == content(source.evlrs) != []


def content(records: Any) -> list[tuple[str, int, bytes]]:
    """Return records that are not about how points lie."""
    kept = [one for one in records if one.user_id not in ("copc", "laszip encoded")]
    return [(one.user_id, one.record_id, one.record_data_bytes()) for one in kept]


@pytest.mark.parametrize(
    "name, note",
    [
        ("format1.laz", "its CRS is written as WKT: ETRS89 / UTM zone 30N"),
        ("no_crs.laz", "it names no CRS"),
    ],
)
def test_what_is_said_of_the_crs(tmp_path: Path, name: str, note: str) -> None:
    said: list[str] = []
    convert("copc", fixture(tmp_path, name), tmp_path / "out", said)
    assert said[-1].endswith(note)


def test_no_points_make_no_octree(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no points"):
        convert("copc", fixture(tmp_path, "none.laz"), tmp_path / "out")


def test_a_run_that_failed_is_taken_up_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = fixture(tmp_path, "uneven.laz")
    (whole,) = made(convert("copc", sources, tmp_path / "whole"), tmp_path / "whole")
    done: list[int] = []

    def noted(chunk: Any, *rest: Any) -> Any:
        done.append(chunk.chunk)
        return stager._nodes(chunk, *rest)

    def third_is_broken(chunk: Any, *rest: Any) -> Any:
        if chunk.chunk == 2:
            raise FormatError("broken")
        return noted(chunk, *rest)

    monkeypatch.setitem(stager.STEPS, stager.NODES, third_is_broken)
    failed = convert("copc", sources, tmp_path / "out")
    assert list(failed.failed) == [2] and len(done) == len(failed.made) - 1
    done.clear()
    monkeypatch.setitem(stager.STEPS, stager.ROUTE, lambda *given: pytest.fail("it is routed already"))
    monkeypatch.setitem(stager.STEPS, stager.NODES, noted)
    (path,) = made(convert("copc", sources, tmp_path / "out"), tmp_path / "out")
    assert done == [2]
    assert path.read_bytes() == whole.read_bytes()
    assert convert("copc", sources, tmp_path / "out").kept == 1


def test_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = fixture(tmp_path, "uneven.laz")
    (path,) = made(convert("copc", sources, tmp_path / "out", spacing="5m"), tmp_path / "out")
    copc(path)
    found, source = laspy.read(path), laspy.read(sources[0])
    assert len(found) == len(cells(source)) and cells(found) == cells(source)
    monkeypatch.setattr("cbtool.converting.thinning.CHUNK_POINTS", 1000)
    (other,) = made(convert("copc", sources, tmp_path / "cut", spacing="5m"), tmp_path / "cut")
    assert points(other).tobytes() == points(path).tobytes()
    assert not list((tmp_path / "cut" / ".cbtool" / "thin").rglob("*.laz"))


def cells(cloud: Any) -> set[tuple[int, ...]]:
    units = [np.floor_divide(np.asarray(cloud[axis], np.int64), 500).tolist() for axis in "XYZ"]
    return set(zip(*units, strict=True))
