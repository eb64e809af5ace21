"""The engine that is always there: worker processes on this machine, one task at a time in each."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from cbtool.backends import group, worker
from cbtool.contracts import EngineSettings, Frame, Limits
from cbtool.errors import ConfigError, WorkerDied

Item = tuple[Future[Frame], bytes]
READ_BYTES = 256 * 1024
TICK_S = 1.0
GRACE_S = 2 * worker.GRACE_S
"""After this long a worker that was told to stop is killed."""


class Local:
    """Runs tasks in interpreters of their own, which are started as tasks come, and die with this process.

    A thread a worker hands it the next task and waits for what it says; a worker that dies is replaced.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.workers = settings.workers or len(os.sched_getaffinity(0))
        self.limits = Limits(settings.memory_bytes, concurrency=self.workers)
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._lanes: list[_Lane] = []
        self._closed = False

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        if self._closed:
            raise RuntimeError("the backend is closed")
        future: Future[Frame] = Future()
        self._queue.put((future, json.dumps(task).encode() + b"\n"))
        if len(self._lanes) < self.workers:
            self._lanes.append(_Lane(self._queue))
        return future

    def cancel(self, future: Future[Frame]) -> None:
        """End the task, its worker and all that it started; the future ends with `WorkerDied` once they are gone."""
        if not future.cancel():
            for lane in self._lanes:
                lane.stop(future)

    def close(self) -> None:
        self._closed = True
        with suppress(Empty):
            while True:
                if item := self._queue.get_nowait():
                    item[0].cancel()
        for lane in self._lanes:
            self._queue.put(None)
            lane.stop()
        for lane in self._lanes:
            lane.thread.join()
        self._lanes.clear()


class _Lane:
    """One worker at a time, and the thread that minds it."""

    def __init__(self, queue: SimpleQueue[Item | None]) -> None:
        self._queue = queue
        self._future: Future[Frame] | None = None
        self._worker: _Worker | None = None
        self._changing = threading.Lock()
        self.thread = threading.Thread(target=self._run, name="cbtool-lane", daemon=True)
        self.thread.start()

    def stop(self, future: Future[Frame] | None = None) -> None:
        """Stop the worker, if it is busy with *future*; without one, whatever it does."""
        with self._changing:
            if self._worker and future in (None, self._future):
                self._worker.stop()

    def _run(self) -> None:
        # The kernel takes the thread that starts a worker for its parent: it lives until the worker is gone.
        try:
            while (item := self._queue.get()) is not None:
                self._do(*item)
        finally:
            self._let_go()

    def _do(self, future: Future[Frame], line: bytes) -> None:
        frame: Frame | Exception
        try:
            one = self._ready_for(future)
            if not future.set_running_or_notify_cancel():
                return
            frame = one.ask(line)
        except Exception as problem:
            frame = problem
        with self._changing:
            self._future = None
        if isinstance(frame, Exception):
            future.set_exception(frame)
        else:
            future.set_result(frame)

    def _ready_for(self, future: Future[Frame]) -> _Worker:
        """Return a worker that lives, for *future*."""
        if self._worker is not None and self._worker.is_leaving():
            self._let_go()
        with self._changing:
            self._future = future
            if self._worker is None:
                self._worker = _Worker()
            return self._worker

    def _let_go(self) -> None:
        with self._changing:
            leaving, self._worker = self._worker, None
        if leaving is not None:
            leaving.close()


class _Worker:
    """A worker process, seen from the driver."""

    def __init__(self) -> None:
        self._groups: list[int] = []
        self._ready = False
        self._unread = b""
        self._kill_at: float | None = None
        self.socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", worker.__name__, str(theirs.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        self._poll = select.poll()
        self._poll.register(self.socket, select.POLLIN)
        self._poll.register(self.pidfd, select.POLLIN)
        path = [os.path.abspath(one) for one in sys.path]
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(json.dumps({"path": path}).encode() + b"\n")

    def ask(self, line: bytes) -> dict[str, Any]:
        """Hand over the task in *line* and return the frame that ends it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(line)
        while True:
            frame: dict[str, Any] = json.loads(self._line())
            if "group" in frame:
                self._groups.append(frame["group"])
            elif "ready" in frame:
                self._ready = True
            else:
                self._groups.clear()
                return frame

    def _line(self) -> bytes:
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            parts.append(self._receive())
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line

    def _receive(self) -> bytes:
        # The end of the process counts, and not that of the stream, which a child of it may still hold open.
        while not (ready := {descriptor for descriptor, _ in self._poll.poll(TICK_S * 1000)}):
            self._insist()
        if self.socket.fileno() in ready:
            with suppress(ConnectionResetError):
                if block := self.socket.recv(READ_BYTES):
                    return block
        raise self._death()

    def _death(self) -> Exception:
        status = self.close()
        if not self._ready and status > 0:
            return ConfigError(f"{sys.executable}: a worker could not start (status {status})")
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = "was it out of memory? more and smaller chunks, or fewer workers (-j)" if status == -9 else None
        return WorkerDied(f"the worker died: {how}", hint=hint, worker_status=status)

    def is_leaving(self) -> bool:
        return self._kill_at is not None or self._is_gone(0)

    def stop(self) -> None:
        """Tell the worker to stop; whoever waits for it kills it if it does not go soon."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def close(self) -> int:
        """End the worker and all that it started; return its status once it is gone."""
        if self.process.returncode is None:
            self.stop()
            while not self._is_gone(TICK_S):
                self._insist()
            # Before the worker is reaped, so that its number cannot be another's.
            for one in (self.process.pid, *self._groups):
                group.kill(one)
            self.process.wait()
            self.socket.close()
            os.close(self.pidfd)
        return self.process.returncode

    def _is_gone(self, wait_s: float) -> bool:
        return bool(select.select([self.pidfd], [], [], wait_s)[0])

    def _insist(self) -> None:
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
