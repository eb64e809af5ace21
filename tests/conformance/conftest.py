"""The stores in which every promise is held: a folder, and object storage on loopback by two servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbtool.contracts import Backend
from cbtool.destination import Destination, open_destination
from cbtool.session import engine
from tests.conformance.all_cases import CASES
from tests.conformance.cases import Case, Files
from tests.conformance.engines import ENGINES, Ready
from tests.conftest import S3

STORES = ("folder", "s3")
REAL = "rgw"
"""Where ``s3`` is moto's server: a real one, for one case of each format."""


@dataclass
class Store:
    """A place for sources and outputs; *top* is what its URIs begin with."""

    kind: str
    top: str
    s3: S3 | None = None

    def put(self, name: str, data: bytes) -> str:
        if self.s3:
            return self.s3.put(name, data)
        path = Path(self.top) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def put_all(self, files: Files) -> list[str]:
        return [self.put(name, data) for name, data in files.items()]

    def at(self, name: str) -> str:
        return f"{self.top}/{name}"

    def get(self, name: str) -> bytes:
        return self.s3.get(name) if self.s3 else (Path(self.top) / name).read_bytes()

    def destination(self, name: str) -> Destination:
        return open_destination(self.at(name))

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all files, but for those in hidden folders."""
        if self.s3:
            found = self.s3.keys()
        else:
            top = Path(self.top)
            found = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()]
        return sorted(name for name in found if name.startswith(prefix) and "/.cbtool" not in name)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Every case."""
    found: Case = request.param
    return found


@pytest.fixture(params=[case for case in CASES if case.main], ids=str)
def main_case(request: pytest.FixtureRequest) -> Case:
    """One case for each format."""
    found: Case = request.param
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        kinds = (*STORES, REAL) if "main_case" in metafunc.fixturenames else STORES
        metafunc.parametrize("store", kinds, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store."""
    return opened(request.param, request, tmp_path)


PLACES = [(case, kind) for case in CASES for kind in STORES if case.main or kind == "folder"]


@pytest.fixture(params=PLACES, ids=[f"{case}-{kind}" for case, kind in PLACES])
def placed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Case, Store]:
    """Every case in a folder, and those that stand for their format in object storage too."""
    case, kind = request.param
    return case, opened(kind, request, tmp_path)


def opened(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if kind == "folder":
        (tmp_path / "store").mkdir()
        return Store("folder", str(tmp_path / "store"))
    s3: S3 = request.getfixturevalue(kind)
    return Store("s3", f"s3://{s3.bucket}", s3)


@pytest.fixture(params=ENGINES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Every engine, open."""
    start, kinds = ENGINES[request.param]
    if "folder" not in kinds:
        request.getfixturevalue("s3")  # for what the engine itself keeps there
    with start(tmp_path / "engine") as ready, engine(ready.name, ready.settings) as one:
        yield one


REACHED = [(name, kind) for name, (_, kinds) in ENGINES.items() for kind in kinds]


@pytest.fixture(params=REACHED, ids=[f"{name}-{kind}" for name, kind in REACHED])
def reached(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ready, Store]]:
    """Every engine, started, with each store that its workers reach."""
    name, kind = request.param
    store = opened(kind, request, tmp_path)
    with ENGINES[name][0](tmp_path / "engine") as ready:
        yield ready, store
