"""``cbtool status``: what a run has done, and what is left."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def status(
    destination: Annotated[str, typer.Argument(metavar="DEST", help="The folder or prefix given to run or write.")],
    as_json: o.Json = False,
) -> None:
    """Say what a run has done, what failed and why, and what is to come. Status 3 if any chunk failed.

    \b
    Examples:
      cbtool status out/
      cbtool status s3://bucket/out/ --json
    """
    import json

    from cbtool.destination import open_destination
    from cbtool.ledger import status as read_status

    found = read_status(open_destination(destination))
    if as_json:
        fields = {
            "destination": destination,
            "run": found.run,
            "done": found.done,
            "failed": list(found.failed.values()),
            "to_come": found.to_come,
        }
        typer.echo(json.dumps(fields))
    else:
        total = len(found.done) + len(found.failed) + len(found.to_come)
        typer.echo(
            f"{len(found.done)} of {total} chunks done, {len(found.failed)} failed, {len(found.to_come)} to come"
        )
        for number, record in found.failed.items():
            typer.echo(f"chunk {number}: {record.get('error')}")
    if found.failed:
        raise typer.Exit(3)
