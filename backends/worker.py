"""An interpreter that runs tasks for the driver that started it: ``python -m cbtool.backends.worker FD PARENT``.

Frames are lines of JSON over the socket *FD*, so that a task may print: its stdout is this process's stderr.
The worker imports what a task names and nothing of the driver's main module, and it never outlives the driver.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import FrameType
from typing import Any

from cbtool.backends import group
from cbtool.contracts import Frame
from cbtool.errors import describe
from cbtool.spending import Account, process_age_s

GRACE_S = 1.5
"""How long a worker that is told to stop may take to unwind, before it is ended as it is."""

SWITCH_S = 0.0005
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES, MAPPED_BYTES = 64 << 20, 32 << 20
"""What malloc keeps of freed memory, and from where on it maps a block alone: the most that it comes to by itself."""
PR_SET_PDEATHSIG = 1

start_s: float | None = None
"""How long this worker took to start, until that is told with its first task."""


class Stopped(SystemExit):
    """The driver wants this worker gone, or is gone itself: unwind, so that temporary files are removed."""


class Channel:
    """Lines of JSON over one descriptor."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self.descriptor = descriptor
        self._sending = threading.Lock()

    def lines(self) -> Iterator[bytes]:
        with os.fdopen(self.descriptor, "rb", closefd=False) as file:
            yield from file

    def send(self, frame: bytes) -> None:
        with self._sending:
            view = memoryview(frame + b"\n")
            while view:
                view = view[os.write(self.descriptor, view) :]


def main(descriptor: int, parent: int) -> None:
    """Run the tasks that come over *descriptor* until it is closed or the process *parent* is gone."""
    os.dup2(2, 1)
    # The thread that feeds a command would else keep the one that reads it waiting for 5 ms at each turn.
    sys.setswitchinterval(SWITCH_S)
    heed_signals()
    keep_memory()
    channel = Channel(descriptor)
    group.announce = lambda pgid: channel.send(b'{"group":%d}' % pgid)
    threading.Thread(target=_watch, args=(descriptor, parent), daemon=True).start()
    try:
        lines = channel.lines()
        theirs = json.loads(next(lines))["path"]
        sys.path[:] = theirs + [path for path in sys.path if path not in theirs]
        channel.send(b'{"ready":true}')
        global start_s
        start_s = process_age_s()
        for line in lines:
            channel.send(json.dumps(perform(json.loads(line))).encode())
    except (Stopped, BrokenPipeError, ConnectionResetError, StopIteration):
        pass
    finally:
        sys.stderr.flush()
        leave()


def perform(task: Mapping[str, Any]) -> Frame:
    """Do *task*; return the frame with its result or its error, and what it took. Every engine's workers call this."""
    global start_s
    account, start_s = Account(start_s), None
    try:
        module, _, name = task["call"].partition(":")
        frame = {"result": getattr(import_module(module), name)(task)}
    except Stopped:
        raise
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        frame = {"error": describe(error)}
    frame["spent"] = account.close()
    return frame


def perform_many(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do the tasks in ``task["tasks"]``, one after another, and return their frames: one call instead of many."""
    return {"frames": [perform(one) for one in task["tasks"]]}


def keep_memory() -> None:
    """Have malloc keep what is freed for the next block: pages that are given back and asked for anew are zeroed, at
    more than the work on arrays that lie in them may take (mallopt(3); other libraries than glibc have none)."""
    import ctypes

    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def heed_signals() -> None:
    """Take SIGINT and SIGTERM for the wish to stop: what runs unwinds, by `Stopped`, or is ended after `GRACE_S`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not break off the unwinding.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, frame: None)
    threading.Thread(target=_give_up, daemon=True).start()
    raise Stopped(128 + number)


def _give_up() -> None:
    time.sleep(GRACE_S)
    leave()


def leave() -> None:
    """End at once, with all that the tasks started and left behind: groups, children in this group, threads."""
    group.kill_groups()
    if os.getpgrp() == os.getpid():
        group.kill(os.getpid())
    os._exit(0)


def _watch(descriptor: int, parent: int) -> None:
    """Stop this worker when its driver dies: the socket hangs up, or the kernel sends SIGTERM."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() == parent:
        poll = select.poll()
        poll.register(descriptor, 0)
        poll.poll()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    # Where the main thread is in code that does not come back to Python, it is ended from here.
    _give_up()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
