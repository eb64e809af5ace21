"""What AWS Lambda calls: one task an invocation. The image's handler is ``cbtool.backends.lambda_handler.handler``."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cbtool import spending
from cbtool.backends import worker
from cbtool.backends.aws_lambda.payloads import answer_of, failed, task_of
from cbtool.contracts import Frame
from cbtool.errors import CbtoolError, TimeLimit

MARGIN, MARGIN_S = 0.1, 1.0
"""How long before Lambda ends the sandbox a task is told to stop, so that it can say so and remove its files: this
part of its time, and no more than so many seconds."""

worker.start_s = spending.process_age_s()
# All sandboxes have the same few host names and process numbers; a log stream is of one.
spending.host = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "").rpartition("]")[2] or None


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Do the task of *event* and return its frame; only the end of the process itself is an error of Lambda's."""
    left_s = context.get_remaining_time_in_millis() / 1000
    limit_s = min(event.get("time_s", left_s), left_s - min(MARGIN * left_s, MARGIN_S))
    task: Mapping[str, Any] = {}
    try:
        with _limited(limit_s):
            task = task_of(event)
            frame = worker.perform(task)
    except CbtoolError as error:
        frame = failed(error)
    except worker.Stopped:
        frame = _over_time(limit_s)
    return answer_of(frame, event, task)


def _over_time(limit_s: float) -> Frame:
    hint = "more and smaller chunks, or a longer time-out of the function (up to 900 s)"
    return failed(TimeLimit(f"time limit of {limit_s:g} s", hint=hint))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `worker.Stopped` in the block when *seconds* are over."""
    if threading.current_thread() is not threading.main_thread():
        yield  # a runtime that has several invocations in one process: only Lambda's own time-out holds
        return
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise worker.Stopped(128 + number)
