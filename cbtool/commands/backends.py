"""``cbtool backends``: what engines there are, what their workers run in, and whether one works."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o
from cbtool.errors import UsageError

Action = Annotated[str | None, typer.Argument(metavar="[setup|check]", help="What to do; without it, list.")]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The engine.")]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="DIR|DEST", help="setup: where to write. check: that workers may write."),
]
Source = Annotated[str | None, typer.Option("--source", metavar="URI", help="check: that workers may read.")]
Extras = Annotated[
    str | None, typer.Option("--extras", metavar="A,B", help="setup: extras of cbtool [those that are installed here].")
]
Tasks = Annotated[int, typer.Option("--tasks", metavar="N", min=1, help="check: how many empty tasks to measure by.")]


def backends(
    action: Action = None,
    name: Name = None,
    output: Output = None,
    source: Source = None,
    extras: Extras = None,
    tasks: Tasks = 8,
    workers: o.Workers = None,
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """List the engines, and what to install for those that cannot be used yet.

    setup writes what an engine's workers run in, and says what to do with it. check has workers answer: that their
    versions are ours, that they reach a source and a destination; and measures what calls and tasks cost in time.

    \b
    Examples:
      cbtool backends
      cbtool backends check local --json
      cbtool backends check lithops -o s3://bucket/out/ --source s3://bucket/reads.fastq.gz
      cbtool backends setup lithops -o image/
    """
    if action is None:
        from cbtool.commands.formats import list_entries

        list_entries("backends", as_json)
        return
    if action not in ("setup", "check"):
        raise UsageError(f"backends {action}: setup or check?", hint="cbtool backends check lithops")
    if name is None:
        raise UsageError(f"backends {action}: which?", hint="cbtool backends lists them")
    if action == "setup":
        _set_up(name, output, extras, engine_config, quiet)
        return
    from cbtool.checking import check
    from cbtool.contracts import EngineSettings
    from cbtool.tables import show_facts

    settings = EngineSettings(workers, engine_config, scheduler)
    show_facts(check(name, settings, source=source, output=output, n_tasks=tasks), as_json)


def _set_up(name: str, output: str | None, extras: str | None, config: str | None, quiet: bool) -> None:
    from cbtool.destination import open_destination
    from cbtool.extras import checked, installed
    from cbtool.image import written

    if output is None:
        raise UsageError("backends setup: where to?", hint=f"cbtool backends setup {name} -o image/")
    wanted = installed() if extras is None else checked(extras.split(","))
    text, steps = written(name, wanted, output, config)
    folder = open_destination(output)
    folder.replace("Dockerfile", [text.encode()])
    o.note(quiet)(f"{folder.locate('Dockerfile')} is written; next:")
    if not quiet:
        typer.echo(steps, err=True, nl=False)
