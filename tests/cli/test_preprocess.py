"""`cbtool preprocess` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbtool.commands.preprocess import preprocess
from cbtool.registry import PREPROCESSORS
from fixtures import clouds
from tests.inprocess import command, refused


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.laz"
    path.write_bytes(clouds.cloud(6).laz())
    return path


def test_what_there_is_is_listed() -> None:
    listed = [json.loads(line)["name"] for line in command("preprocess").stdout.splitlines()]
    assert listed == list(PREPROCESSORS)
    for name in PREPROCESSORS:
        assert (
            f"\n      {name} " in (preprocess.__doc__ or "") and "Examples:" in command("preprocess", name, "-h").stdout
        )
    assert "no preprocessor is called 'nonsense'" in refused(2, "preprocess", "nonsense", "x")


def test_terrain_from_the_command_line(cloud: Path, tmp_path: Path) -> None:
    words = ["preprocess", "terrain", str(cloud), "--resolution", "4m", "--rasters", "dtm,slope", "-n", "2", "-j", "1"]
    done = command(*words, "-o", tmp_path / "out", "--preview", tmp_path / "map.png", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == ["dtm.tif", "slope.tif"]
    assert "ground: by class 2" in done.stderr and "100 x 60 cells of 4 metre" in done.stderr
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    again = command(*words, "-o", tmp_path / "out", "--preview", "-", "-q")
    assert again.exit_code == 0 and again.stderr == "" and len(again.stdout.splitlines()) == 30
    assert "belongs to another run" in refused(73, *words, "-o", tmp_path / "out", "--fill", "5m", "-q")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "where to?"),
        (["-o", "out", "--json", "--preview", "-"], "both for stdout"),
        (["-o", "out", "--rasters", "slope", "--preview", "-"], "draws heights"),
        (["-o", "out", "--rasters", "map"], "no raster is called 'map'"),
        (["-o", "out", "--ground-classes", "2,x"], "not numbers of classes"),
        (["-o", "out", "--ground", "magic"], "not a way to tell ground"),
        (["-o", "out", "--ground", "cloth", "--ground-height", "0"], "must be more than 0"),
        (["-o", "out", "--ground", "morphology", "--ground-window", "x"], "not a length"),
        (["-o", "out", "--only", "1,2,3,4"], "four numbers may be"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], said: str, cloud: Path) -> None:
    assert said in refused(2, "preprocess", "terrain", cloud, *words, "-q")
