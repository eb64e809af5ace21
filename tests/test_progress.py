from __future__ import annotations

import io
from typing import Any

import pytest

from cbtool import progress
from cbtool.errors import TaskFailed
from cbtool.events import JobEvent
from cbtool.progress import Teller
from cbtool.runner import Outcome
from tests.test_ledger import CHUNKS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tell(stream: io.StringIO, *events: JobEvent, **options: Any) -> str:
    with Teller(stream, **options) as teller:
        for event in events:
            teller(event)
    return stream.getvalue()


BEGIN = JobEvent("begin", total=3, kept=1)
DONE = JobEvent("done", CHUNKS[0])
FAILED = JobEvent("failed", CHUNKS[1], 1, error=TaskFailed("exit status 2: [no]", hint="try this", stderr="a\n[no]\n"))


def test_a_short_job_off_a_terminal_says_nothing_but_failures() -> None:
    assert tell(io.StringIO(), BEGIN, DONE) == ""
    assert tell(io.StringIO(), BEGIN, FAILED, quiet=True) == (
        "cbtool: chunk 1: exit status 2: [no]\ncbtool: hint: try this\n"
    )


def test_a_long_job_says_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    said = tell(io.StringIO(), BEGIN, DONE, DONE)
    assert said.startswith("cbtool: 2 of 3 chunks done, 1 of them before, in 0.") and said.count("\n") == 1


def test_a_terminal_gets_a_bar_and_failures_above_it() -> None:
    said = tell(Terminal(), BEGIN, DONE, FAILED)
    assert "cbtool: chunk 1: exit status 2: [no]" in said and "chunks" in said


def test_verbose_shows_retries_and_all_that_was_said() -> None:
    retry = JobEvent("retry", CHUNKS[2], 1, error=TaskFailed("exit status 1"))
    said = tell(io.StringIO(), BEGIN, retry, FAILED, verbose=True)
    assert "chunk 2: attempt 1: exit status 1; it is tried again" in said and "\na\n[no]\n" in said


def test_a_hint_and_a_traceback_are_said_once() -> None:
    error = TaskFailed("KeyError: 1", hint="look", traceback="Traceback …\n")
    events = [JobEvent("failed", chunk, 1, error=error) for chunk in CHUNKS]
    said = tell(io.StringIO(), BEGIN, *events)
    assert (said.count("KeyError"), said.count("look"), said.count("Traceback")) == (3, 1, 1)


def test_a_stopped_job_says_how_far_it_came() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        with Teller(stream) as teller:
            teller(BEGIN)
            raise KeyboardInterrupt
    assert stream.getvalue().startswith("cbtool: stopped: 1 of 3 chunks done")


def read(number: int, n_bytes: object) -> JobEvent:
    return JobEvent("done", CHUNKS[number], 1, Outcome(number, {}, None, 1, 1.0, {"read_bytes": n_bytes}))


def test_the_pace_is_what_was_read_and_what_is_left() -> None:
    now = [100.0]
    with Teller(io.StringIO(), clock=lambda: now[0]) as teller:
        teller(JobEvent("begin", total=5, kept=1))
        assert teller.pace() == ""
        now[0] += 4.0
        teller(read(0, 6_000_000))
        assert teller.pace() == "6 MB read, 1.5 MB/s, about 12 s to go"
        retry = Outcome(1, None, TaskFailed("no"), 1, 1.0, {"read_bytes": 2_000_000})
        teller(JobEvent("retry", CHUNKS[1], 1, retry, retry.error))
        teller(FAILED)
        assert teller.pace() == "8 MB read, 2 MB/s, about 4 s to go"
        teller(read(1, "many"))
        teller(read(2, 0))
        assert teller.pace() == "8 MB read, 2 MB/s"


def test_a_terminal_sees_chunks_bytes_rate_and_what_is_left() -> None:
    now = [100.0]
    stream = Terminal()
    with Teller(stream, clock=lambda: now[0]) as teller:
        teller(JobEvent("begin", total=4))
        now[0] += 2.0
        teller(read(0, 3_000_000))
    assert "1/4" in stream.getvalue() and "3 MB read, 1.5 MB/s" in stream.getvalue()


def test_off_a_terminal_a_line_says_the_pace_now_and_then() -> None:
    now = [100.0]
    stream = io.StringIO()
    with Teller(stream, clock=lambda: now[0]) as teller:
        teller(JobEvent("begin", total=9))
        for number, passed in enumerate((1.0, 10.0, 1.0, 40.0)):
            now[0] += passed
            teller(read(number % 3, 1_000_000))
    assert stream.getvalue().splitlines() == [
        "cbtool: 2 of 9 chunks done, in 11.0 s; 2 MB read, 182 kB/s, about 38 s to go",
        "cbtool: 4 of 9 chunks done, in 52.0 s; 4 MB read, 76.9 kB/s, about 1 min 5 s to go",
    ]
