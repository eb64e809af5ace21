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
from collections.abc import Iterator
from importlib import import_module
from types import FrameType
from typing import Any

from cbtool import errors
from cbtool.backends import group
from cbtool.errors import CbtoolError

GRACE_S = 1.5
"""How long a worker that is told to stop may take to unwind, before it is ended as it is."""

SWITCH_S = 0.0005
PR_SET_PDEATHSIG = 1


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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    channel = Channel(descriptor)
    group.announce = lambda pgid: channel.send(b'{"group":%d}' % pgid)
    threading.Thread(target=_watch, args=(descriptor, parent), daemon=True).start()
    try:
        lines = channel.lines()
        theirs = json.loads(next(lines))["path"]
        sys.path[:] = theirs + [path for path in sys.path if path not in theirs]
        channel.send(b'{"ready":true}')
        for line in lines:
            channel.send(run(line))
    except (Stopped, BrokenPipeError, ConnectionResetError, StopIteration):
        pass
    finally:
        sys.stderr.flush()
        _leave()


def run(line: bytes) -> bytes:
    """Do the task in *line*; return the frame with its result or its error."""
    try:
        task = json.loads(line)
        module, _, name = task["call"].partition(":")
        result = getattr(import_module(module), name)(task)
        return json.dumps({"result": result}).encode()
    except Stopped:
        raise
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        return json.dumps({"error": describe(error)}).encode()


def describe(error: BaseException) -> dict[str, Any]:
    """Return what of *error* goes to the driver: ours with all that they say, others with their traceback."""
    if isinstance(error, CbtoolError):
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == CbtoolError.__module__]
        facts = {name: fact if _is_plain(fact) else str(fact) for name, fact in error.facts.items()}
        return {"kind": kinds[0], "message": str(error), "hint": error.hint, "facts": facts}
    import traceback

    text = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"message": message, "facts": {"type": type(error).__name__, "traceback": text}}


def revive(error: dict[str, Any]) -> CbtoolError:
    """Return the exception that `describe` described: of its own class if that is one of ours, else TaskFailed."""
    kind = getattr(errors, error.get("kind", "TaskFailed"))
    revived = kind(error["message"], hint=error.get("hint"), **error.get("facts", {}))
    assert isinstance(revived, CbtoolError)
    return revived


def _is_plain(fact: object) -> bool:
    return fact is None or isinstance(fact, (str, int, float, bool))


def _stop(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not break off the unwinding.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, frame: None)
    threading.Thread(target=_give_up, daemon=True).start()
    raise Stopped(128 + number)


def _give_up() -> None:
    time.sleep(GRACE_S)
    _leave()


def _leave() -> None:
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
