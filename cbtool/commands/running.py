"""What `run` and `write` share: a job from its plan to its report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from cbtool.commands import options as o
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.asked import Options
    from cbtool.choice.explaining import Against
    from cbtool.commands.job_options import Settings
    from cbtool.contracts import Backend
    from cbtool.destination import Destination
    from cbtool.events import JobEvent
    from cbtool.job import Engine, Report, Work
    from cbtool.plan import Plan
    from cbtool.progress import Teller

Choose = Callable[[Callable[[int], "Plan"], list[str]], "Plan"]
"""Gets what makes a plan of so many chunks, and the signed URLs; returns one."""

DRY_RUN_PLAN = "chunks.plan"


def load(
    sources: Sequence[str],
    asked: Options,
    form: str | None,
    index_to: str | None,
    unversioned: bool,
    some: bool,
    quiet: bool,
    dry_run: bool,
    urls: Sequence[str] | None,
    choose: Choose | None = None,
) -> tuple[Plan, list[str]]:
    """Return the plan that *sources* are, or make one of them, and the signed URLs to open its sources by.

    *choose* picks the plan among those of any number of chunks. In a dry run an index goes where it is removed again.
    """
    from tempfile import TemporaryDirectory

    from cbtool.asked import Options
    from cbtool.reading import is_secret
    from cbtool.session import is_plan, load_plan, make_plan

    secrets = [uri for uri in [*sources, *(urls or [])] if is_secret(uri)]
    if len(sources) > 1 or not is_plan(sources[0]):
        if dry_run and index_to is None:
            with TemporaryDirectory(prefix="cbtool-") as aside:
                return load(sources, asked, form, aside, unversioned, some, True, dry_run, urls, choose)
        say = o.note(quiet)
        once = iter([say])

        def cut(n_chunks: int) -> Plan:
            # The first of many plans tells what all need; the others would only tell it again.
            tell = next(once, lambda note: None)
            n = replace(asked, chunks=n_chunks)
            return make_plan(sources, n, form=form, index_to=index_to, unversioned=unversioned, say=tell)

        if choose is not None:
            return choose(cut, secrets), secrets
        plan = make_plan(sources, asked, form=form, index_to=index_to, unversioned=unversioned, say=say)
        return plan, secrets
    source = sources[0]
    if choose is not None or replace(asked, workers=1) != Options():
        raise UsageError(f"{source}: is a plan already", hint="name the source instead, or leave out -n, --size, …")
    return load_plan(source, some), secrets


def partition_line(sources: Sequence[str], asked: Options, form: str | None) -> str | None:
    """Return the command that makes the plan which `--dry-run` speaks of; None if they are a plan."""
    import shlex

    from cbtool.session import is_plan

    if len(sources) == 1 and is_plan(sources[0]):
        return None
    valued = {
        "-n": asked.chunks,
        "--size": asked.size,
        "--records": asked.records,
        "--by": asked.by,
        "--overlap": asked.overlap,
        "--shape": asked.shape,
        "--only": asked.only,
        "--name": asked.name,
        "--as": form,
    }
    words = [word for option, value in valued.items() if value is not None for word in (option, str(value))]
    words += ["--on-the-fly"] * asked.on_the_fly + ["--paired"] * asked.paired
    return shlex.join(["cbtool", "partition", *sources, *words, "-o", DRY_RUN_PLAN])


def print_lines(
    sources: Sequence[str], asked: Options, form: str | None, lines: Callable[[str], Iterable[str]]
) -> None:
    """Print what would be run: the making of a plan if *sources* are none, and the *lines* for the plan's name."""
    first = partition_line(sources, asked, form)
    if first is not None:
        typer.echo(first)
    for line in lines(sources[0] if first is None else DRY_RUN_PLAN):
        typer.echo(line)


def execute(plan: Plan, work: Work, output: str, settings: Settings) -> Report:
    """Do *work* on the chunks of *plan*, with a ledger in *output*, and tell people about it."""
    from cbtool.destination import open_destination
    from cbtool.session import engine

    with engine(settings.backend, settings.engine) as backend:
        destination = open_destination(output)
        return _execute(plan, work, destination, backend, settings, lambda event: None, with_ledger=True)


def execute_aside(
    plan: Plan, work: Work, settings: Settings, to: BinaryIO | None, join: Callable[[Sequence[str]], None] | None
) -> None:
    """Do *work* into a scratch place, write the outputs to *to* in the order of the chunks, or *join* them at the end.

    The place is a folder of this machine, or a prefix below ``--scratch`` where the engine's workers see no folders.
    ChunksFailed if any chunk failed.
    """
    from cbtool.destination import open_destination
    from cbtool.session import engine
    from cbtool.stagers.scratch import scratch_place_for

    with ExitStack() as stack:
        backend = stack.enter_context(engine(settings.backend, settings.engine))
        place = stack.enter_context(scratch_place_for(settings.scratch, remote=backend.limits.remote))
        destination = open_destination(place)
        emit = InOrder(plan, work, destination, to) if to is not None else lambda event: None
        report = _execute(plan, work, destination, backend, settings, emit, with_ledger=False)
        report.check()
        if join is not None:
            join([destination.locate(name) for names in report.made.values() for name in names])


class InOrder:
    """Writes each chunk's output as soon as all before it have ended, and removes it; failed ones are left out."""

    def __init__(self, plan: Plan, work: Work, destination: Destination, to: BinaryIO) -> None:
        self._chunks, self._work, self._destination, self._to = iter(plan), work, destination, to
        self._next = next(self._chunks, None)
        self._ended: dict[int, bool] = {}

    def __call__(self, event: JobEvent) -> None:
        if event.kind in ("done", "failed") and event.chunk is not None:
            self._ended[event.chunk.chunk] = event.kind == "done"
        while self._next is not None and self._next.chunk in self._ended:
            if self._ended.pop(self._next.chunk):
                self._emit(self._work.outputs(self._next))
            self._next = next(self._chunks, None)

    def _emit(self, names: Sequence[str]) -> None:
        from cbtool.stagers.reduce import joined

        for name in names:
            self._to.writelines(joined([self._destination.locate(name)]))
            self._to.flush()
            self._destination.delete(name)


def _execute(
    plan: Plan,
    work: Work,
    destination: Destination,
    backend: Backend,
    settings: Settings,
    emit: Callable[[JobEvent], None],
    *,
    with_ledger: bool,
) -> Report:
    from cbtool.commands.interrupt import drained_on_interrupt
    from cbtool.job import run_job
    from cbtool.progress import Teller

    with ExitStack() as stack:
        report_on = stack.enter_context(_reporting(plan, work, destination if with_ledger else None, backend, settings))
        teller = stack.enter_context(Teller(sys.stderr, quiet=settings.quiet, verbose=settings.verbose))
        is_stopping = stack.enter_context(drained_on_interrupt(settings.quiet))

        against = _against(settings.predicted)

        def tell(event: JobEvent) -> None:
            teller(event)
            emit(event)
            report_on(event)
            if against is not None:
                against(event)

        how = job_engine(settings, backend, tell, is_stopping)
        report = run_job(plan, work, destination, how, force=settings.force, with_ledger=with_ledger)
    if not settings.quiet:
        typer.echo(f"cbtool: {teller.summary()}", err=True)
        if against is not None:
            typer.echo(f"cbtool: {against.line()}", err=True)
        if report.unrecorded is not None:
            typer.echo(f"cbtool: some attempts are not in the ledger: {report.unrecorded}", err=True)
    return report


def _reporting(
    plan: Plan, work: Work, destination: Destination | None, backend: Backend, settings: Settings
) -> AbstractContextManager[Callable[[JobEvent], None]]:
    """Return what gives a callback for a job's events; it imports nothing that only a report needs without one."""
    import time
    from functools import partial

    if settings.report is None:
        return nullcontext(lambda event: None)
    if settings.report == "-":
        raise UsageError("--report -: stdout is where outputs go", hint="--report run.html")
    from cbtool.report.reporting import reporting

    engine, prices = (settings.backend, backend.limits), partial(o.prices, settings.prices)
    return reporting(settings.report, plan, work, destination, engine, prices, time.time)


def job_engine(
    settings: Settings, backend: Backend, on_event: Callable[[JobEvent], None], is_stopping: Callable[[], bool]
) -> Engine:
    """Return where and how patiently a job runs, as *settings* say."""
    from cbtool.job import Engine
    from cbtool.source import is_local

    if settings.scratch is not None and not backend.limits.remote and not is_local(settings.scratch):
        raise UsageError(f"--scratch {settings.scratch}: not a folder", hint="workers of this machine need one")
    return Engine(
        backend,
        settings.retries,
        settings.engine.timeout_s,
        None if backend.limits.remote else settings.scratch,
        on_event,
        settings.backend,
        settings.tasks_per_call,
        is_stopping,
        settings.predicted,
    )


class Steps:
    """Tells people of a job of several steps: each begins anew, and its end is told."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._teller: Teller | None = None

    def __call__(self, event: JobEvent) -> None:
        from cbtool.progress import Teller

        if event.kind == "begin":
            self._end()
            self._teller = Teller(sys.stderr, quiet=self.settings.quiet, verbose=self.settings.verbose)
        if self._teller is not None:
            self._teller(event)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self._end()
        elif self._teller is not None:
            self._teller.__exit__(kind, *exc)

    def _end(self) -> None:
        if self._teller is not None:
            self._teller.__exit__(None)
            if not self.settings.quiet:
                typer.echo(f"cbtool: {self._teller.summary()}", err=True)


def execute_steps(output: str, settings: Settings, job: Callable[[Destination, Engine], Report]) -> Report:
    """Do a *job* of several steps, which has its ledger in *output*, and tell people about each."""
    from cbtool.destination import open_destination
    from cbtool.session import engine

    with engine(settings.backend, settings.engine) as backend:
        return run_steps(open_destination(output), backend, settings, job)


def run_steps(
    destination: Destination, backend: Backend, settings: Settings, job: Callable[[Destination, Engine], Report]
) -> Report:
    """Do what `execute_steps` does, on a backend that is open."""
    from cbtool.commands.interrupt import drained_on_interrupt

    with Steps(settings) as steps, drained_on_interrupt(settings.quiet) as is_stopping:
        report = job(destination, job_engine(settings, backend, steps, is_stopping))
    if settings.report is not None:
        from cbtool.output import open_output
        from cbtool.report.report_html import run_page
        from cbtool.report.seen import look

        with open_output(settings.report) as file:
            file.write(run_page(look(destination, o.prices(settings.prices))).encode())
    return report


def _against(predicted: Mapping[str, Any] | None) -> Against | None:
    """Return what holds the run against what was *predicted* of it, if anything was."""
    if predicted is None:
        return None
    from cbtool.choice.explaining import Against

    return Against(predicted)


def say_report(report: Report, output: str) -> None:
    """Print *report* as one JSON object."""
    import json

    fields = {
        "destination": output,
        "chunks": len(report.made),
        "done": report.done + report.kept,
        "kept": report.kept,
        "failed": [{"chunk": number, "error": str(error)} for number, error in sorted(report.failed.items())],
        "outputs": [name for number, names in report.made.items() if number not in report.failed for name in names],
    }
    typer.echo(json.dumps(fields))
