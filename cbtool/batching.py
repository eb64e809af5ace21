"""Many small tasks in one call, for engines where a call costs much: put together and taken apart above the engine."""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from cbtool.contracts import Backend, Frame, Limits
from cbtool.errors import TryAgain

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
    goes ``alone`` does, and so do those of a call that came to nothing as a whole. Once *is_stopping*, what was in no
    call yet is given back, cancelled.
    """

    def __init__(
        self, backend: Backend, per_call: int | None, total: int, is_stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.backend, self.per_call, self._left, self._is_stopping = backend, per_call, total, is_stopping
        self._share = max(1, math.ceil(total / backend.limits.concurrency))
        self._waiting: deque[_Item] = deque()
        self._calls: dict[Future[Frame], Sequence[_Item]] = {}
        self._unwanted: set[Future[Frame]] = set()
        self._taken = 0
        """Places of the engine that are taken: by calls, and by what is just being made one."""
        self._seconds, self._measured = 0.0, 0
        self._lock = threading.Lock()
        self._is_awaited = False

    @property
    def limits(self) -> Limits:
        """What the engine allows, with places for as many tasks as its calls hold now."""
        limits = self.backend.limits
        return replace(limits, concurrency=limits.concurrency * self.size())

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        item = _Item(task, Future(), len(json.dumps(task)))
        with self._lock:
            self._waiting.append(item)
        self._send(whole=True)
        return item.future

    def cancel(self, future: Future[Frame]) -> None:
        """End the task if it waits; end its call once all tasks in it are to be ended."""
        with self._lock:
            if future.cancel():
                future.set_running_or_notify_cancel()
            self._waiting = deque(item for item in self._waiting if not item.future.cancelled())
            self._unwanted.add(future)
            calls = [
                call
                for call, items in self._calls.items()
                if all(item.future in self._unwanted or item.future.done() for item in items)
            ]
        for call in calls:
            self.backend.cancel(call)

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
        self.backend.close()

    def size(self) -> int:
        """Return how many tasks the next call should hold: no more than fit into half of the engine's time limit."""
        if not self._measured:
            known = self.per_call if self.per_call is not None and self.backend.limits.time_s is None else 1
            return max(1, min(known, self._share))
        mean_s = max(self._seconds / self._measured, 1e-6)
        most = int(min(MOST, (self.backend.limits.time_s or math.inf) / 2 / mean_s))
        if self.per_call is not None:
            return max(1, min(self.per_call, self._share, most))
        even = self._left / self.backend.limits.concurrency
        # So many tasks take as long as the engine's part of a call: below that, evenness at the end costs more.
        matching = self.backend.limits.overhead_s / mean_s
        return max(1, min(most, math.ceil(max(even, matching)), math.ceil(WORTH * matching)))

    def _send(self, *, whole: bool) -> None:
        """Make calls while the engine has places: with *whole* of full batches only, the rest is given a moment."""
        while (items := self._next(whole)) is not None:
            tasks = [item.task for item in items]
            call = self.backend.submit(tasks[0] if len(tasks) == 1 else {"call": CALL, "tasks": tasks})
            with self._lock:
                self._calls[call] = items
            call.add_done_callback(self._ended)

    def _next(self, whole: bool) -> list[_Item] | None:
        """Return what goes into the next call, and take a place for it; None if there is nothing to send now."""
        if self._is_stopping():
            self._give_back()
        with self._lock:
            if not self._waiting or self._taken >= self.backend.limits.concurrency:
                return None
            size = self.size()
            if whole and len(self._waiting) < size and not self._waiting[0].task.get("alone"):
                self._await_more()
                return None
            items = [self._waiting.popleft()]
            room = (self.backend.limits.payload_bytes or math.inf) / 2 - items[0].n_bytes
            while self._waiting and len(items) < size and self._fits(items[0], self._waiting[0], room):
                items.append(self._waiting.popleft())
                room -= items[-1].n_bytes
            for item in items:
                if not item.future.running():
                    item.future.set_running_or_notify_cancel()
            self._taken += 1
            self._left = max(0, self._left - len(items))
            return items

    @staticmethod
    def _fits(first: _Item, item: _Item, room: float) -> bool:
        return not (first.task.get("alone") or item.task.get("alone")) and item.n_bytes <= room

    def _give_back(self) -> None:
        with self._lock:
            for item in self._waiting:
                if item.future.cancel():
                    item.future.set_running_or_notify_cancel()
                else:
                    item.future.set_exception(TryAgain("the run was stopped"))
            self._waiting.clear()

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
            if len(items) > 1 and len(frames) == 1 and not self._is_stopping():
                # One of them may have done it: each is done again, alone, and it is no attempt of the others.
                wanted = [item for item in items if item.future not in self._unwanted]
                self._waiting.extendleft(replace(item, task={**item.task, "alone": True}) for item in reversed(wanted))
                items = [item for item in items if item.future in self._unwanted]
            if len(frames) == 1:
                frames *= len(items)
            for frame in frames:
                if isinstance(frame, dict) and "wall_s" in frame.get("spent", {}):
                    self._seconds += frame["spent"]["wall_s"]
                    self._measured += 1
        for item, frame in zip(items, frames, strict=True):
            if isinstance(frame, BaseException):
                item.future.set_exception(frame)
            else:
                item.future.set_result(frame)
        self._send(whole=True)


def taken_apart(call: Future[Frame], n_tasks: int) -> list[Frame | BaseException]:
    """Return the frames of the tasks of a *call* that has ended; one thing alone if it came to nothing as a whole."""
    if call.cancelled():
        return [TryAgain("the task was cancelled")]
    if (trouble := call.exception()) is not None:
        return [trouble]
    frame = call.result()
    return [frame] if n_tasks == 1 or "error" in frame else list(frame["result"]["frames"])
