"""The engine on AWS Lambda: one invocation a call; what is invoked there is `cbtool.backends.lambda_handler`.

A task that was cancelled cannot be ended there: its future ends at once, and its late answer is dropped. What it
still commits is committed once, as everything is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cbtool.backends.aws_lambda.image import dockerfile, next_step
from cbtool.backends.aws_lambda.payloads import CALL_BYTES, Posted
from cbtool.backends.aws_lambda.service import Service
from cbtool.backends.aws_lambda.settings import read
from cbtool.contracts import EngineSettings, Frame, Limits
from cbtool.errors import CbtoolError, TryAgain, UsageError

__all__ = ["Lambda", "dockerfile", "next_step"]

AT_ONCE = 100
"""How many invocations run at once where neither -j nor the function's reserved concurrency says."""
OVERHEAD_S = 0.05
"""What a call is taken to cost until calls have been measured."""


class Lambda:
    """Invokes a function, each call in a thread of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = read(settings.config)
        self._time_s = settings.timeout_s
        self._service = Service(self.settings)
        try:
            self._check(settings)
            self.limits = Limits(
                memory_bytes=self._service.memory_bytes,
                time_s=self._service.time_s,
                payload_bytes=CALL_BYTES,
                concurrency=settings.workers or self._service.reserved() or AT_ONCE,
                remote=True,
                overhead_s=OVERHEAD_S,
                price="aws_lambda",
            )
            self._service.ready_for(self.limits.concurrency)
        except BaseException:
            self._service.close()
            raise
        self._open: dict[Future[Frame], Posted | None] = {}
        self._lock = threading.Lock()
        self._n_measured = 0
        self._closing = threading.Event()

    def _check(self, settings: EngineSettings) -> None:
        """Refuse what the function, whose memory and time are set, does not have."""
        name, memory_bytes, time_s = self.settings.function, self._service.memory_bytes, self._service.time_s
        if settings.memory_bytes and memory_bytes and settings.memory_bytes > memory_bytes:
            hint = "give the function more, or ask for less"
            raise UsageError(f"--memory: the function {name} has {memory_bytes // 2**20} MiB", hint=hint)
        if settings.timeout_s and settings.timeout_s > time_s:
            hint = "give the function a longer time-out (up to 900 s), or ask for less"
            raise UsageError(f"--timeout: the function {name} ends after {time_s:g} s", hint=hint)

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        if self._closing.is_set():
            raise RuntimeError("the backend is closed")
        future: Future[Frame] = Future()
        with self._lock:
            self._open[future] = None
        # A daemon, for nobody waits at the end for answers that are no longer wanted.
        threading.Thread(target=self._carry, args=(future, task), name="cbtool-lambda", daemon=True).start()
        return future

    def cancel(self, future: Future[Frame]) -> None:
        """End the future; what is invoked already goes on in Lambda to its own end."""
        with suppress(InvalidStateError):
            future.set_exception(TryAgain("the task was cancelled; its invocation goes on to its own end"))

    def close(self) -> None:
        """Leave at once; what was stored for calls that still run is removed."""
        self._closing.set()
        with self._lock:
            left = dict(self._open)
        for future, posted in left.items():
            self.cancel(future)
            if posted is not None:
                with suppress(CbtoolError):  # nothing waits for it; a lifecycle rule of the bucket may
                    posted.clear()
        self._service.close()

    def _carry(self, future: Future[Frame], task: Mapping[str, Any]) -> None:
        """Have *task* done and end *future*; an answer that nobody waits for is dropped."""
        ended: Frame | BaseException
        try:
            posted = Posted(task, self.settings.payloads, self._time_s)
            with self._lock:
                self._open[future] = posted
            try:
                ended = self._done(future, posted)
            finally:
                posted.clear()
        except BaseException as error:
            ended = error
        with self._lock:
            self._open.pop(future, None)
        with suppress(InvalidStateError):
            if isinstance(ended, BaseException):
                future.set_exception(ended)
            else:
                future.set_result(ended)

    def _done(self, future: Future[Frame], posted: Posted) -> Frame:
        began = time.perf_counter()
        answer = self._service.invoke(posted.event, lambda wait_s: self._closing.wait(wait_s) or future.done())
        frame = posted.frame(answer)
        self._measure(time.perf_counter() - began, frame.get("spent", {}))
        return frame

    def _measure(self, seconds: float, spent: Mapping[str, Any]) -> None:
        """Learn what a call costs besides its tasks, from those that met a sandbox that was there already."""
        if "wall_s" not in spent or "start_s" in spent:
            return
        with self._lock:
            self._n_measured += 1
            mean_s = 0.0 if self._n_measured == 1 else self.limits.overhead_s
            mean_s += (max(0.0, seconds - spent["wall_s"]) - mean_s) / self._n_measured
            self.limits = replace(self.limits, overhead_s=mean_s)
