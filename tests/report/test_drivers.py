from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cbtool import ledger as ledgers
from cbtool.destination import Destination, Folder
from cbtool.ledger import Ledger
from cbtool.report.drivers import drivers, parse
from tests.test_ledger import KEY, MADE, destination

__all__ = ["destination"]
NOW = 1_760_000_000.0


def beat(place: Destination, token: str, at: float, running: dict[str, Any], **more: Any) -> None:
    """Leave a driver's sign of life, last seen *at* seconds from NOW."""
    fields = {"v": 1, "backend": "local", "workers": 2, "host": "here", "pid": 7, "began": NOW - 60, "at": NOW + at}
    fields |= {"every_s": 1.0, "running": running, "ended": None, "limits": {}, "predicted": None, **more}
    place.replace(f".cbtool/driver-{token}.json", [json.dumps(fields).encode()])


def test_a_chunk_runs_if_its_driver_lives(destination: Destination) -> None:
    ledger = Ledger.claim(destination, KEY, MADE)
    ledger.record(chunk=1, attempt=1, ended="failed", error="exit status 1")
    ledger.close()
    destination.create("x-00000.out", [b"1"])
    beat(destination, "aa", -1.0, {"0": NOW - 9, "1": NOW - 5})
    found = ledgers.status(destination, lambda: NOW)
    # What is done is done, whatever a driver that has not noticed says; and what is tried again has not failed.
    assert (found.done, found.running, found.failed, found.to_come) == ([0], {1: NOW - 5}, {}, [2])
    assert [one.pid for one in found.alive] == [7] and found.gone == []


def test_a_driver_without_a_beat_for_three_is_gone_and_its_chunks_are_to_come(tmp_path: Path) -> None:
    place = Folder(str(tmp_path))
    Ledger.claim(place, KEY, MADE).record(chunk=0, attempt=1, ended="failed", error="no")
    beat(place, "aa", -3.5, {"1": NOW - 9})
    found = ledgers.status(place, lambda: NOW)
    assert (found.running, list(found.failed), found.to_come) == ({}, [0], [1, 2])
    assert found.alive == [] and [list(one.running) for one in found.gone] == [[1]]


def test_a_driver_that_has_ended_is_neither_at_work_nor_gone(tmp_path: Path) -> None:
    place = Folder(str(tmp_path))
    Ledger.claim(place, KEY, MADE)
    beat(place, "aa", 0.0, {}, ended="done")
    found = ledgers.status(place, lambda: NOW)
    assert (found.alive, found.gone, found.to_come) == ([], [], [0, 1, 2])


def test_two_drivers_at_once_are_both_seen(tmp_path: Path) -> None:
    place = Folder(str(tmp_path))
    Ledger.claim(place, KEY, MADE)
    beat(place, "aa", 0.0, {"0": NOW - 1}, pid=1, began=NOW - 5)
    beat(place, "bb", 0.0, {"2": NOW - 2}, pid=2, began=NOW - 9)
    found = ledgers.status(place, lambda: NOW)
    assert [one.pid for one in found.alive] == [2, 1] and list(found.running) == [0, 2] and found.to_come == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_sign_of_life_says_nothing(tmp_path: Path, content: bytes) -> None:
    place = Folder(str(tmp_path))
    place.replace(".cbtool/driver-aa.json", [content])
    assert drivers(place) == []


def test_what_makes_no_sense_in_a_sign_of_life_is_left_out() -> None:
    found = parse(
        {"at": "now", "workers": -1, "running": {"1": "x", "one": 2}, "limits": [], "predicted": 3, "pid": {}}
    )
    assert (found.at, found.workers, found.running, found.limits, found.predicted) == (0.0, 0, {1: 0.0}, {}, {})
    assert not found.is_alive(NOW)
