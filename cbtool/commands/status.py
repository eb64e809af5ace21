"""``cbtool status``: what a run has done and is doing, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import options as o

if TYPE_CHECKING:
    from cbtool.ledger import Status


def status(
    destination: Annotated[str, typer.Argument(metavar="DEST", help="The folder or prefix given to run or write.")],
    watch: Annotated[bool, typer.Option("--watch", help="Say it again each second until nothing runs.")] = False,
    as_json: o.Json = False,
) -> None:
    """Say what a run has done, what runs, what failed and why, and what is to come. Status 3 if any chunk failed.

    \b
    Examples:
      cbtool status out/
      cbtool status out/ --watch
      cbtool status s3://bucket/out/ --json
    """
    import time

    from cbtool.destination import open_destination
    from cbtool.ledger import status as read_status
    from cbtool.report.watching import redrawn

    place = open_destination(destination)
    if watch:
        with redrawn(one_at_a_time=as_json) as draw:
            while (found := read_status(place)).alive:
                draw(lines(found, destination, time.time(), as_json))
                time.sleep(WATCH_S)
    else:
        found = read_status(place)
    typer.echo("\n".join(lines(found, destination, time.time(), as_json)))
    if found.failed:
        raise typer.Exit(3)


WATCH_S = 1.0


def lines(found: Status, destination: str, now: float, as_json: bool) -> list[str]:
    """Return a status as text, or as one line of JSON."""
    import json
    import time

    from cbtool.report.svg import printable
    from cbtool.units import show_seconds

    if as_json:
        return [json.dumps(fields(found, destination))]
    done, failed, running, to_come = (len(n) for n in (found.done, found.failed, found.running, found.to_come))
    under_way = f"{running} running, " if running else ""
    total = done + failed + running + to_come
    said = [f"{done} of {total} chunks done, {failed} failed, {under_way}{to_come} to come"]
    for beat in found.alive:
        said.append(f"{beat.backend} on {beat.host}, process {beat.pid}, at it for {show_seconds(now - beat.began)}")
    for beat in found.gone:
        last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(beat.at))
        left = ", ".join(str(chunk) for chunk in sorted(beat.running)) or "none"
        said.append(f"a driver on {beat.host}, process {beat.pid}, is gone since {last}; under way: {left}")
    said += [f"chunk {number}: runs for {show_seconds(max(0.0, now - at))}" for number, at in found.running.items()]
    said += [f"chunk {number}: {record.get('error')}" for number, record in found.failed.items()]
    return [printable(line) for line in said]


def fields(found: Status, destination: str) -> dict[str, object]:
    """Return a status for programs."""
    drivers = [
        {"backend": one.backend, "host": one.host, "pid": one.pid, "began": one.began, "at": one.at, "gone": gone}
        for gone, beats in ((False, found.alive), (True, found.gone))
        for one in beats
    ]
    return {
        "destination": destination,
        "run": found.run,
        "done": found.done,
        "running": [{"chunk": number, "since": since} for number, since in found.running.items()],
        "failed": list(found.failed.values()),
        "to_come": found.to_come,
        "drivers": drivers,
    }
