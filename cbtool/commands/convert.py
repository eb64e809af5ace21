"""``cbtool convert``: sources in another format."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import job_options as j
from cbtool.commands import options as o
from cbtool.commands import running as r
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.converting.asked import Asked, Conversion
    from cbtool.job import Report


def convert(
    sources: o.Sources,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="copc, laz or las.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="F|DEST/", help="A file, or a folder or prefix for several.")
    ],
    drop_waveform: Annotated[
        bool, typer.Option("--drop-waveform", help="Clouds: leave waveforms out, and keep their points.")
    ] = False,
    spacing: Annotated[
        str | None,
        typer.Option("--spacing", metavar="LENGTH", help="Clouds: keep one point of each cell of that size."),
    ] = None,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Of a file that is cut short, keep what is intact.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="STEM", help="What the file in DEST is called.")] = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    tasks_per_call: j.TasksPerCall = "auto",
    memory: j.Memory = None,
    retries: j.Retries = None,
    timeout: j.Timeout = None,
    scratch: j.Scratch = None,
    report: j.ReportTo = None,
    prices: o.PriceTable = None,
    dry_run: j.DryRun = False,
    force: j.Force = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: j.Verbose = False,
) -> None:
    """Write sources in another format. To copc, all of them become one file; to laz or las, each becomes one.

    The same command again does what is left. What is on its way lies in the destination (for a file, beside it) and
    is removed.

    \b
    Examples:
      cbtool convert 'tiles/*.laz' --to copc -o survey.copc.laz
      cbtool convert 'tiles/*.laz' --to las -o s3://bucket/tiles/
      cbtool convert tiles/1.laz --to laz --salvage -o whole.laz
    """
    from cbtool.converting.asked import Asked
    from cbtool.converting.names import names_of, refuse_sources
    from cbtool.registry import load
    from cbtool.session import indexer, opened

    conversion: Conversion = load("conversions", to)
    engine = j.engine_settings(workers, engine_config, scheduler, memory, timeout)
    calls = j.per_call(tasks_per_call, timeout)
    settings = j.Settings(backend, engine, calls, retries, scratch, force, quiet, verbose, report, prices)
    with opened(sources, unversioned=unversioned) as found:
        uris = [source.uri for source in found]
        names = names_of(uris, conversion.suffix, is_one=conversion.is_one, stem=name)
        is_folder = _is_folder(output, names)
        if is_folder:
            refuse_sources_in(output, names, uris)
        else:
            refuse_sources(output, uris)
        if dry_run:
            for one in names:
                typer.echo(output if not is_folder else f"{output.rstrip('/')}/{one}")
            return
        pass_over = indexer(workers or o.cores(), name=backend, settings=engine)
        asked = Asked(found, names, pass_over, index_to, o.note(quiet), force, drop_waveform, spacing, salvage)
        made = (_into_folder if is_folder else _into_file)(conversion, asked, output, settings)
    if as_json:
        r.say_report(made, output)
    made.check()


def refuse_sources_in(folder: str, names: list[str], uris: list[str]) -> None:
    """Raise UsageError if a file that is made in *folder* is one of the sources."""
    from cbtool.converting.names import refuse_sources

    for one in names:
        refuse_sources(f"{folder.rstrip('/')}/{one}", uris)


def _is_folder(output: str, names: list[str]) -> bool:
    """Say whether *output* is to hold files: it ends with ``/``, is a folder, or there are several."""
    import os

    several = len(names) > 1
    if several and output == "-":
        raise UsageError(f"{len(names)} files do not go to one stdout", hint="-o FOLDER/")
    return several or output.endswith("/") or os.path.isdir(output)


def _into_folder(conversion: Conversion, asked: Asked, output: str, settings: j.Settings) -> Report:
    from cbtool.converting.names import refuse_taken
    from cbtool.destination import open_destination

    refuse_taken(open_destination(output), asked.names)
    return r.execute_steps(output, settings, partial(conversion.convert, asked))


def _into_file(conversion: Conversion, asked: Asked, output: str, settings: j.Settings) -> Report:
    """Make the file in a folder beside *output*, or for stdout in a scratch place, and give it its name."""
    from cbtool.converting.names import deliver
    from cbtool.destination import open_destination
    from cbtool.session import engine
    from cbtool.stagers.scratch import scratch_place_for

    with ExitStack() as stack:
        backend = stack.enter_context(engine(settings.backend, settings.engine))
        place = f"{output}.cbtool-convert"
        if output == "-":
            place = stack.enter_context(scratch_place_for(settings.scratch, remote=backend.limits.remote))
        destination = open_destination(place)
        made = r.run_steps(destination, backend, settings, partial(conversion.convert, asked))
        if not made.failed:
            deliver(destination, asked.names[0], output)
    return made
