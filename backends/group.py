"""Process groups: what a task starts runs in a group of its own, and is ended whole."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cbtool.errors import UsageError

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 0.5

announce: Callable[[int], None] | None = None
"""Told each group as soon as it is there; a worker tells its driver, which ends it should the worker be killed."""

_groups: set[int] = set()


@contextmanager
def process_group(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start *argv* in a process group of its own; whatever of the group is left at the end of the block is killed."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with _held():
            process = _started(argv, options)
            _groups.add(process.pid)
            if announce is not None:
                announce(process.pid)
        yield process
    finally:
        if process is not None:
            _end(process)


def _started(argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, process_group=0, **options)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{argv[0]}: cannot be run: {why}", hint="is it installed, executable, on PATH?") from None


def wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait until *process* has ended, and leave it unreaped: its number stays taken until its group is killed."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def kill_groups() -> None:
    """Kill every group that is still there; for a worker that cannot unwind."""
    for group in tuple(_groups):
        kill(group)


def kill(group: int) -> None:
    """Kill all processes of *group*; it is no error if there are none."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.returncode is None and not _ended(process):
            # A command that cleans up after itself gets the time to do so.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            _wait_a_moment(process)
    finally:
        kill(process.pid)
        process.wait()
        _groups.discard(process.pid)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _wait_a_moment(process: subprocess.Popen[bytes]) -> None:
    import select

    descriptor = os.pidfd_open(process.pid)
    try:
        select.select([descriptor], [], [], GRACE_S)
    finally:
        os.close(descriptor)


@contextmanager
def _held() -> Iterator[None]:
    """Put off the signals that end a program until the block is over, so that a process just started is known."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {number: handler for number in STOPS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def is_alive(process: int) -> bool:
    """Say whether *process* is there, and more than a status that nobody has asked for."""
    return _session_of(process) is not None


def in_session(leader: int) -> list[int]:
    """Return the processes that live in the session that *leader* began."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _session_of(int(name)) == leader]


def _session_of(process: int) -> int | None:
    """Return the session of a process that lives (proc(5): the state and the fourth field behind the name)."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{process}/stat", "rb") as file:
        state, _, _, session = file.read().rpartition(b")")[2].split()[:4]
        return int(session) if state not in (b"Z", b"X") else None
    return None
