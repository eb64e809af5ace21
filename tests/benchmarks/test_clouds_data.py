"""The cloud that is measured on, and the ways by which results are judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

laspy = pytest.importorskip("laspy")
pytest.importorskip("lazrs")

from benchmarks import chipper, clouds_checks  # noqa: E402
from benchmarks.clouds_data import EPSG, NOISE, write_cloud  # noqa: E402

N = 50_000


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cloud") / "cloud.las"
    write_cloud([path, path.with_suffix(".laz")], N)
    return path


def test_a_cloud_is_the_same_each_time(cloud: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.las"
    write_cloud([again], N)
    assert again.read_bytes() == cloud.read_bytes()
    write_cloud([again], N, seed=8)
    assert again.read_bytes() != cloud.read_bytes()


def test_a_shorter_cloud_is_cut_at_the_point(tmp_path: Path) -> None:
    path = tmp_path / "few.las"
    write_cloud([path], 7)
    assert len(laspy.read(path)) == 7


def test_a_cloud_is_as_an_airborne_survey_gives_it(cloud: Path) -> None:
    points = laspy.read(cloud)
    header = points.header
    assert (header.version, header.point_format.id, header.point_count) == ("1.4", 6, N)
    assert header.global_encoding.wkt
    assert header.parse_crs().to_epsg() == EPSG
    for axis, at in enumerate((points.x, points.y, points.z)):
        assert (header.mins[axis], header.maxs[axis]) == pytest.approx((at.min(), at.max()))
    number, of = (np.asarray(points[name]) for name in ("return_number", "number_of_returns"))
    assert number.min() == 1 and (number <= of).all() and set(of) == {1, 2, 3, 4}
    assert header.number_of_points_by_return[:4].tolist() == [int((number == n).sum()) for n in (1, 2, 3, 4)]
    assert {2, 3, 4, 5} <= set(np.asarray(points.classification)) <= {2, 3, 4, 5, NOISE}
    time = np.asarray(points.gps_time)
    assert (np.diff(time) >= 0).all()
    same = np.diff(time) == 0
    assert (np.diff(number)[same] == 1).all()  # returns of a pulse come one after the other


def test_points_of_las_and_laz_are_the_same_ones(cloud: Path) -> None:
    plain, packed = (clouds_checks.summary([str(path)]) for path in (cloud, cloud.with_suffix(".laz")))
    assert plain == packed
    assert plain["points"] == N


def test_a_sum_tells_what_is_lost_doubled_or_changed() -> None:
    records = np.random.default_rng(1).integers(0, 256, (1000, 30), np.uint8)
    whole = clouds_checks.total(records)
    assert clouds_checks.total(records[::-1]) == whole
    assert clouds_checks.total(records[1:]) != whole
    assert clouds_checks.total(np.concatenate([records, records[:2], records[:2]])) != whole
    changed = records.copy()
    changed[500, 29] ^= 1
    assert clouds_checks.total(changed) != whole


def test_points_marked_as_overlap_are_counted_apart(cloud: Path, tmp_path: Path) -> None:
    points = laspy.read(cloud)
    points.add_extra_dim(laspy.ExtraBytesParams("cbtool_overlap", "u1"))
    points.points.array["cbtool_overlap"] = np.arange(N) % 4 == 0  # by attribute it would be the flag of that name
    marked, core = tmp_path / "marked.las", tmp_path / "core.las"
    points.write(marked)
    owned = laspy.LasData(laspy.read(cloud).header)
    owned.points = laspy.read(cloud).points[np.arange(N) % 4 != 0]
    owned.write(core)
    found, wanted = (clouds_checks.summary([str(path)]) for path in (marked, core))
    assert found == wanted | {"overlap": N // 4}


def test_the_peer_cuts_evenly_and_carries_what_is_near(cloud: Path, tmp_path: Path) -> None:
    points = laspy.read(cloud)
    places = np.stack([np.asarray(points.x), np.asarray(points.y)])
    parts = list(chipper.chip(places, 7))
    assert sorted(np.concatenate(parts)) == list(range(N))
    assert {len(part) for part in parts} <= {N // 7, N // 7 + 1}
    chipper.write_chunks(cloud, tmp_path, 7, 5.0)
    for number, owned in enumerate(parts):
        part = laspy.read(tmp_path / f"cloud-{number:05d}.las")
        assert (np.asarray(part.withheld) == 0).sum() == len(owned)
        box = places[:, owned].min(axis=1) - 5, places[:, owned].max(axis=1) + 5
        assert len(part) == ((places.T >= box[0]) & (places.T <= box[1])).all(axis=1).sum()


def test_what_is_seen_is_json(cloud: Path) -> None:
    assert json.loads(json.dumps(clouds_checks.header([str(cloud)])))["points"] == N
