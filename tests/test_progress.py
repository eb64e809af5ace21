from __future__ import annotations

import io
from typing import Any

import pytest

from cbtool import progress
from cbtool.errors import TaskFailed
from cbtool.job import JobEvent
from cbtool.progress import Teller
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
