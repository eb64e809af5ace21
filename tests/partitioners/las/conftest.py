from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import laspy
import numpy as np

from cbtool.index import Index
from cbtool.partitioners.las.groups import Groups, LasFile, decode_groups, groups_of, open_las
from cbtool.partitioners.las.records import Records
from cbtool.partitioners.las.survey import merge, survey
from cbtool.source import LocalSource, Source
from fixtures.clouds import CLOUDS
from tests.partitioners.gzip.conftest import BytesSource
from tests.processes import ROOT

DATA = ROOT.parent / "shared" / "data" / "lidar"
UNREADABLE = "pdal_simple-laszip-compressor-version-1.2r0.laz"
"""One stream without chunks: refused, with a hint."""
REAL = sorted(path for path in DATA.glob("*.la[sz]") if path.name != UNREADABLE)
EVERY = [*CLOUDS, *REAL]


def name_of(one: str | Path) -> str:
    return one if isinstance(one, str) else one.name


def content(one: str | Path) -> bytes | Path:
    """Return the bytes of a fixture, or the path of a real file."""
    return made(one) if isinstance(one, str) else one


@cache
def made(name: str) -> bytes:
    """Return the bytes of a fixture, which is made once."""
    return CLOUDS[name]()


def opened(data: bytes | Path) -> tuple[LasFile, Groups]:
    source: Source = BytesSource(data) if isinstance(data, bytes) else LocalSource(str(data))
    file = open_las(source)
    return file, groups_of(file)


def decoded(file: LasFile, groups: Groups) -> Records:
    """Return all points of *groups*, each decoded alone."""
    found = [
        decode_groups(file, file.source.read(start, length), [count], [length])
        for start, length, count in zip(
            *(one.tolist() for one in (groups.start, groups.length, groups.count)), strict=True
        )
    ]
    return np.concatenate(found) if found else np.zeros(0, np.uint8).view([("X", "u1")])


def judged(data: bytes | Path) -> Any:
    """Return what laspy makes of a file."""
    return laspy.read(io.BytesIO(data) if isinstance(data, bytes) else str(data))


@cache
def indexed(data: bytes | Path, *, thorough: bool = False) -> tuple[LasFile, Index]:
    """Return a file with its index, made in one part."""
    file, groups = opened(data)
    return file, merge([survey(file, groups, (0, file.source.size), thorough=thorough)])
