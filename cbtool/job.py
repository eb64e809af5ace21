"""Joins a plan, a stager, a destination, a ledger and a backend: the work of every chunk, done once."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from glob import escape, glob
from importlib import import_module
from typing import Any

from cbtool import ledger as ledgers
from cbtool.chunk import Chunk
from cbtool.contracts import Backend
from cbtool.destination import Destination, Folder
from cbtool.errors import CbtoolError, ChunksFailed, TaskFailed, UsageError
from cbtool.ledger import Ledger, RunKey
from cbtool.registry import entries
from cbtool.runner import Event, Outcome, run_tasks
from cbtool.stagers.function import pack, unpack


@dataclass(frozen=True)
class Work:
    """What is done to every chunk: a stager by name, and the *parameters* that shape what it makes."""

    stager: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unkeyed: Mapping[str, Any] = field(default_factory=dict)
    """What the task needs besides, and a second run may have otherwise."""

    @cached_property
    def call(self) -> str:
        return dict(entries("stagers"))[self.stager].target

    def outputs(self, chunk: Chunk) -> list[str]:
        """Return the names of what is made of *chunk*; a folder's ends in ``/``."""
        made: list[str] = import_module(self.call.partition(":")[0]).outputs(chunk, self.parameters)
        return made


@dataclass(frozen=True)
class JobEvent:
    """Something to tell whoever watches: ``begin``, ``start``, ``retry``, ``done`` or ``failed``."""

    kind: str
    chunk: Chunk | None = None
    attempt: int = 0
    outcome: Outcome | None = None
    error: BaseException | None = None
    total: int = 0
    kept: int = 0
    """With ``begin``: how many chunks there are, and how many an earlier run has done."""


@dataclass(frozen=True)
class Engine:
    """Where and how patiently the tasks of a job run."""

    backend: Backend
    retries: int | None = None
    timeout_s: float | None = None
    scratch: str | None = None
    on_event: Callable[[JobEvent], None] = lambda event: None


@dataclass
class Report:
    """What a job came to."""

    made: Mapping[int, Sequence[str]]
    """The outputs of every chunk, in order."""
    kept: int = 0
    done: int = 0
    failed: dict[int, BaseException] = field(default_factory=dict)
    resumable: bool = True

    def check(self) -> None:
        """Raise ChunksFailed if any chunk failed."""
        if self.failed:
            raise ChunksFailed(
                f"{len(self.failed)} of {len(self.made)} chunks failed",
                hint="the same command again does only what is left" if self.resumable else None,
                failed=sorted(self.failed),
            )


def run_job(
    chunks: Sequence[Chunk],
    work: Work,
    destination: Destination,
    engine: Engine,
    *,
    force: bool = False,
    with_ledger: bool = True,
) -> Report:
    """Do *work* on each of *chunks* that is not done yet; outputs go to *destination*. A failing chunk fails alone."""
    made = name_outputs(chunks, work)
    ledger, finished = None, set[int]()
    if with_ledger:
        ledger = Ledger.claim(
            destination, run_key(chunks, work), [(one, made[one.chunk]) for one in chunks], force=force
        )
        finished = ledgers.done(destination, made)
    todo = [chunk for chunk in chunks if chunk.chunk not in finished]
    report = Report(made, kept=len(chunks) - len(todo), resumable=with_ledger)
    engine.on_event(JobEvent("begin", total=len(chunks), kept=report.kept))

    def note(event: JobEvent) -> None:
        if ledger is not None and event.kind in ("retry", "done", "failed"):
            ledger.record(**_record(event))
        if event.kind == "done":
            report.done += 1
        elif event.kind == "failed" and event.chunk is not None and event.error is not None:
            report.failed[event.chunk.chunk] = event.error

    try:
        _run(todo, work, {"destination": _whole(destination)}, engine, note)
    finally:
        if ledger is not None:
            ledger.close()
    if ledger is not None:
        _check_outputs(report, destination)
    return report


def _check_outputs(report: Report, destination: Destination) -> None:
    """Count chunks as failed whose outputs are not there at the end: what lies there is the truth."""
    lost = set(report.made) - ledgers.done(destination, report.made) - set(report.failed)
    for number in sorted(lost):
        report.failed[number] = TaskFailed(f"chunk {number}: it was done, but its output is not there")
        report.done -= 1


def call_on_chunks(chunks: Sequence[Chunk], function: Callable[[Chunk], Any], engine: Engine) -> list[Any]:
    """Return what *function* returns for each of *chunks*, in their order; ChunksFailed holds those that exist."""
    values: dict[int, Any] = {}
    failed: dict[int, BaseException] = {}

    def note(event: JobEvent) -> None:
        if event.kind == "done" and event.chunk and event.outcome and event.outcome.result:
            values[event.chunk.chunk] = unpack(event.outcome.result["value"])
        elif event.kind == "failed" and event.chunk and event.error:
            failed[event.chunk.chunk] = event.error

    engine.on_event(JobEvent("begin", total=len(chunks)))
    urls = sorted({url for chunk in chunks for url in chunk.urls.values()})
    _run(chunks, Work("function", unkeyed={"function": packed(function), "urls": urls}), {}, engine, note)
    if failed:
        first = min(failed)
        message = f"{len(failed)} of {len(chunks)} chunks failed; chunk {first}: {failed[first]}"
        raise ChunksFailed(message, results=values, failed=failed) from failed[first]
    return [values[chunk.chunk] for chunk in chunks]


def packed(function: Callable[[Chunk], Any]) -> str:
    """Return *function* as text for a task; UsageError if it holds something that cannot leave this process."""
    try:
        return pack(function)
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise UsageError(
            f"{name}: cannot be sent to a worker: {error}", hint="open files, locks … inside it"
        ) from error


def run_key(chunks: Sequence[Chunk], work: Work) -> RunKey:
    """Return what a destination of this job belongs to; UsageError if *chunks* are not of one plan."""
    plans = {(chunk.plan, chunk.of) for chunk in chunks}
    if len(plans) != 1:
        raise UsageError(f"chunks of {len(plans)} plans cannot be one run", hint="give the lines of one plan")
    ((plan, of),) = plans
    return RunKey(plan, len(chunks) if of is None else of, work.stager, work.parameters)


def name_outputs(chunks: Sequence[Chunk], work: Work) -> dict[int, list[str]]:
    """Return the names of the outputs of each chunk; UsageError if two are equal."""
    made = {chunk.chunk: work.outputs(chunk) for chunk in chunks}
    seen: dict[str, int] = {}
    for number, names in made.items():
        for name in names:
            if seen.setdefault(name, number) != number:
                raise UsageError(f"chunks {seen[name]} and {number} would both write {name}", hint="plan with --name")
    return made


def scratch_place(folder: str | None) -> str:
    """Return what the paths of a program's scratch folders begin with, in *folder* or where TMPDIR says."""
    return os.path.abspath(os.path.join(folder or tempfile.gettempdir(), f"cbtool-{secrets.token_hex(6)}-"))


def _run(
    chunks: Sequence[Chunk],
    work: Work,
    more: Mapping[str, Any],
    engine: Engine,
    note: Callable[[JobEvent], None],
) -> None:
    def tell(event: Event) -> None:
        told = JobEvent(event.kind, chunks[event.number], event.attempt, event.outcome, event.error)
        note(told)
        engine.on_event(told)

    # One prefix for the scratch folders of this job, so that what a killed worker left can be told and removed.
    place = scratch_place(engine.scratch)
    if not engine.backend.limits.remote:
        more = {**more, "scratch": place}
    fixed = {"call": work.call, **work.parameters, **work.unkeyed, **more}
    tasks = ({**fixed, "chunk": chunk.to_line()} for chunk in chunks)
    outcomes = run_tasks(tasks, engine.backend, retries=engine.retries, timeout_s=engine.timeout_s, on_event=tell)
    try:
        with closing(outcomes):
            for _ in outcomes:
                pass
    finally:
        for left in glob(escape(place) + "*"):
            shutil.rmtree(left, ignore_errors=True)


def _whole(destination: Destination) -> str:
    """Return where *destination* is, wherever a worker stands."""
    return os.path.abspath(destination.uri) if isinstance(destination, Folder) else destination.uri


def _record(event: JobEvent) -> dict[str, Any]:
    assert event.chunk is not None
    record: dict[str, Any] = {"chunk": event.chunk.chunk, "attempt": event.attempt, "ended": event.kind}
    if event.outcome is not None:
        record["seconds"] = round(event.outcome.seconds, 4)
        record.update({k: v for k, v in (event.outcome.result or {}).items() if k != "outputs" and v not in ("", None)})
    if event.error is not None:
        record["error"] = str(event.error)
        record.update(event.error.facts if isinstance(event.error, CbtoolError) else {})
    return record
