"""What `run` and `write` share: their options, and a job from its plan to its report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from cbtool.commands import options as o
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.asked import Options
    from cbtool.destination import Destination
    from cbtool.job import JobEvent, Report, Work
    from cbtool.plan import Plan

Sources = Annotated[
    list[str], typer.Argument(metavar="PLAN|SRC...", help="A plan (- is stdin), or what to plan: paths, URIs, globs.")
]
Output = Annotated[str | None, typer.Option("-o", "--output", metavar="DEST", help="A folder, or an s3:// prefix.")]
Retries = Annotated[
    int | None,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        envvar="CBTOOL_RETRIES",
        help="Try failing chunks again [default: 2, where it may pass].",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, envvar="CBTOOL_TIMEOUT", help="Limit for each chunk."),
]
Scratch = Annotated[
    str | None,
    typer.Option("--scratch", metavar="DIR", envvar="CBTOOL_SCRATCH", help="Where temporary files go [TMPDIR]."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, as commands; change nothing.")]
Force = Annotated[bool, typer.Option("--force", help="First remove what a run made in DEST, and do all again.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show retries, and all that failing commands said.")]


DRY_RUN_PLAN = "chunks.plan"


@dataclass(frozen=True)
class Settings:
    """How a job runs; none of it shapes what is made."""

    workers: int
    backend: str = "local"
    retries: int | None = None
    timeout_s: float | None = None
    scratch: str | None = None
    force: bool = False
    quiet: bool = False
    verbose: bool = False


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
) -> tuple[Plan, list[str]]:
    """Return the plan that *sources* are, or make one of them, and the signed URLs to open its sources by.

    In a dry run an index goes where it is removed again.
    """
    from tempfile import TemporaryDirectory

    from cbtool.reading import is_secret
    from cbtool.session import is_plan, load_plan, make_plan

    secrets = [uri for uri in [*sources, *(urls or [])] if is_secret(uri)]
    if len(sources) > 1 or not is_plan(sources[0]):
        if dry_run and index_to is None:
            with TemporaryDirectory(prefix="cbtool-") as aside:
                return load(sources, asked, form, aside, unversioned, some, True, dry_run, urls)
        say = o.note(quiet)
        plan = make_plan(sources, asked, form=form, index_to=index_to, unversioned=unversioned, say=say)
        return plan, secrets
    source = sources[0]
    given = (asked.chunks, asked.size, asked.records, asked.by, asked.name)
    if asked.on_the_fly or asked.paired or any(one is not None for one in given):
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

    return _execute(plan, work, open_destination(output), settings, lambda event: None, with_ledger=True)


def execute_aside(plan: Plan, work: Work, folder: str, settings: Settings, to: BinaryIO | None) -> Report:
    """Do *work* into the scratch *folder*, and write the outputs to *to*, in the order of the chunks."""
    from cbtool.destination import open_destination

    destination = open_destination(folder)
    emit = InOrder(plan, work, destination, to) if to is not None else lambda event: None
    return _execute(plan, work, destination, settings, emit, with_ledger=False)


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
        from cbtool.stagers.scratch import read_blocks

        for name in names:
            self._to.writelines(read_blocks(self._destination.locate(name)))
            self._to.flush()
            self._destination.delete(name)


def _execute(
    plan: Plan,
    work: Work,
    destination: Destination,
    settings: Settings,
    emit: Callable[[JobEvent], None],
    *,
    with_ledger: bool,
) -> Report:
    from cbtool.job import Engine, run_job
    from cbtool.progress import Teller
    from cbtool.session import engine

    with ExitStack() as stack:
        teller = stack.enter_context(Teller(sys.stderr, quiet=settings.quiet, verbose=settings.verbose))
        backend = stack.enter_context(engine(settings.backend, settings.workers))

        def tell(event: JobEvent) -> None:
            teller(event)
            emit(event)

        how = Engine(backend, settings.retries, settings.timeout_s, settings.scratch, tell)
        report = run_job(plan, work, destination, how, force=settings.force, with_ledger=with_ledger)
    if not settings.quiet:
        typer.echo(f"cbtool: {teller.summary()}", err=True)
    return report


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
