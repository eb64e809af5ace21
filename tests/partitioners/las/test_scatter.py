"""Chunks that are written by one pass over the sources are, byte for byte, those that are made one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends.worker import perform
from cbtool.contracts import Limits
from cbtool.destination import Folder
from cbtool.errors import FormatError
from cbtool.job import Engine, Work
from cbtool.partitioners.las import groups, scatter
from cbtool.partitioners.las.recipe import recipe_of
from cbtool.plan import Plan
from cbtool.scattering import write_scattered
from cbtool.stagers.scatter import STEP
from fixtures.clouds import CLOUDS, EAST, HEIGHT, NORTH, WIDTH
from tests.inprocess import Inline, contents, plan_of
from tests.partitioners.las.conftest import made

GROUP_POINTS = 400
SIZES = (500, 2_100, 10**6)
"""How many points a task scatters: a group, a few, all."""
TILES, FINE = ("tile_0.laz", "tile_1.laz"), ("tile_0.laz", "fine_tile_1.laz")


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have plain LAS lie in groups of few points, so that a small cloud has several."""
    monkeypatch.setattr(groups, "CHUNK_POINTS", GROUP_POINTS)


def planned(folder: Path, *names: str, **asked: Any) -> Plan:
    for name in names:
        (folder / name).write_bytes(made(name))
    return plan_of([str(folder / name) for name in names], **{"chunks": 5, **asked})


def written(plan: Plan, to: Path, backend: Any) -> list[bytes]:
    """Write *plan* by one pass and return the files; nothing else is left but the ledger."""
    way: Any = scatter
    report = write_scattered(plan, way, Work("write"), Folder(str(to)), Engine(backend))
    report.check()
    assert sorted(path.name for path in to.iterdir()) == [".cbtool", *sorted(chunk.name for chunk in plan)]
    assert not [path for path in to.joinpath(STEP).rglob("*") if path.is_file()]
    return [(to / chunk.name).read_bytes() for chunk in plan]


def alone(plan: Plan) -> list[bytes]:
    return [contents(chunk)[0] for chunk in plan]


@pytest.mark.parametrize("name", [name for name in CLOUDS if not name.startswith(("none", "version"))][::2])
def test_every_cloud_is_written_as_its_chunks_are_made_alone(name: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, name)
    assert written(plan, tmp_path / "out", Inline()) == alone(plan)


@pytest.fixture
def polygon(tmp_path: Path) -> str:
    """A triangle over the middle of most clouds."""
    corners = [(0.1, 0.2), (0.9, 0.3), (0.4, 0.95), (0.1, 0.2)]
    ring = [[EAST + x * WIDTH / 100, NORTH + y * HEIGHT / 100] for x, y in corners]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25830"}}
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring], "crs": crs}))
    return f"@{path}"


BOX = f"bbox:{EAST + 33.335},{NORTH + 20.005},{EAST + 250.01},{NORTH + 200}"
ASKED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "overlap": (("uneven.las",), {"overlap": "7m"}),
    "overlap of LAZ": (("uneven.laz",), {"overlap": "7.77m", "chunks": 9}),
    "far overlap": (("uneven.copc.laz",), {"overlap": "300m"}),
    "ranks": (("heavy.las",), {"chunks": 9}),
    "ranks with overlap": (("heavy.laz",), {"chunks": 9, "overlap": "5m"}),
    "all points at one place": (("equal.las",), {"overlap": "1m"}),
    "box": (("uneven.las",), {"only": BOX}),
    "box with overlap": (("uneven.laz",), {"only": BOX, "overlap": "4m"}),
    "polygon": (("uneven.laz",), {"only": None}),
    "polygon with overlap": (TILES, {"only": None, "overlap": "4m"}),
    "tiles": (TILES, {}),
    "tiles with overlap": (TILES, {"overlap": "11m", "chunks": 8}),
    "tiles of other scales": (FINE, {"overlap": "3m"}),
    "whole groups": (("uneven.copc.laz",), {"chunks": 3}),
    "grid": (("uneven.las",), {"shape": "grid", "chunks": 12}),
}


@pytest.mark.parametrize("what", ASKED)
def test_whatever_is_asked_and_however_the_work_is_shared_out(
    what: str, tmp_path: Path, polygon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, asked = ASKED[what]
    plan = planned(tmp_path, *names, **{name: polygon if value is None else value for name, value in asked.items()})
    recipes = [recipe_of(chunk) for chunk in plan]
    assert any(recipe.ranks for recipe in recipes) == ("ranks" in what or "one place" in what)
    assert any(len(piece.whole) for recipe in recipes for piece in recipe.pieces) == (what in ("tiles", "whole groups"))
    want = alone(plan)
    counts = []
    with ThreadPoolExecutor(3) as threads:
        for size, backend in zip(SIZES, (Threads(threads), Inline(), Inline()), strict=True):
            monkeypatch.setattr(scatter, "STRETCH_POINTS", size)
            counts.append(len(scatter.stretches(plan)))
            assert written(plan, tmp_path / str(size), backend) == want
    assert counts[0] > counts[1] > counts[2] == len(names)


class Threads(Inline):
    """A backend of three workers: tasks end in any order."""

    limits = Limits(concurrency=3)

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads

    def submit(self, task: Mapping[str, Any]) -> Future[dict[str, Any]]:
        return self.threads.submit(perform, task)


class Killed(Inline):
    """A backend under which the driver comes to its end at task *at*; counts tasks."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.n = at, 0

    def submit(self, task: Mapping[str, Any]) -> Future[dict[str, Any]]:
        if self.n == self.at:
            raise KeyboardInterrupt
        self.n += 1
        return super().submit(task)


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    monkeypatch.setattr(scatter, "STRETCH_POINTS", SIZES[0])
    yield planned(tmp_path, "uneven.las", overlap="5m")


@pytest.mark.parametrize("step", ["scatter", "between", "gather", "last"])
def test_a_run_that_was_killed_does_the_rest_and_nothing_twice(step: str, interrupted: Plan, tmp_path: Path) -> None:
    n = len(scatter.stretches(interrupted))
    first = Killed({"scatter": 2, "between": n, "gather": n + 2, "last": n + len(interrupted) - 1}[step])
    with pytest.raises(KeyboardInterrupt):
        written(interrupted, tmp_path / "out", first)
    second = Killed()
    assert written(interrupted, tmp_path / "out", second) == alone(interrupted)
    assert first.n + second.n == n + len(interrupted)


def test_a_segment_that_a_power_cut_shortened_is_met(interrupted: Plan, tmp_path: Path) -> None:
    n = len(scatter.stretches(interrupted))
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        written(interrupted, out, Killed(n - 1))
    one = out / STEP / "segment-00001"
    for content in (one.read_bytes()[:-1], b""):
        one.write_bytes(content)
        with pytest.raises(FormatError, match="segment"):
            written(interrupted, out, Inline())
    way: Any = scatter
    write_scattered(interrupted, way, Work("write"), Folder(str(out)), Engine(Inline()), force=True).check()
    assert [(out / chunk.name).read_bytes() for chunk in interrupted] == alone(interrupted)
