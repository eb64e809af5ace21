"""Conversions of clouds inside the process of a test, and what other programs read in what they make."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import copclib
import laspy
import numpy as np
import pytest

from cbtool.converting.asked import Asked, Conversion
from cbtool.converting.names import names_of
from cbtool.destination import open_destination
from cbtool.indexing import build
from cbtool.job import Engine, Report
from cbtool.partitioners.las import recode
from cbtool.registry import load
from cbtool.source import open_source
from fixtures.clouds import CLOUDS
from tests.inprocess import Inline


def small(monkeypatch: pytest.MonkeyPatch, *, stretch: int = 1500, column: int = 1500, leaf: int = 200) -> None:
    """Have clouds of some thousand points made of as many parts as large ones are."""
    assert recode  # all modules have their constants before one is changed
    for name, value in {
        "scatter.STRETCH_POINTS": stretch,
        "columns.MOST_POINTS": column,
        "octree.LEAF_POINTS": leaf,
        "octree.LEAST_POINTS": 10,
        "octree.GRID_BITS": 4,
        "columns.GRID_BITS": 4,
        "copc_file.GRID_BITS": 4,
    }.items():
        monkeypatch.setattr(f"cbtool.partitioners.las.{name}", value)


def fixture(folder: Path, *names: str) -> list[Path]:
    """Write fixtures into *folder*, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(CLOUDS[name]())
    return [folder / name for name in names]


def convert(to: str, sources: Sequence[Path], folder: Path, said: list[str] | None = None, **asked: Any) -> Report:
    """Convert *sources* into *folder*; *said* takes what is told of it."""
    conversion: Conversion = load("conversions", to)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_source(str(path))) for path in sources]
        names = names_of([source.uri for source in opened], conversion.suffix, is_one=conversion.is_one)
        say = said.append if said is not None else lambda note: None
        passes = lambda missing, form: build(missing, form, Inline(), 2)  # noqa: E731
        whole = Asked(opened, names, passes, say=say, **asked)
        return conversion.convert(whole, open_destination(str(folder)), Engine(Inline()))


def made(report: Report, folder: Path) -> list[Path]:
    report.check()
    return [folder / name for names in report.made.values() for name in names]


def points(path: Path) -> np.ndarray[Any, Any]:
    """Return the points of a file as laspy reads them, sorted by their bytes."""
    records = laspy.read(path).points.array
    return np.sort(np.ascontiguousarray(records).view(f"V{records.dtype.itemsize}"))


def copc(path: Path) -> Any:
    """Open a file by copclib, which finds every point within its node, and by laspy, which finds all of them."""
    reader = copclib.FileReader(str(path))
    assert reader.ValidateSpatialBounds()
    with laspy.CopcReader.open(str(path)) as other:
        assert len(other.query()) == reader.copc_config.las_header.point_count
    return reader
