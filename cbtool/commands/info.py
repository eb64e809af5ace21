"""``cbtool info``: what a source is."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def info(
    sources: o.Sources,
    form: o.As = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    check: Annotated[bool, typer.Option("--check", help="Read all of it, and see that it is sound.")] = False,
    as_json: o.Json = False,
    workers: o.Workers = None,
) -> None:
    """Say what sources are: format, size, compression, counts, and the state of their indexes.

    \b
    Examples:
      cbtool info reads.fastq.gz
      cbtool info s3://bucket/run7/ --json
    """
    from cbtool.describe import describe
    from cbtool.session import opened
    from cbtool.tables import show_facts

    with opened(sources, unversioned=unversioned) as found:
        for source in found:
            facts = describe(source, form, index_to, (workers or o.cores()) if check else None)
            show_facts(facts, as_json)
