"""Tasks inside the worker of another engine, each in an interpreter of its own beside it.

So a task that is killed, out of memory, or ended by its driver costs that interpreter and not the engine's worker,
threads of one worker do not share a process, and what is measured of a task is the task's own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings, Frame
from cbtool.errors import describe

LOOK_S = 0.2
"""How often a task that runs is compared with what the engine still wants."""
IDLE_S = 60.0
"""How long interpreters wait for another task of a driver that did not say that it leaves."""


class _Lanes:
    """The interpreters that one driver has in this process."""

    def __init__(self, workers: int) -> None:
        self.local = Local(EngineSettings(workers))
        self.busy = 0
        self.timer: threading.Timer | None = None


_drivers: dict[str, _Lanes] = {}
_changing = threading.Lock()


def carry(text: str, driver: str, workers: int, is_wanted: Callable[[], bool]) -> str:
    """Do the task in *text*, JSON, for *driver*; return its frame, or the ``trouble`` with its interpreter, as JSON.

    At most *workers* tasks of a driver run in this process at once. A task that is not wanted any more is ended.
    """
    lanes, future = _begun(json.loads(text), driver, workers)
    try:
        while not wait([future], LOOK_S).done:
            if not is_wanted():
                lanes.local.cancel(future)
        trouble = future.exception()
        return json.dumps({"trouble": describe(trouble)} if trouble is not None else future.result())
    finally:
        _ended(driver, lanes)


def dismiss(driver: str) -> None:
    """End the interpreters of *driver*, with what runs in them."""
    with _changing:
        lanes = _drivers.pop(driver, None)
        if lanes is None:
            return
        if lanes.timer is not None:
            lanes.timer.cancel()
    lanes.local.close()


def dismiss_soon(driver: str) -> None:
    """Begin to `dismiss`; for callers that must not wait."""
    threading.Thread(target=dismiss, args=[driver], daemon=True).start()


def _begun(task: Mapping[str, Any], driver: str, workers: int) -> tuple[_Lanes, Future[Frame]]:
    with _changing:
        lanes = _drivers.get(driver)
        if lanes is None:
            lanes = _drivers[driver] = _Lanes(workers)
        if lanes.timer is not None:
            lanes.timer.cancel()
            lanes.timer = None
        lanes.busy += 1
        return lanes, lanes.local.submit(task)


def _ended(driver: str, lanes: _Lanes) -> None:
    with _changing:
        lanes.busy -= 1
        if not lanes.busy and _drivers.get(driver) is lanes:
            lanes.timer = threading.Timer(IDLE_S, _dismiss_idle, [driver])
            lanes.timer.daemon = True
            lanes.timer.start()


def _dismiss_idle(driver: str) -> None:
    with _changing:
        if driver in _drivers and _drivers[driver].busy:
            return
    dismiss(driver)
