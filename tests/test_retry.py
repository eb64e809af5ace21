"""The policy for retries, without a network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from cbtool import retry
from cbtool.errors import StaleError, Unavailable
from cbtool.retry import AT_ONCE, ATTEMPTS, Passing, again, at_once, whole
from cbtool.source import STREAM_BLOCK_BYTES

DATA = bytes(range(256)) * 40


def test_again_returns_what_comes_after_failures_that_pass() -> None:
    failures = [Passing("answered 503"), Passing("broke off")]

    def call() -> int:
        if failures:
            raise failures.pop()
        return 7

    assert again("s3://b/k", call) == 7


def test_again_gives_up_in_one_line_that_says_why() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise Passing("answered 503 (SlowDown)")

    with pytest.raises(Unavailable, match=r"^s3://b/k: 6 tries failed: it answered 503 \(SlowDown\)$") as caught:
        again("s3://b/k", call)
    assert len(calls) == ATTEMPTS == 6
    assert caught.value.exit_code == 69


def test_again_leaves_other_errors_alone() -> None:
    def call() -> None:
        raise StaleError("changed")

    with pytest.raises(StaleError):
        again("s3://b/k", call)


def test_whole_goes_on_from_where_it_broke_off() -> None:
    asked: list[tuple[int, int]] = []

    def get(start: int, length: int) -> Iterator[bytes]:
        asked.append((start, length))
        yield DATA[start : start + min(length, 3000)]
        if length > 6000:
            raise Passing("broke off")

    assert b"".join(whole("u", 100, 9000, get)) == DATA[100:9100]
    assert asked == [(100, 9000), (3100, 6000), (6100, 3000)]


def test_whole_asks_for_nothing_where_nothing_is_wanted() -> None:
    def get(start: int, length: int) -> Iterator[bytes]:
        raise AssertionError

    assert list(whole("u", 100, 0, get)) == []


def test_whole_counts_tries_anew_after_progress_but_not_after_little() -> None:
    def much(start: int, length: int) -> Iterator[bytes]:
        yield bytes(min(length, STREAM_BLOCK_BYTES))
        raise Passing("broke off")

    def little(start: int, length: int) -> Iterator[bytes]:
        yield b"x"
        raise Passing("broke off")

    assert sum(map(len, whole("u", 0, 20 * STREAM_BLOCK_BYTES + 5, much))) == 20 * STREAM_BLOCK_BYTES + 5
    with pytest.raises(Unavailable):
        list(whole("u", 0, 1000, little))


def test_pauses_grow_are_random_and_heed_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.25)
    monkeypatch.setattr("time.sleep", slept.append)
    for failures in range(1, ATTEMPTS):
        retry.pause("u", Passing("broke off"), failures)
    for i, seconds in enumerate(slept, 1):
        assert 0.125 * 2**i <= seconds <= 0.25 * 2**i
    retry.pause("u", Passing("answered 429", after_s=5), 1)
    retry.pause("u", Passing("answered 429", after_s=10**9), 1)
    assert slept[-2:] == [5, retry.LONGEST_PAUSE_S]


def test_calls_run_at_once_and_their_results_keep_the_order() -> None:
    meet = threading.Barrier(AT_ONCE, timeout=10)

    def one(i: int) -> int:
        meet.wait()
        return i

    assert list(at_once([partial(one, i) for i in range(4 * AT_ONCE)])) == list(range(4 * AT_ONCE))


def test_the_first_error_ends_what_runs_at_once() -> None:
    done: list[int] = []

    def one(i: int) -> None:
        if i == 3:
            raise StaleError("changed")
        time.sleep(0.01)
        done.append(i)

    with pytest.raises(StaleError):
        list(at_once([partial(one, i) for i in range(1000)]))
    assert len(done) < 500


@pytest.mark.parametrize("read", ["read(0, 10)", "read_many([(0, 10), (10**8, 10)])", "check()"])
@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_signal_is_heeded_while_a_service_is_silent(credentials: None, scheme: str, read: str) -> None:
    code = (
        "import signal, sys; from cbtool.source import open_source\n"
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(7))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
        "open_source(sys.argv[1], version='etag:a', size=10**9)." + read
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = os.environ | {"AWS_ENDPOINT_URL": url}
        uri = "s3://bucket/key" if scheme == "s3" else url + "/key"
        done = subprocess.run([sys.executable, "-c", code, uri], env=environment, timeout=10)
    assert done.returncode == 7
