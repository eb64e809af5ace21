"""Lithops: worker processes of this machine, or whatever cloud its own configuration names.

What speaks to Lithops is a process of its own, `cbtool.backends.on_lithops.bridge`; this side carries tasks to it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from typing import Any

from cbtool.backends import group
from cbtool.backends.on_lithops.config import backend_of, read_config
from cbtool.backends.on_lithops.image import dockerfile, next_step
from cbtool.backends.worker import Channel
from cbtool.contracts import EngineSettings, Frame, Limits
from cbtool.errors import ConfigError, Unavailable, WorkerDied, revive

if find_spec("lithops") is None:
    raise ModuleNotFoundError("No module named 'lithops'", name="lithops")

__all__ = ["Lithops", "dockerfile", "next_step"]

BRIDGE = "cbtool.backends.on_lithops.bridge"
OVERHEAD_HERE_S = 0.4
"""About what a call takes here besides its task: an interpreter that imports Lithops (see `benchmarks.engines`)."""
OVERHEAD_AWAY_S = 2.0
"""The same elsewhere: Lithops looks every two seconds for what has ended. Not measured here."""
FOREVER_S = 2_000_000
"""No limit, as far as Lithops can count (poll(2) takes milliseconds in 31 bits)."""
LEAVE_S = 30.0
"""How long the bridge may take to end what runs and to remove what it stored."""


class Lithops:
    """Runs each task in a call of Lithops, several at once, on the backend that its configuration names.

    Without a configuration that is this machine, with this interpreter. There each call is a process of its own.
    """

    def __init__(self, settings: EngineSettings) -> None:
        config, self.origin = read_config(settings.config)
        here = backend_of(config) == "localhost"
        workers = settings.workers or len(os.sched_getaffinity(0))
        self._lock = threading.Lock()
        self._futures: dict[int, Future[Frame]] = {}
        self._numbers = count()
        self._closed = self._is_gone = False
        self._folder = tempfile.mkdtemp(prefix="cbtool-lithops-")
        self._said = tempfile.TemporaryFile()
        try:
            self._start(here)
            self._channel.send(json.dumps(_opening(config, settings, here, workers)).encode())
            self._lines = self._channel.lines()
            self.limits = self._ready(settings, workers)
        except BaseException:
            self.close()
            raise
        self._listener = threading.Thread(target=self._listen, name="cbtool-lithops", daemon=True)
        self._listener.start()

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        future: Future[Frame] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError("the backend is closed")
            if self._is_gone:
                future.set_exception(Unavailable(f"the process that speaks to Lithops is gone: {self._last_words()}"))
                return future
            number = next(self._numbers)
            self._futures[number] = future
        self._tell({"number": number, "task": dict(task)})
        return future

    def cancel(self, future: Future[Frame]) -> None:
        """End the task: on this machine its worker and all that it started, elsewhere only our waiting for it."""
        with self._lock:
            number = next((number for number, one in self._futures.items() if one is future), None)
        if number is not None:
            self._tell({"cancel": number})

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if hasattr(self, "process"):
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            if not hasattr(self, "_listener"):
                # It is not open yet, or could not be: nothing runs, and Lithops may be waiting for who does not answer.
                group.kill(self.process.pid)
            try:
                self.process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                group.kill(self.process.pid)
                self.process.wait()
            if hasattr(self, "_listener"):
                self._listener.join()
            self._socket.close()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, here: bool) -> None:
        # Lithops takes these for its own files when it is imported: on this machine none of them are to stay.
        environment = {**os.environ, "TMPDIR": self._folder, **({"HOME": self._folder} if here else {})}
        self._socket, theirs = socket.socketpair()
        self._channel = Channel(self._socket.fileno())
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", BRIDGE, str(theirs.fileno()), self._folder],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=environment,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    def _ready(self, settings: EngineSettings, workers: int) -> Limits:
        """Wait until Lithops is there; return what it allows."""
        said = json.loads(next(self._lines, b"null") or b"null")
        if said is None:
            raise ConfigError(f"lithops could not start: {self._last_words()}")
        if "refused" in said:
            raise revive(said["refused"])
        found = said["ready"]
        concurrency = settings.workers or found["concurrency"] or workers
        overhead_s = OVERHEAD_AWAY_S if found["remote"] else OVERHEAD_HERE_S
        return Limits(**{**found, "concurrency": concurrency}, overhead_s=overhead_s)

    def _tell(self, fields: Mapping[str, Any]) -> None:
        # Should the bridge be gone, the listener says so to whoever waits.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._channel.send(json.dumps(fields).encode())

    def _listen(self) -> None:
        """End futures as the bridge says, and all that are left when it is gone."""
        with suppress(ConnectionResetError):
            for line in self._lines:
                said = json.loads(line)
                with self._lock:
                    future = self._futures.pop(said["number"])
                if "trouble" in said:
                    future.set_exception(revive(said["trouble"]))
                else:
                    future.set_result(said["frame"])
        with self._lock:
            self._is_gone = True
            left = list(self._futures.values())
            self._futures.clear()
        for future in left:
            future.set_exception(WorkerDied(f"the process that speaks to Lithops died: {self._last_words()}"))

    def _last_words(self) -> str:
        if self._said.closed:
            return "it was closed"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _opening(config: dict[str, Any], settings: EngineSettings, here: bool, workers: int) -> dict[str, Any]:
    """Return what the bridge is told first."""
    section = config.setdefault("lithops", None) or {}
    timed = "execution_timeout" in section
    # Lithops' process that removes data in the background outlives the run: the bridge removes it itself.
    ours = {"data_cleaner": False, "telemetry": False}
    config["lithops"] = {"data_limit": 0, **({"execution_timeout": FOREVER_S} if here else {}), **section, **ours}
    overrides: dict[str, Any] = {}
    if here:
        # Version 1 runs one job at a time, so that a slow task would hold up the others. Left alone, Lithops looks for
        # the name of this interpreter on PATH, and finds another where an environment is not activated.
        runtime = (config.get("localhost") or {}).get("runtime") or sys.executable
        overrides = {"version": 2, "runtime": runtime, "worker_processes": workers}
    return {
        "config": config,
        "overrides": overrides,
        "home": os.environ.get("HOME", "/"),
        "here": {"path": [os.path.abspath(one) for one in sys.path], "tmp": tempfile.gettempdir()},
        "timed": timed,
        "memory_mb": math.ceil(settings.memory_bytes / 2**20) if settings.memory_bytes else None,
        "timeout_s": math.ceil(settings.timeout_s) if settings.timeout_s else None,
    }
