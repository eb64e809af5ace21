"""``cbtool partition``: make a plan."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def partition(
    sources: o.Sources,
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
    output: Annotated[str, typer.Option("-o", "--output", metavar="PLAN", help="Where the plan goes.")] = "-",
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    workers: o.Workers = None,
    quiet: o.Quiet = False,
) -> None:
    """Cut sources into chunks: write a plan, one chunk a line.

    Nothing is copied. A plan goes to `cbtool read`, `write`, `run` or `verify`, on this machine or another.

    \b
    Examples:
      cbtool partition reads.fastq.gz -n 64 -o reads.plan
      cbtool partition 'logs/*.txt' --size 64MB | cbtool write - -o parts/
      cbtool partition r_1.fq.gz r_2.fq.gz --paired --records 1000000
    """
    from cbtool.session import make_plan

    how = (by, overlap, shape, only)
    asked = o.options(chunks, size, records, *how, on_the_fly, paired, name, workers or o.cores())
    plan = make_plan(sources, asked, form=form, index_to=index_to, unversioned=unversioned, say=o.note(quiet))
    plan.save(output)
