"""Ctrl-C while a job runs: the first lets what has begun come to its end, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAID = b"cbtool: stopping: what runs is let end; Ctrl-C again ends it now\n"


@contextmanager
def drained_on_interrupt(quiet: bool) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; within the block only the second one raises."""
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield asked.is_set  # somebody else minds it, or it is ignored, as with nohup
        return

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()
        if not quiet:
            os.write(2, SAID)  # a handler must not write to a stream that may be in the middle of writing

    signal.signal(signal.SIGINT, first)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
