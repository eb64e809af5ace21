"""A driver's sign of life: a small file beside the ledger that says what runs now, and when that was last seen."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from cbtool.contracts import Limits
from cbtool.destination import Destination, Folder
from cbtool.errors import CbtoolError

DRIVERS = ".cbtool/driver-"
EVERY_S = 1.0
EVERY_OBJECT_S = 30.0


class Driver:
    """One driver of a run on *destination*; *engine* says what it runs on.

    A beat that cannot be written is left out: it is no part of the work.
    """

    def __init__(
        self,
        destination: Destination,
        engine: str,
        limits: Limits,
        predicted: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination, self._clock = destination, clock
        self.every_s = EVERY_S if isinstance(destination, Folder) else EVERY_OBJECT_S
        self.name = f"{DRIVERS}{secrets.token_hex(6)}.json"
        self._facts = {
            "v": 1,
            "backend": engine,
            "workers": limits.concurrency,
            "limits": asdict(limits),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "began": round(clock(), 3),
            "every_s": self.every_s,
            "predicted": dict(predicted) if predicted else None,
        }
        self.how = "done"
        """How it is said to have ended if nothing stops it."""
        self._running: dict[int, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def begun(self, chunk: int) -> None:
        with self._lock:
            self._running[chunk] = round(self._clock(), 3)

    def ended(self, chunk: int) -> None:
        with self._lock:
            self._running.pop(chunk, None)

    @contextmanager
    def beating(self) -> Iterator[Driver]:
        """Write the file now, every `every_s` while the block runs, and a last time with how it ended."""
        self._thread.start()
        try:
            yield self
        except BaseException as error:
            self.how = "failed" if isinstance(error, CbtoolError) else "stopped"
            raise
        finally:
            self._over.set()
            self._thread.join()
            self._write(self.how)

    def _beat(self) -> None:
        self._write(None)
        while not self._over.wait(self.every_s):
            self._write(None)

    def _write(self, how: str | None) -> None:
        with self._lock:
            running = {str(chunk): since for chunk, since in sorted(self._running.items())}
        facts = {**self._facts, "at": round(self._clock(), 3), "running": running, "ended": how}
        with suppress(CbtoolError):
            self._destination.replace(self.name, [json.dumps(facts).encode() + b"\n"])
