"""``cbtool show``: a plan for people, or a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import options as o

if TYPE_CHECKING:
    from cbtool.plan import Plan


def show(
    plan: Annotated[str, typer.Argument(metavar="PLAN|DEST|-", help="A plan, a run's destination, or - for stdin.")],
    chunks: Annotated[bool, typer.Option("--chunks", help="A row for every chunk.")] = False,
    svg: Annotated[str | None, typer.Option("--svg", metavar="F", help="Draw it into F: a map, or a timeline.")] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="F", help="Write a page of it to F.")] = None,
    prices: o.PriceTable = None,
    some: o.Some = False,
    as_json: o.Json = False,
) -> None:
    """Show a plan: how even it is, what it costs to read, where the cuts lie. Or a run: who did what when, its cost.

    \b
    Examples:
      cbtool show reads.plan
      cbtool show reads.plan --chunks --json
      cbtool show out/ --html run.html --svg timeline.svg
    """
    from cbtool.session import is_destination, load_plan

    if is_destination(plan):
        _show_run(plan, chunks, svg, html, prices, as_json)
    else:
        _show_plan(load_plan(plan, some), chunks, svg, html, as_json)


def _show_plan(plan: Plan, chunks: bool, svg: str | None, html: str | None, as_json: bool) -> None:
    from cbtool.report.picture import facts, rows, strip
    from cbtool.tables import show_facts, show_rows

    if svg is not None:
        from cbtool.report import plan_svg

        _write(svg, lambda: plan_svg.strip(list(plan), alone=True))
    if html is not None:
        from cbtool.report.plan_html import plan_page

        _write(html, lambda: plan_page(plan))
    if "-" in (svg, html):
        return
    if not chunks:
        show_facts(facts(plan), as_json)
    if sys.stdout.isatty() and not as_json:
        typer.echo(strip([chunk.weight for chunk in plan], sys.stdout.encoding))
    if chunks:
        show_rows(rows(plan), as_json)


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
