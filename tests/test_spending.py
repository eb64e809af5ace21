from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbtool import spending
from cbtool.asked import Options
from cbtool.backends.worker import perform
from cbtool.session import make_plan
from cbtool.spending import SPENT, Account, Spending, process_age_s, total, waiting_for, writing
from tests.conftest import S3

MIB = 1024 * 1024


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def blocks(self, *blocks: bytes) -> Iterator[bytes]:
        """Yield *blocks*, each after a second."""
        for block in blocks:
            self.now += 1
            yield block


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(spending, "time", clock)
    return clock


def test_waiting_is_counted_and_the_readers_own_time_is_not(clock: Clock) -> None:
    spent = Spending()
    for _ in waiting_for(clock.blocks(b"x", b"y", b"z"), spent):
        clock.now += 10
    assert spent.sums() == {"read_s": 3}


def test_writing_is_counted_without_the_time_of_getting(clock: Clock) -> None:
    spent = Spending()
    with writing(clock.blocks(b"four", b"more"), spent) as blocks:
        assert b"".join(blocks) == b"fourmore"
        clock.now += 0.25
    assert spent.sums() == {"written_bytes": 8, "writes": 1, "write_s": 0.25}


def test_an_account_has_what_was_spent_since_it_was_opened() -> None:
    SPENT.add(requests=5)
    account = Account(start_s=0.25)
    SPENT.add(requests=2, read_bytes=100)
    sum(n * n for n in range(300_000))
    subprocess.run([sys.executable, "-c", "sum(n * n for n in range(3_000_000))"], check=True)
    found = account.close()
    assert (found["requests"], found["read_bytes"], found["start_s"]) == (2, 100, 0.25)
    assert found["cpu_s"] > 0.02 and found["wall_s"] >= found["cpu_s"] / 4
    assert abs(found["began"] - time.time()) < 60


TWO_TASKS = f"""
from cbtool.spending import Account
account = Account()
hoard = bytearray({300 * MIB})
print(account.close()["peak_bytes"])
del hoard
print(Account().close()["peak_bytes"])
"""


def test_the_peak_is_that_of_the_task_and_not_of_one_before() -> None:
    # In a process of its own: the largest child of this one, which other tests had, would count as well.
    told = subprocess.check_output([sys.executable, "-c", TWO_TASKS], text=True)
    first, second = map(int, told.split())
    assert first > 300 * MIB
    assert second < first - 200 * MIB or second == pytest.approx(first)  # a kernel may refuse to forget the peak


def test_a_task_says_what_it_read_and_wrote(s3: S3) -> None:
    plan = make_plan([s3.put("some.txt", b"a line\n" * 1000)], Options(chunks=4))
    frame = perform(
        {"call": "cbtool.stagers.write:stage", "chunk": plan[1].to_line(), "destination": f"s3://{s3.bucket}/out"}
    )
    spent = frame["spent"]
    assert (spent["requests"], spent["read_bytes"]) == (plan[1].requests, plan[1].n_bytes)
    assert (spent["writes"], spent["written_bytes"]) == (1, plan[1].n_bytes)


def test_totals_and_ages() -> None:
    assert total([{"a": 1}, {}, {"a": 2.5}], "a") == 3.5
    assert 0 < process_age_s() < 24 * 3600


def test_room_is_looked_for_before_a_chunk_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from cbtool.errors import CannotWrite
    from cbtool.stagers import scratch

    (tmp_path / "some.txt").write_text("a line\n" * 1000)
    (chunk,) = make_plan([str(tmp_path / "some.txt")], Options(chunks=1))
    scratch.check_room(str(tmp_path), chunk)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=6_999))
    with pytest.raises(CannotWrite, match="7 kB are free, and chunk 0 takes 7 kB"):
        scratch.check_room(str(tmp_path), chunk)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=7_000))
    scratch.check_room(str(tmp_path), chunk)
