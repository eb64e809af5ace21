"""Ask again after a failure that may pass: one policy for every remote read and write."""

from __future__ import annotations

import os
import random
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread, current_thread, main_thread
from typing import Any, ClassVar, TypeVar

from cbtool.errors import StaleError, Unavailable
from cbtool.source import STREAM_BLOCK_BYTES, Range, Source

ATTEMPTS = 6
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
STALL_S = 30.0
"""A connection that brings no byte for so long is given up."""
CONNECT_S = 10.0
AT_ONCE = 16
"""How many ranges of one source are asked for at the same time."""
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504, 509, 529)

T = TypeVar("T")


class Passing(Exception):
    """A failure that may pass. The message completes "it …"; *after_s* is how long the service asks to wait."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


def again(uri: str, call: Callable[[], T]) -> T:
    """Return what *call* returns, calling it up to `ATTEMPTS` times while it raises `Passing`; then Unavailable."""
    failures = 0
    while True:
        try:
            return call()
        except Passing as error:
            failures += 1
            pause(uri, error, failures)


def whole(uri: str, start: int, length: int, get: Callable[[int, int], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield exactly *length* bytes from *start*; when *get* breaks off, go on from there with another *get*.

    Tries are counted anew after each MiB that came.
    """
    at, end, failures, mark = start, start + length, 0, start
    while at < end:
        try:
            for block in get(at, end - at):
                at += len(block)
                yield block
            if at < end:
                raise Passing("sent too few bytes")
        except Passing as error:
            if at - mark >= STREAM_BLOCK_BYTES:
                failures, mark = 0, at
            failures += 1
            pause(uri, error, failures)


def pause(uri: str, error: Passing, failures: int) -> None:
    """Wait a random while that grows with *failures*, or raise Unavailable when there were `ATTEMPTS` of them."""
    if failures >= ATTEMPTS:
        raise Unavailable(f"{uri}: {failures} tries failed: it {error}", hint="try again later", uri=uri) from None
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**failures)
    time.sleep(max(random.uniform(longest / 2, longest), min(error.after_s, LONGEST_PAUSE_S)))


def at_once(calls: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Yield what *calls* return, in order, `AT_ONCE` of them running; the first error ends it.

    Its threads are daemons, so that Ctrl-C need not wait for what no longer answers (a ThreadPoolExecutor does).
    """
    futures: list[Future[T]] = [Future() for _ in calls]
    todo = deque(zip(calls, futures, strict=True))

    def work() -> None:
        while todo:
            try:
                call, future = todo.popleft()
            except IndexError:
                return  # another thread was quicker
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    for _ in range(min(AT_ONCE, len(calls))):
        Thread(target=work, daemon=True).start()
    try:
        for future in futures:
            yield future.result()
    finally:
        todo.clear()


class _Helper:
    """A daemon thread that calls for the main one, which can then be interrupted while it waits."""

    idle: ClassVar[list[_Helper]] = []

    def __init__(self) -> None:
        self._asked: SimpleQueue[Future[Any] | None] = SimpleQueue()
        self._call: Callable[[], Any] | None = None
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while (future := self._asked.get()) is not None:
            call, self._call = self._call, None
            try:
                future.set_result(call() if call else None)
            except BaseException as error:
                future.set_exception(error)
            del future, call  # it may be long until the next

    def ask(self, call: Callable[[], T]) -> Future[T]:
        """Return the future of *call* when it has ended; if the waiting is interrupted, end after the call."""
        future: Future[T] = Future()
        self._call = call
        self._asked.put(future)
        try:
            future.exception()
        except BaseException:
            self._asked.put(None)
            raise
        return future


os.register_at_fork(after_in_child=_Helper.idle.clear)


def patiently(call: Callable[[], T]) -> T:
    """Return what *call* returns; in the main thread so that a signal is heeded while it blocks (obstore does not)."""
    if current_thread() is not main_thread():
        return call()
    helper = _Helper.idle.pop() if _Helper.idle else _Helper()
    ended = helper.ask(call)
    _Helper.idle.append(helper)
    return ended.result()


class Remote(Source):
    """A source behind a network: exact, resumed, concurrent reads over one method of the service.

    The meter counts what reading takes; looking for size and version when it is opened or checked is not in it.
    """

    readers = 8

    @abstractmethod
    def _get(self, start: int, length: int) -> Iterator[bytes]:
        """Yield the bytes in blocks, by one metered request pinned to the version; Passing if it breaks off."""

    def read(self, start: int, length: int) -> bytes:
        return b"".join(self.stream(start, length))

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        if not 0 <= start <= start + length <= self.size:
            what = f"it has {self.size} bytes, and not those from {start} to {start + length}"
            raise StaleError(f"{self.uri}: {what}", hint="plan again", uri=self.uri)
        return whole(self.uri, start, length, self._get)

    def _read_all(self, ranges: Sequence[Range]) -> Iterator[bytes]:
        if len(ranges) < 2:
            yield from super()._read_all(ranges)
        else:
            yield from at_once([partial(self.read, *one) for one in ranges])

    @property
    def pinned(self) -> bool:
        # Each answer to a read says of which version it is. Where nothing was read, nothing is known.
        return self.meter.requests > 0

    def changed(self) -> StaleError:
        """Return the error that says so."""
        hint = "make the plan (and the index) again"
        return StaleError(f"{self.uri}: it has changed since it was opened or planned", hint=hint, uri=self.uri)
