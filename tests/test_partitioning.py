"""What a format does not take is refused before it is asked, by the name of the format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import cbtool
from cbtool.asked import Options, Takes
from cbtool.errors import UsageError
from cbtool.partitioners.text import PARTITIONER
from cbtool.plan import Plan
from cbtool.registry import FORMATS, load
from tests.inprocess import plan_of


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "lines.txt"
    path.write_text("a line\n" * 100)
    return str(path)


def refusal(uri: str, **asked: Any) -> tuple[str, str | None]:
    with pytest.raises(UsageError) as refused:
        plan_of([uri], chunks=2, **asked)
    return str(refused.value), refused.value.hint


@pytest.mark.parametrize(("option", "value"), [("overlap", "5m"), ("shape", "kd"), ("only", "bbox:1,2,3,4")])
def test_what_a_format_does_not_take(lines: str, option: str, value: str) -> None:
    assert refusal(lines, **{option: value}) == (f"text takes no --{option}", f"leave out --{option}")
    with pytest.raises(UsageError, match=f"^text takes no --{option}$"):
        cbtool.partition(lines, **{option: value})  # type: ignore[arg-type]


def test_a_format_of_others_that_says_nothing_takes_nothing(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(PARTITIONER), "takes")
    assert refusal(lines, only="chr2:1-5")[0] == "text takes no --only"
    assert len(plan_of([lines], chunks=2)) == 2


def test_values_that_a_format_does_not_take(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTITIONER, "takes", Takes(True, ("kd", "grid"), ("bbox", "polygons")), raising=False)
    assert refusal(lines, shape="band") == ("text has no shape 'band'", "--shape kd|grid")
    assert refusal(lines, only="window:1,2,3,4") == (
        "text has no region like --only window:1,2,3,4",
        "--only bbox:x0,y0,x1,y1 (bbox@EPSG:4326:… for longitudes and latitudes) or @file.geojson",
    )
    assert refusal(lines, only="1,2,3,4")[0] == "--only 1,2,3,4: four numbers may be a box, a window or pixels"


def test_values_that_a_format_takes_reach_it(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Options] = []
    chunks = PARTITIONER.chunks

    def spy(sources: Any, indexes: Any, options: Options) -> Any:
        seen.append(options)
        return chunks(sources, indexes, options)

    monkeypatch.setattr(PARTITIONER, "takes", Takes(True, ("kd",), ("bbox",)), raising=False)
    monkeypatch.setattr(PARTITIONER, "chunks", spy)
    plans: Sequence[Plan] = [
        cbtool.partition(lines, chunks=2, overlap=5, shape="kd", only="bbox:1,2,3,4"),
        cbtool.partition(lines, chunks=2, overlap="5m", shape="kd", only="bbox:1,2,3,4"),
    ]
    assert [(one.overlap, one.shape, one.only) for one in seen] == [
        ("5", "kd", "bbox:1,2,3,4"),
        ("5m", "kd", "bbox:1,2,3,4"),
    ]
    assert plans[0].id != plans[1].id


def test_every_format_says_what_it_takes() -> None:
    assert all(isinstance(load("partitioners", name).takes, Takes) for name in FORMATS)
