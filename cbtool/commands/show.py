"""``cbtool show``: a plan for people."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def show(
    plan: Annotated[str, typer.Argument(metavar="PLAN|DEST|-", help="A plan, a run's destination, or - for stdin.")],
    chunks: Annotated[bool, typer.Option("--chunks", help="A row for every chunk.")] = False,
    some: o.Some = False,
    as_json: o.Json = False,
) -> None:
    """Show a plan: how many chunks, how even, what they cost to read, and where the cuts lie.

    \b
    Examples:
      cbtool show reads.plan
      cbtool show reads.plan --chunks --json
    """
    import sys

    from cbtool.picture import facts, rows, strip
    from cbtool.session import load_plan
    from cbtool.tables import show_facts, show_rows

    whole = load_plan(plan, some)
    if not chunks:
        show_facts(facts(whole), as_json)
    if sys.stdout.isatty() and not as_json:
        typer.echo(strip([chunk.weight for chunk in whole], sys.stdout.encoding))
    if chunks:
        show_rows(rows(whole), as_json)
