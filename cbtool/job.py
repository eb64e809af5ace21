"""Joins a plan, a stager, a destination, a ledger and a backend: the work of every chunk, done once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from glob import escape, glob
from importlib import import_module
from typing import Any

from cbtool import ledger as ledgers
from cbtool.batching import Batched
from cbtool.chunk import Chunk
from cbtool.contracts import Backend
from cbtool.destination import Destination, absolute
from cbtool.driver import Driver
from cbtool.errors import CbtoolError, ChunksFailed, TaskFailed, UsageError
from cbtool.events import JobEvent
from cbtool.ledger import Ledger, RunKey
from cbtool.reach import check_places, probe
from cbtool.reading import resupply
from cbtool.registry import find
from cbtool.runner import Event, run_tasks
from cbtool.stagers.function import pack, unpack
from cbtool.stagers.scratch import scratch_place


@dataclass(frozen=True)
class Work:
    """What is done to every chunk: a stager by name, and the *parameters* that shape what it makes."""

    stager: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unkeyed: Mapping[str, Any] = field(default_factory=dict)
    """What the task needs besides, and a second run may have otherwise."""

    @cached_property
    def call(self) -> str:
        return find("stagers", self.stager).target

    @property
    def needs(self) -> dict[str, Any]:
        """Return what a worker must have for it, as `cbtool.backends.probe.look` takes it."""
        words = self.parameters.get("command", ())
        plain = len(words) > 1 and "{" not in words[0]
        function = {"function": self.unkeyed["function"]} if "function" in self.unkeyed else {}
        return {"modules": [self.call.partition(":")[0]], "commands": [words[0]] if plain else [], **function}

    def outputs(self, chunk: Chunk) -> list[str]:
        """Return the names of what is made of *chunk*; a folder's ends in ``/``."""
        made: list[str] = import_module(self.call.partition(":")[0]).outputs(chunk, self.parameters)
        return made


@dataclass(frozen=True)
class Engine:
    """Where and how patiently the tasks of a job run."""

    backend: Backend
    retries: int | None = None
    timeout_s: float | None = None
    scratch: str | None = None
    on_event: Callable[[JobEvent], None] = lambda event: None
    name: str = "local"
    """What the backend is called, for the record."""
    tasks_per_call: int | None = None
    """How many tasks go into one call of the engine; None finds a number that is worth it."""
    is_stopping: Callable[[], bool] = lambda: False
    """Says that nothing more is to be begun."""
    predicted: Mapping[str, Any] | None = None
    """What was foretold of this run, to be kept with it."""

    def __post_init__(self) -> None:
        if self.timeout_s is not None and (self.tasks_per_call or 1) > 1:
            raise UsageError(
                "--timeout is for one task a call, and --tasks-per-call puts several into one", hint="leave out one"
            )


@dataclass
class Report:
    """What a job came to."""

    made: Mapping[int, Sequence[str]]
    """The outputs of every chunk, in order."""
    kept: int = 0
    done: int = 0
    failed: dict[int, BaseException] = field(default_factory=dict)
    resumable: bool = True
    unrecorded: CbtoolError | None = None
    """Why records of attempts could not be kept, if so: that costs statistics and no more."""

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
    key: RunKey | None = None,
) -> Report:
    """Do *work* on each of *chunks* that is not done yet; outputs go to *destination*. A failing chunk fails alone.

    *key* is that of the run which this is a step of.
    """
    made = name_outputs(chunks, work)
    if engine.backend.limits.remote:
        check_places(chunks, destination)
    with ExitStack() as stack:
        ledger, finished = None, set[int]()
        if with_ledger:
            ledger = Ledger.claim(
                destination, key or run_key(chunks, work), [(one, made[one.chunk]) for one in chunks], force=force
            )
            stack.callback(ledger.close)
            finished = ledgers.done(destination, made)
        todo = [chunk for chunk in chunks if chunk.chunk not in finished]
        report = Report(made, kept=len(chunks) - len(todo), resumable=with_ledger)
        engine.on_event(JobEvent("begin", total=len(chunks), kept=report.kept))
        if todo and engine.backend.limits.remote:
            probe(engine.backend, work.needs, resupply(todo[0], work.unkeyed.get("urls", ())), destination)
        driver = None
        if with_ledger and todo:
            driver = Driver(destination, engine.name, engine.backend.limits, engine.predicted)
            stack.enter_context(driver.beating())
        _run(todo, work, {"destination": absolute(destination)}, engine, _Notes(report, ledger, driver))
        if ledger is not None:
            _check_outputs(report, destination)
            report.unrecorded = ledger.trouble
        if driver is not None and report.failed:
            driver.how = "failed"
    return report


class _Notes:
    """Keeps what happens to chunks: in the report, the ledger, and the driver's sign of life."""

    def __init__(self, report: Report, ledger: Ledger | None, driver: Driver | None) -> None:
        self.report, self.ledger, self.driver = report, ledger, driver

    def __call__(self, event: JobEvent) -> None:
        assert event.chunk is not None
        number = event.chunk.chunk
        if self.ledger is not None and event.kind in ("retry", "done", "failed"):
            self.ledger.record(**recorded(event))
        if self.driver is not None:
            (self.driver.begun if event.kind == "start" else self.driver.ended)(number)
        if event.kind == "done":
            self.report.done += 1
        elif event.kind == "failed" and event.error is not None:
            self.report.failed[number] = event.error


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

    urls = sorted({url for chunk in chunks for url in chunk.urls.values()})
    work = Work("function", unkeyed={"function": packed(function), "urls": urls})
    if engine.backend.limits.remote and chunks:
        check_places(chunks, None)
        probe(engine.backend, work.needs, chunks[0])
    engine.on_event(JobEvent("begin", total=len(chunks)))
    _run(chunks, work, {}, engine, note)
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
    outcomes = run_tasks(
        tasks,
        _in_calls(engine, len(chunks)),
        retries=engine.retries,
        timeout_s=engine.timeout_s,
        on_event=tell,
        is_stopping=engine.is_stopping,
    )
    try:
        with closing(outcomes):
            for _ in outcomes:
                pass
    finally:
        for left in glob(escape(place) + "*"):
            shutil.rmtree(left, ignore_errors=True)


def _in_calls(engine: Engine, n_tasks: int) -> Backend:
    """Return the engine's backend, or what puts several tasks into each of its calls where that may be worth it."""
    per_call, limits = engine.tasks_per_call, engine.backend.limits
    if engine.timeout_s is not None:
        per_call = 1
    if per_call == 1 or (per_call is None and not limits.overhead_s) or n_tasks < 2:
        return engine.backend
    return Batched(engine.backend, per_call, n_tasks, engine.is_stopping)


def recorded(event: JobEvent) -> dict[str, Any]:
    """Return what the ledger keeps of an attempt that has ended."""
    assert event.chunk is not None
    record: dict[str, Any] = {"chunk": event.chunk.chunk, "attempt": event.attempt, "ended": event.kind}
    if event.outcome is not None:
        record["seconds"] = round(event.outcome.seconds, 4)
        if event.outcome.spent:
            record["spent"] = dict(event.outcome.spent)
        record.update({k: v for k, v in (event.outcome.result or {}).items() if k != "outputs" and v not in ("", None)})
    if event.error is not None:
        record["error"] = str(event.error)
        record.update(event.error.facts if isinstance(event.error, CbtoolError) else {})
    return record
