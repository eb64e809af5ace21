"""``cbtool verify``: prove that the chunks together are the source."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def verify(
    plan: Annotated[str, typer.Argument(metavar="PLAN|-", help="A plan, or - for one on stdin.")],
    destination: Annotated[str | None, typer.Argument(metavar="[DEST]", help="Where its chunks were written.")] = None,
    source: o.Resupplied = None,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Prove that the chunks together are the sources: every record once, in order.

    Counts records and adds up a 128-bit hash of each, from the chunks and from the sources. Exit status 4 if they
    differ.

    \b
    Examples:
      cbtool verify reads.plan
      cbtool verify reads.plan parts/
    """
    from cbtool.contracts import EngineSettings
    from cbtool.destination import open_destination
    from cbtool.errors import StaleError
    from cbtool.progress import counting
    from cbtool.reach import check_places
    from cbtool.session import engine, load_plan
    from cbtool.tables import show_rows
    from cbtool.verifying import verify as hold

    whole = load_plan(plan)
    where = open_destination(destination) if destination else None
    with engine(backend, EngineSettings(workers, engine_config, scheduler)) as runner, counting(quiet) as on_event:
        if runner.limits.remote:
            check_places(whole, where)
        verdicts = hold(whole, runner, where, source or [], on_event)
    rows = [
        {
            "part": verdict.part + 1,
            "records": verdict.sources.records,
            "chunks": len(whole),
            "hash": f"{verdict.chunks.total:032x}",
            "crc": f"{verdict.chunks.crc:08x}",
            "verified": verdict.differs is None,
        }
        for verdict in verdicts
    ]
    show_rows(rows, as_json)
    for verdict in verdicts:
        if verdict.differs:
            raise StaleError(f"{plan}: part {verdict.part + 1}: {verdict.differs}")
