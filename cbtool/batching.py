"""Many small tasks in one call, for engines where a call costs much: put together and taken apart above the engine."""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from cbtool.contracts import Backend, Frame
from cbtool.errors import CbtoolError, TryAgain, revive

CALL = "cbtool.backends.worker:perform_many"
WORTH = 10
"""With ``auto`` a call is made to take about so many times what the engine adds to it."""
MOST = 512
GATHER_S = 0.02
"""How long an unfinished batch waits for more tasks."""


@dataclass(frozen=True)
class _Item:
    task: Mapping[str, Any]
    future: Future[Frame]
    n_bytes: int


class Batched:
    """A backend that hands *backend* calls of up to *per_call* tasks; None finds the number by what tasks take.

    *total* is how many tasks will come, so that the last of them still keep every worker busy. A task that says it
    goes ``alone`` does.
    """

    def __init__(self, backend: Backend, per_call: int | None, total: int) -> None:
        self.backend, self.per_call, self._left = backend, per_call, total
        self._share = max(1, math.ceil(total / backend.limits.concurrency))
        most = min(per_call or MOST, self._share)
        self.limits = replace(backend.limits, concurrency=backend.limits.concurrency * most)
        self._waiting: deque[_Item] = deque()
        self._calls: dict[Future[Frame], Sequence[_Item]] = {}
        self._taken = 0
        """Places of the engine that are taken: by calls, and by what is just being made one."""
        self._seconds, self._measured = 0.0, 0
        self._lock = threading.Lock()
        self._is_awaited = False

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        item = _Item(task, Future(), len(json.dumps(task)))
        with self._lock:
            self._waiting.append(item)
        self._send(whole=True)
        return item.future

    def cancel(self, future: Future[Frame]) -> None:
        """End the task if it waits; end its call once all tasks in it are to be ended."""
        future.cancel()
        with self._lock:
            self._waiting = deque(item for item in self._waiting if item.future is not future)
            calls = [call for call, items in self._calls.items() if all(item.future.done() for item in items)]
        for call in calls:
            self.backend.cancel(call)

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
        self.backend.close()

    def size(self) -> int:
        """Return how many tasks the next call should hold."""
        if self.per_call is not None:
            return max(1, min(self.per_call, self._share))
        if not self._measured:
            return 1
        even = self._left / self.backend.limits.concurrency
        # So many tasks take as long as the engine's part of a call: below that, evenness at the end costs more.
        matching = self.backend.limits.overhead_s / max(self._seconds / self._measured, 1e-6)
        return max(1, min(MOST, math.ceil(max(even, matching)), math.ceil(WORTH * matching)))

    def _send(self, *, whole: bool) -> None:
        """Make calls while the engine has places: with *whole* of full batches only, the rest is given a moment."""
        while (items := self._next(whole)) is not None:
            tasks = [item.task for item in items]
            call = self.backend.submit(tasks[0] if len(tasks) == 1 else {"call": CALL, "tasks": tasks})
            with self._lock:
                self._calls[call] = items
            call.add_done_callback(self._ended)

    def _next(self, whole: bool) -> list[_Item] | None:
        with self._lock:
            if not self._waiting or self._taken >= self.backend.limits.concurrency:
                return None
            size = self.size()
            if whole and len(self._waiting) < size and not self._waiting[0].task.get("alone"):
                self._await_more()
                return None
            self._taken += 1
            items = [self._waiting.popleft()]
            room = (self.backend.limits.payload_bytes or math.inf) / 2 - items[0].n_bytes
            while self._waiting and len(items) < size and self._fits(items[0], self._waiting[0], room):
                items.append(self._waiting.popleft())
                room -= items[-1].n_bytes
            self._left = max(0, self._left - len(items))
            return items

    @staticmethod
    def _fits(first: _Item, item: _Item, room: float) -> bool:
        return not (first.task.get("alone") or item.task.get("alone")) and item.n_bytes <= room

    def _await_more(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            timer = threading.Timer(GATHER_S, self._send_rest)
            timer.daemon = True
            timer.start()

    def _send_rest(self) -> None:
        with self._lock:
            # From here on, whoever finds too few tasks waiting sets a timer of its own.
            self._is_awaited = False
        self._send(whole=False)

    def _ended(self, call: Future[Frame]) -> None:
        with self._lock:
            items = self._calls.pop(call)
            self._taken -= 1
        frames = taken_apart(call, len(items))
        with self._lock:
            for frame in frames:
                if isinstance(frame, dict) and "wall_s" in frame.get("spent", {}):
                    self._seconds += frame["spent"]["wall_s"]
                    self._measured += 1
        for item, frame in zip(items, frames, strict=True):
            if item.future.set_running_or_notify_cancel():
                if isinstance(frame, BaseException):
                    item.future.set_exception(frame)
                else:
                    item.future.set_result(frame)
        self._send(whole=True)


def taken_apart(call: Future[Frame], n_tasks: int) -> Sequence[Frame | BaseException]:
    """Return the frame of each task of a *call* that has ended, or the trouble of the engine for all of them."""
    if call.cancelled():
        return [TryAgain("the task was cancelled")] * n_tasks
    if (trouble := call.exception()) is not None:
        return [trouble] * n_tasks
    frame = call.result()
    if n_tasks == 1:
        return [frame]
    if "error" in frame:
        error: CbtoolError = revive(frame["error"])
        return [error] * n_tasks
    frames: Sequence[Frame] = frame["result"]["frames"]
    return frames
