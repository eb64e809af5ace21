"""Tells people on stderr how a job goes: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from cbtool.errors import CbtoolError
from cbtool.events import JobEvent
from cbtool.report.measures import measure
from cbtool.units import show_seconds, show_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cbtool.runner import Event

FIRST_S = 5.0
BETWEEN_S = 30.0


@contextmanager
def counting(quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Give a callback for `run_tasks` that shows how many tasks are done; their number shows as they begin."""
    with Teller(sys.stderr, quiet=quiet) as teller:

        def on_event(event: Event) -> None:
            if event.kind == "start" and event.number >= teller.total:
                teller.grow(event.number + 1)
            elif event.kind in ("done", "retry"):
                teller(JobEvent(event.kind))

        yield on_event


class Teller:
    """A callback for `JobEvent`s; use it as a context manager, so that the bar goes away."""

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self.quiet, self.verbose, self._clock = stream, quiet, verbose, clock
        self.total = self.kept = self.done = self.failed = self.read_bytes = 0
        self._bar: tuple[Progress, TaskID] | None = None
        self._shown: set[str] = set()
        self._began = clock()
        self._next = self._began + FIRST_S

    def __call__(self, event: JobEvent) -> None:
        if event.kind == "begin":
            self._begin(event)
        elif event.kind == "done":
            self.done += 1
        elif event.kind == "failed":
            self.failed += 1
            self._say_failure(event)
        elif event.kind == "retry" and self.verbose and event.chunk is not None:
            self._say(f"chunk {event.chunk.chunk}: attempt {event.attempt}: {event.error}; it is tried again")
        if event.outcome is not None:
            self.read_bytes += int(measure(event.outcome.spent.get("read_bytes")) or 0)
        if event.kind in ("done", "failed"):
            self._advance()

    def __enter__(self) -> Teller:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
        if kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit)) and not self.quiet:
            self._say(f"stopped: {self.summary()}")

    def summary(self) -> str:
        """Return how the job ended, in one line."""
        parts = [f"{self.done + self.kept} of {self.total} chunks done"]
        if self.kept:
            parts.append(f"{self.kept} of them before")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return f"{', '.join(parts)}, in {self._clock() - self._began:.1f} s"

    def pace(self) -> str:
        """Return what was read so far, how fast, and how long the rest will take if it goes on so."""
        taken, ended = self._clock() - self._began, self.done + self.failed
        parts = []
        if self.read_bytes:
            parts.append(f"{show_size(self.read_bytes)} read")
            if taken > 0:
                parts.append(f"{show_size(self.read_bytes / taken)}/s")
        if ended and taken > 0 and (left := self.total - self.kept - ended) > 0:
            parts.append(f"about {show_seconds(max(1, round(taken / ended * left)))} to go")
        return ", ".join(parts)

    def grow(self, total: int) -> None:
        """Say that there are *total* things to do, more than was known."""
        if self._bar is None:
            self._begin(JobEvent("begin", total=total))
        self.total = total
        if self._bar is not None:
            self._bar[0].update(self._bar[1], total=total)

    def _begin(self, event: JobEvent) -> None:
        self.total, self.kept = event.total, event.kept
        if self.quiet or not self.stream.isatty() or self.total == self.kept:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        pace = TextColumn("{task.description}", markup=False)
        columns = (TextColumn("chunks"), BarColumn(), MofNCompleteColumn(), pace)
        bar = Progress(*columns, console=Console(file=self.stream), transient=True)
        self._bar = (bar, bar.add_task("", total=self.total, completed=self.kept))
        bar.start()

    def _advance(self) -> None:
        if self._bar is not None:
            ended = self.kept + self.done + self.failed
            self._bar[0].update(self._bar[1], completed=ended, description=self.pace())
        elif not self.quiet and self._clock() >= self._next:
            self._next = self._clock() + BETWEEN_S
            self._say("; ".join(one for one in (self.summary(), self.pace()) if one))

    def _say_failure(self, event: JobEvent) -> None:
        assert event.chunk is not None
        self._say(f"chunk {event.chunk.chunk}: {event.error}")
        if not isinstance(event.error, CbtoolError):
            return
        stderr, traceback = (str(event.error.facts.get(name, "")) for name in ("stderr", "traceback"))
        if traceback and (self.verbose or traceback not in self._shown):
            self._shown.add(traceback)
            self.stream.write(traceback)
        if stderr and self.verbose:
            self.stream.write(stderr.rstrip("\n") + "\n")
        if event.error.hint and event.error.hint not in self._shown:
            self._shown.add(event.error.hint)
            self._say(f"hint: {event.error.hint}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar[0].console.print(f"cbtool: {line}", markup=False, highlight=False, soft_wrap=True)
        else:
            self.stream.write(f"cbtool: {line}\n")
            self.stream.flush()
