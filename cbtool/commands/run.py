"""``cbtool run``: a command for every chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.cli import COMMAND
from cbtool.commands import choosing as c
from cbtool.commands import job_options as j
from cbtool.commands import options as o
from cbtool.commands import running as r
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.job import Work
    from cbtool.plan import Plan


def run(
    ctx: typer.Context,
    sources: j.Sources,
    output: j.Output = None,
    ext: Annotated[str, typer.Option("--ext", metavar=".EXT", help="What the names of outputs end in.")] = "",
    ok: Annotated[str, typer.Option("--ok", metavar="N,N", help="Exit statuses of CMD that are no failure.")] = "0",
    reduce: Annotated[
        str | None,
        typer.Option("--reduce", metavar="CMD", help="When all is done: gets all outputs on stdin, in order."),
    ] = None,
    reduce_to: Annotated[str, typer.Option("--reduce-to", metavar="F", help="Where its stdout goes.")] = "-",
    chunks: o.Chunks = None,
    size: o.Size = None,
    records: o.Records = None,
    by: o.By = None,
    overlap: o.Overlap = None,
    shape: o.Shape = None,
    only: o.Only = None,
    on_the_fly: o.OnTheFly = False,
    paired: o.Paired = False,
    name: o.Name = None,
    form: o.As = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    source: o.Resupplied = None,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    tasks_per_call: j.TasksPerCall = "auto",
    memory: j.Memory = None,
    budget: c.Budget = None,
    deadline: c.Deadline = None,
    explain: c.Explain = False,
    like: c.Like = None,
    retries: j.Retries = None,
    timeout: j.Timeout = None,
    scratch: j.Scratch = None,
    report: j.ReportTo = None,
    prices: o.PriceTable = None,
    dry_run: j.DryRun = False,
    force: j.Force = False,
    some: o.Some = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: j.Verbose = False,
) -> None:
    """Run a command on every chunk: the chunk on its stdin (or in the file {in}), its stdout (or {out}) the output.

    CMD follows --. Several words are run as they are, one word by bash -o pipefail. In it are replaced:
    {in} {in1} {in2} {out} {outdir} {name} {stem} {chunk} {core}; also $CBTOOL_IN and so on.
    Without -o the outputs go to stdout, in the order of the chunks. The same command again does what is left.

    \b
    Examples:
      cbtool run reads.fastq.gz -n 16 --reduce "awk '{s+=\\$1} END {print s}'" -- wc -l
      cbtool run reads.plan -o out/ --ext .sam -- 'minimap2 -ax sr ref.fa {in} > {out}'
      cbtool run 'logs/*.txt' --size 64MB --ok 0,1 -- grep -c error
      cbtool run reads.fastq.gz -n auto --deadline 600 --explain -- wc -l
    """
    from cbtool.job import Work

    words, statuses = _checked(ctx.meta.get(COMMAND), ok, ext, is_here=backend == "local")
    how = (by, overlap, shape, only)
    asked = o.options(chunks, size, records, *how, on_the_fly, paired, name, workers or o.cores())
    engine = j.engine_settings(workers, engine_config, scheduler, memory, timeout)
    calls = j.per_call(tasks_per_call, timeout)
    settings = j.Settings(backend, engine, calls, retries, scratch, force, quiet, verbose, report, prices)

    def doing(urls: list[str]) -> Work:
        return Work("command", {"command": words, "ext": ext, "ok": statuses}, {"urls": urls})

    goal = (chunks, (size, records), budget, deadline, explain, prices, like)
    choose = c.chooser(*goal, doing, output, settings, dry_run)
    plan, urls = r.load(sources, asked, form, index_to, unversioned, some, quiet, dry_run, source, choose)
    work = doing(urls)
    if choose is not None:
        asked, settings = replace(asked, chunks=len(plan)), replace(settings, predicted=choose.predicted)
    if dry_run:
        from cbtool.stagers.command import shell_lines

        r.print_lines(sources, asked, form, lambda name: shell_lines(plan, name, work.parameters, output))
        return
    if output is not None:
        _into(plan, work, output, settings, reduce, reduce_to, as_json)
    else:
        _through(plan, work, settings, reduce, reduce_to, as_json)


def _checked(command: list[str] | None, ok: str, ext: str, *, is_here: bool) -> tuple[list[str], list[int]]:
    """Return the words of the command and the statuses that are no failure; UsageError before anything is begun."""
    import re
    import shutil

    if not command or not command[0]:
        raise UsageError("what is to be run?", hint="cbtool run SRC -n 16 -- wc -l")
    if is_here and len(command) > 1 and "{" not in command[0] and shutil.which(command[0]) is None:
        raise UsageError(f"{command[0]}: no such command", hint="is it installed, and on PATH?")
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", ok):
        raise UsageError(f"--ok {ok}: not a list of exit statuses", hint="--ok 0,1")
    if not re.fullmatch(r"[A-Za-z0-9._-]*", ext):
        raise UsageError(f"--ext {ext}: not a suffix of letters, digits, '.', '_', '-'", hint="--ext .sam")
    return command, sorted(int(status) for status in ok.split(","))


def _into(
    plan: Plan, work: Work, output: str, settings: j.Settings, reduce: str | None, reduce_to: str, as_json: bool
) -> None:
    if as_json and reduce is not None and reduce_to == "-":
        raise UsageError("--json and --reduce would both write to stdout", hint="--reduce-to FILE")
    report = r.execute(plan, work, output, settings)
    if as_json:
        r.say_report(report, output)
    report.check()
    if reduce is not None:
        from cbtool.destination import open_destination

        destination = open_destination(output)
        uris = [destination.locate(name.rstrip("/")) for names in report.made.values() for name in names]
        _join(reduce, uris, reduce_to, settings)


def _through(plan: Plan, work: Work, settings: j.Settings, reduce: str | None, reduce_to: str, as_json: bool) -> None:
    from functools import partial

    from cbtool.output import open_output
    from cbtool.stagers.command import names

    if as_json:
        raise UsageError("--json: stdout is where the outputs go", hint="-o DEST")
    if names(work.parameters["command"], "outdir"):
        raise UsageError("{outdir}: a folder cannot go to stdout", hint="-o DEST")
    if reduce is not None:
        r.execute_aside(plan, work, settings, None, partial(_join, reduce, to=reduce_to, settings=settings))
        return
    with open_output("-") as stdout:
        r.execute_aside(plan, work, settings, stdout, None)


def _join(reduce: str, uris: Sequence[str], to: str, settings: j.Settings) -> None:
    from cbtool.stagers.reduce import reduce as join
    from cbtool.stagers.scratch import scratch_place

    join(reduce, uris, to, scratch=scratch_place(settings.scratch))
