from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cbtool import driver as drivers
from cbtool.contracts import Limits
from cbtool.destination import Folder
from cbtool.driver import Driver
from cbtool.errors import CannotWrite, ChunksFailed
from tests.processes import until


def beat(folder: Path) -> dict[str, Any]:
    (path,) = (folder / ".cbtool").glob("driver-*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def one(folder: Path, **more: Any) -> Driver:
    return Driver(Folder(str(folder)), "local", Limits(concurrency=3, price="lambda"), **more)


def test_a_beat_says_what_runs_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "EVERY_S", 0.02)
    times = iter(range(1000, 9000))
    with one(tmp_path, clock=lambda: float(next(times)), predicted={"chunks": 4}).beating() as driver:
        driver.begun(7)
        driver.begun(3)
        driver.ended(7)
        until(lambda: list(tmp_path.glob(".cbtool/driver-*")) != [] and list(beat(tmp_path)["running"]) == ["3"])
        found = beat(tmp_path)
        assert (found["backend"], found["workers"], found["pid"]) == ("local", 3, os.getpid())
        assert found["limits"]["price"] == "lambda" and found["predicted"] == {"chunks": 4}
        assert found["began"] == 1000 and found["ended"] is None and found["every_s"] == 0.02
        until(lambda: beat(tmp_path)["at"] > found["at"])
    assert beat(tmp_path)["ended"] == "done"


@pytest.mark.parametrize("error, how", [(ChunksFailed("x"), "failed"), (KeyboardInterrupt(), "stopped")])
def test_it_says_how_it_ended(tmp_path: Path, error: BaseException, how: str) -> None:
    with pytest.raises(type(error)), one(tmp_path).beating():
        raise error
    assert beat(tmp_path)["ended"] == how


def test_a_beat_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise CannotWrite("no space left")

    monkeypatch.setattr(Folder, "replace", full)
    done = False
    with one(tmp_path).beating():
        done = True
    assert done
