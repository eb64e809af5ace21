"""Runs tasks on a backend: retries, time limits and cancellation live here, once, above every engine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from typing import Any

from cbtool.contracts import Backend, Frame
from cbtool.errors import TaskFailed, TimeLimit, TryAgain, Unavailable, revive

DEFAULT_RETRIES = 2
BACKOFF_S = 0.5
BACKOFF_CAP_S = 30.0
STOP_POLL_S = 0.2
LEAVE_S = 10.0
"""How long cancelled tasks are waited for, so that they can remove what they had begun."""


@dataclass(frozen=True)
class Outcome:
    """How one task ended: its *result*, or the *error* of its last attempt."""

    number: int
    """The place of the task in what was given."""
    result: Mapping[str, Any] | None
    error: BaseException | None
    attempts: int
    seconds: float
    """Wall time of the last attempt, from its submission."""
    spent: Mapping[str, Any] = field(default_factory=dict)
    """What the last attempt took, as its worker measured it; empty where no worker said."""


@dataclass(frozen=True)
class Event:
    """Something to tell whoever watches: ``start``; with *outcome* ``retry``, ``done`` or ``failed``.

    ``withdrawn`` takes a ``start`` back, where the run is to stop and the engine had not begun the task.
    """

    kind: str
    number: int
    attempt: int
    outcome: Outcome | None = None
    error: BaseException | None = None


@dataclass
class _Try:
    """An attempt at a task."""

    number: int
    task: Mapping[str, Any]
    attempt: int = 1
    started: float = 0.0
    over_time: bool = False


def run_tasks(
    tasks: Iterable[Mapping[str, Any]],
    backend: Backend,
    *,
    retries: int | None = None,
    timeout_s: float | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Generator[Outcome, None, None]:
    """Run *tasks* and yield their outcomes as they end; a failing task fails alone.

    Takes tasks from the iterable as places come free, so that memory does not grow with their number. An error that
    may pass is tried again *retries* times (2 by default), the user's own failing command or function only if
    *retries* is given, and bad input never. When the caller stops listening, what runs is cancelled. Once
    *is_stopping*, nothing more is begun, what runs is let end, and KeyboardInterrupt says that something is left.
    """
    runner = _Runner(backend, retries, timeout_s, on_event, is_stopping)
    try:
        yield from runner.run(iter(enumerate(tasks)))
    finally:
        runner.cancel_all()


def is_worth_retrying(error: BaseException, retries: int | None) -> bool:
    """Say whether another attempt may end otherwise."""
    if isinstance(error, TaskFailed):
        return retries is not None
    return isinstance(error, (Unavailable, TryAgain))


def backoff_s(attempt: int) -> float:
    """Return how long to wait after *attempt*: twice as long each time, up to a cap, with jitter."""
    return float(min(BACKOFF_CAP_S, BACKOFF_S * 2 ** min(attempt - 1, 30)) * random.uniform(0.5, 1.0))


def opened(future: Future[Frame]) -> tuple[Mapping[str, Any] | None, BaseException | None, Mapping[str, Any]]:
    """Return the result or the error that a finished future holds, and what was spent on it."""
    if future.cancelled():
        return None, TryAgain("the task was cancelled"), {}
    if (trouble := future.exception()) is not None:
        return None, trouble, {}
    frame = future.result()
    error = revive(frame["error"]) if "error" in frame else None
    return frame.get("result"), error, frame.get("spent", {})


class _Runner:
    def __init__(
        self,
        backend: Backend,
        retries: int | None,
        timeout_s: float | None,
        on_event: Callable[[Event], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self.backend, self.retries, self.timeout_s, self.on_event = backend, retries, timeout_s, on_event
        self.is_stopping = is_stopping
        self.running: dict[Future[Frame], _Try] = {}
        self.ended: SimpleQueue[Future[Frame]] = SimpleQueue()
        self.later: list[tuple[float, int, _Try]] = []
        self.more = True
        self.withdrawn = 0
        """How many tasks were given back without having begun, because the run is to stop."""

    def run(self, tasks: Iterator[tuple[int, Mapping[str, Any]]]) -> Iterator[Outcome]:
        while not self.is_stopping():
            self._fill(tasks)
            if not (self.running or self.later):
                return
            if outcome := self._next_outcome():
                yield outcome
        while self.running:
            if outcome := self._next_outcome():
                yield outcome
        if self.later or self.withdrawn or next(tasks, None) is not None:
            raise KeyboardInterrupt

    def _fill(self, tasks: Iterator[tuple[int, Mapping[str, Any]]]) -> None:
        """Begin what can begin: no more than there are places, for a time limit counts from submission."""
        while len(self.running) < self.backend.limits.concurrency:
            if (one := self._due()) is not None:
                self._start(one)
            elif self.more and (item := next(tasks, None)) is not None:
                self._start(_Try(*item))
            else:
                self.more = False
                return

    def cancel_all(self) -> None:
        """Cancel what runs, and wait until it is gone."""
        # First what has not begun, so that it does not begin in the place of what is ended.
        for future in sorted(self.running, key=lambda future: future.running()):
            self.backend.cancel(future)
        wait(self.running, timeout=LEAVE_S)
        self.running.clear()

    def _due(self) -> _Try | None:
        if self.later and self.later[0][0] <= time.monotonic():
            return heappop(self.later)[2]
        return None

    def _start(self, one: _Try) -> None:
        one.started = time.monotonic()
        # A task that failed before goes alone, so that it takes no other with it.
        future = self.backend.submit(one.task if one.attempt == 1 else {**one.task, "alone": True})
        self.running[future] = one
        self.on_event(Event("start", one.number, one.attempt))
        future.add_done_callback(self.ended.put)

    def _next_outcome(self) -> Outcome | None:
        """Wait for something to happen; return an outcome if that was the end of a task."""
        try:
            future = self.ended.get(timeout=self._patience())
        except Empty:
            self._end_overdue()
            return None
        one = self.running.pop(future)
        if future.cancelled() and not one.over_time and self.is_stopping():
            self.withdrawn += 1
            self.on_event(Event("withdrawn", one.number, one.attempt))
            return None
        seconds = time.monotonic() - one.started
        result, error, spent = opened(future)
        if one.over_time and error is not None:
            error = TimeLimit(f"time limit of {self.timeout_s:g} s", hint="give it more: --timeout SECONDS")
        outcome = Outcome(one.number, result, error, one.attempt, seconds, spent)
        if error is None:
            return self._tell("done", outcome)
        allowed = DEFAULT_RETRIES if self.retries is None else self.retries
        if one.attempt <= allowed and is_worth_retrying(error, self.retries):
            self._tell("retry", outcome)
            again = _Try(one.number, one.task, one.attempt + 1)
            heappush(self.later, (time.monotonic() + backoff_s(one.attempt), one.number, again))
            return None
        return self._tell("failed", outcome)

    def _tell(self, kind: str, outcome: Outcome) -> Outcome:
        self.on_event(Event(kind, outcome.number, outcome.attempts, outcome, outcome.error))
        return outcome

    def _patience(self) -> float | None:
        """Return the seconds until a time limit or a retry is due."""
        has_place = len(self.running) < self.backend.limits.concurrency and not self.is_stopping()
        moments = [when for when, _, _ in self.later[:1] if has_place]
        if moments and not self.running:
            # So that a wish to stop is not heeded only when the next attempt is due.
            moments.append(time.monotonic() + STOP_POLL_S)
        if self.timeout_s is not None:
            moments += [one.started + self.timeout_s for one in self.running.values() if not one.over_time]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _end_overdue(self) -> None:
        for future, one in self.running.items():
            if self.timeout_s is not None and time.monotonic() >= one.started + self.timeout_s and not one.over_time:
                one.over_time = True
                self.backend.cancel(future)
