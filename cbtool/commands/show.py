"""``cbtool show``: a plan for people, or a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import options as o
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.density import Raster
    from cbtool.plan import Plan
    from cbtool.report.plane import Plane


def show(
    plan: Annotated[str, typer.Argument(metavar="PLAN|DEST|-", help="A plan, a run's destination, or - for stdin.")],
    chunks: Annotated[bool, typer.Option("--chunks", help="A row for every chunk.")] = False,
    svg: Annotated[str | None, typer.Option("--svg", metavar="F", help="Draw it into F: a map, or a timeline.")] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="F", help="Write a page of it to F.")] = None,
    as_map: Annotated[
        bool, typer.Option("--map", help="Draw a plan in text and nothing else; into a pipe too.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("-j", "--workers", metavar="N", envvar="CBTOOL_WORKERS", help="Predict a plan's makespan for N."),
    ] = None,
    index_to: o.IndexTo = None,
    prices: o.PriceTable = None,
    some: o.Some = False,
    as_json: o.Json = False,
) -> None:
    """Show a plan: how even it is, what it costs to read, where the cuts lie. Or a run: who did what when, its cost.

    \b
    Examples:
      cbtool show reads.plan
      cbtool show reads.plan --chunks --json
      cbtool show tiles.plan -j 16 --svg map.svg
      cbtool show out/ --html run.html --svg timeline.svg
    """
    from cbtool.session import is_destination, load_plan

    if is_destination(plan):
        if as_map:
            raise UsageError("--map is for plans; a run is shown as it is at a terminal, and by --svg and --html")
        _show_run(plan, chunks, svg, html, prices, as_json)
    else:
        _show_plan(load_plan(plan, some), chunks, svg, html, as_map, workers, index_to, as_json)


def _show_plan(
    plan: Plan,
    chunks: bool,
    svg: str | None,
    html: str | None,
    as_map: bool,
    workers: int | None,
    index_to: str | None,
    as_json: bool,
) -> None:
    from cbtool.report.picture import facts, rows
    from cbtool.report.plane import plane_of
    from cbtool.tables import show_facts, show_rows

    workers = o.cores() if workers is None else workers
    if workers < 1:
        raise UsageError(f"{workers} workers: it must be at least 1")
    plane, raster = plane_of(plan), None
    if plane is not None:
        from cbtool.density import raster_of

        raster = raster_of(plan, index_to)
    if svg is not None:
        _write(svg, lambda: _drawn(plan, plane, raster))
    if html is not None:
        from cbtool.report.plan_html import plan_page

        _write(html, lambda: plan_page(plan, workers, raster))
    if "-" in (svg, html):
        return
    if as_map:
        typer.echo(_in_text(plan, plane, raster))
        return
    if not chunks:
        show_facts(facts(plan, workers, plane, raster), as_json)
    if sys.stdout.isatty() and not as_json:
        typer.echo(_in_text(plan, plane, raster))
    if chunks:
        show_rows(rows(plan), as_json)


def _drawn(plan: Plan, plane: Plane | None, raster: Raster | None) -> str:
    if plane is None:
        from cbtool.report.plan_svg import strip

        return strip(list(plan), alone=True)
    from cbtool.report.map_svg import plane_map

    return plane_map(list(plan), plane, raster, alone=True)


def _in_text(plan: Plan, plane: Plane | None, raster: Raster | None) -> str:
    from cbtool.report.picture import strip

    line = strip([chunk.weight for chunk in plan], sys.stdout.encoding)
    if plane is None:
        return line
    from cbtool.report.map_text import colour_of, plane_map

    colour = colour_of(os.environ, sys.stdout.encoding) if sys.stdout.isatty() else "none"
    return "\n".join([*plane_map(plane, raster, colour), line])


def _show_run(
    where: str, chunks: bool, svg: str | None, html: str | None, price_table: str | None, as_json: bool
) -> None:
    from cbtool.destination import open_destination
    from cbtool.report.picture import timeline
    from cbtool.report.run_facts import facts, rows, shown
    from cbtool.report.seen import look
    from cbtool.tables import show_facts, show_rows

    of = look(open_destination(where), o.prices(price_table))
    if svg is not None:
        from cbtool.report import timeline_svg

        _write(svg, lambda: timeline_svg.timeline(of, alone=True))
    if html is not None:
        from cbtool.report.report_html import run_page

        _write(html, lambda: run_page(of))
    if "-" in (svg, html):
        return
    if chunks:
        show_rows(rows(of), as_json)
    elif as_json or not sys.stdout.isatty():
        show_facts(facts(of), True)
    else:
        show_facts(shown(of), False)
        typer.echo("\n".join(["", *timeline(of, sys.stdout.encoding)]))


def _write(path: str, draw: Callable[[], str]) -> None:
    from cbtool.output import open_output

    with open_output(path) as file:
        file.write(draw().encode())
