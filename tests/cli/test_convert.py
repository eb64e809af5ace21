"""``cbtool convert``: where files go, and what is refused."""

from __future__ import annotations

from pathlib import Path

import laspy
import pytest

from fixtures.clouds import CLOUDS
from tests.inprocess import command, refused


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with some clouds."""
    monkeypatch.chdir(tmp_path)
    for name in ("tile_0.laz", "tile_1.laz", "a/format3.las", "b/format3.las"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CLOUDS[Path(name).name]())
    return tmp_path


def files(folder: Path) -> list[str]:
    kept = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".cbi"]
    return sorted(str(path) for path in kept if ".cbtool" not in path.parts)


def test_to_a_file(here: Path) -> None:
    before = files(here)
    done = command("convert", "tile_0.laz", "tile_1.laz", "--to", "copc", "-o", "new.copc.laz", "-j", "1")
    assert done.exit_code == 0, done.stderr
    with laspy.CopcReader.open(here / "new.copc.laz") as reader:
        assert len(reader.query()) == 8000
    assert files(here) == sorted([*before, "new.copc.laz"])
    assert not (here / "new.copc.laz.cbtool-convert").exists()


def test_to_a_folder_with_the_paths_below_the_common_one(here: Path) -> None:
    done = command("convert", "a/format3.las", "b/format3.las", "--to", "laz", "-o", "out", "-j", "1", "--json")
    assert done.exit_code == 0, done.stderr
    assert files(here / "out") == ["a/format3.laz", "b/format3.laz"]
    assert '"outputs": ["a/format3.laz", "b/format3.laz"]' in done.stdout


def test_dry_run_says_what_would_be_made(here: Path) -> None:
    done = command("convert", "tile_0.laz", "tile_1.laz", "--to", "las", "-o", "out/", "--dry-run")
    assert done.stdout.splitlines() == ["out/tile_0.las", "out/tile_1.las"]
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    "status, words, line",
    [
        (2, ("tile_0.laz", "--to", "laz", "-o", "tile_0.laz"), "is a source, and would be replaced"),
        (2, ("tile_0.laz", "--to", "laz", "-o", "."), "is a source, and would be replaced"),
        (2, ("tile_0.laz", "tile_1.laz", "--to", "laz", "-o", "-"), "2 files do not go to one stdout"),
        (2, ("tile_0.laz", "--to", "cog", "-o", "x"), "no conversion is called 'cog'"),
        (2, ("tile_0.laz", "--to", "copc", "--salvage", "-o", "x"), "--salvage makes laz or las"),
        (2, ("tile_0.laz", "--to", "laz", "--spacing", "0", "-o", "x"), "a length must be more than 0"),
        (66, ("none.laz", "--to", "laz", "-o", "x"), "no such file"),
    ],
)
def test_refused(here: Path, status: int, words: tuple[str, ...], line: str) -> None:
    before = files(here)
    assert line in refused(status, "convert", *words)
    assert files(here) == before


def test_two_files_of_one_name(here: Path) -> None:
    (here / "tile_0.las").write_bytes(CLOUDS["format6.las"]())
    assert "would both be written to tile_0.laz" in refused(
        2, "convert", "tile_0.laz", "tile_0.las", "--to", "laz", "-o", "out/"
    )


def test_what_nobody_of_us_made_is_not_replaced(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "tile_0.las").write_text("mine")
    assert "no run of cbtool made it" in refused(73, "convert", "tile_0.laz", "--to", "las", "-o", "out")
    assert (here / "out" / "tile_0.las").read_text() == "mine"
