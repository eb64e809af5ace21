"""``--report``: a page about a run, written when the run has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from cbtool.chunk import Chunk
from cbtool.contracts import Limits
from cbtool.destination import Destination
from cbtool.events import JobEvent
from cbtool.job import Work, recorded, run_key
from cbtool.output import open_output
from cbtool.report.account import Account, Priced, account
from cbtool.report.drivers import Beat
from cbtool.report.report_html import run_page
from cbtool.report.seen import look

OUTPUTS = "standard output"
"""What the report of a run without a destination says in place of one."""


@dataclass
class Recorder:
    """Keeps what the events of a job say, as its ledger would."""

    clock: Callable[[], float]
    records: list[dict[str, Any]] = field(default_factory=list)
    began: float = 0.0

    def __call__(self, event: JobEvent) -> None:
        at = self.clock()
        if event.kind == "begin":
            self.began = at
        elif event.kind in ("retry", "done", "failed"):
            record = recorded(event)
            self.records.append({"at": at, "submitted": at - record.get("seconds", 0.0), **record})

    def account(
        self, chunks: Sequence[Chunk], work: Work, engine: tuple[str, Limits], prices: Priced | None
    ) -> Account:
        """Return the account of a run that had no ledger: what it did is all in this process."""
        finished = {record["chunk"] for record in self.records if record["ended"] == "done"}
        name, limits = engine
        host, pid, ended = socket.gethostname(), os.getpid(), "done" if len(finished) == len(chunks) else "failed"
        beat = Beat(name, limits.concurrency, self.began, self.clock(), 0.0, ended, host, pid, limits=asdict(limits))
        run = run_key(chunks, work).fields()
        return account(OUTPUTS, run, chunks, finished, self.records, [beat], prices)


@contextmanager
def reporting(
    path: str,
    chunks: Sequence[Chunk],
    work: Work,
    destination: Destination | None,
    engine: tuple[str, Limits],
    prices: Callable[[], Priced | None],
    clock: Callable[[], float],
) -> Iterator[Callable[[JobEvent], None]]:
    """Give a callback for the events of a job; when the block ends well, a page about the run is at *path*.

    With a *destination* the page is of all that its ledger tells, earlier attempts too. That *path* can be written,
    and that there are *prices*, is found out before the block runs.
    """
    table, recorder = prices(), Recorder(clock)
    with open_output(path) as file:
        yield recorder
        of = look(destination, table) if destination else recorder.account(chunks, work, engine, table)
        file.write(run_page(of).encode())
