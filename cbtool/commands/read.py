"""``cbtool read``: one chunk as a valid file."""

from __future__ import annotations

from typing import Annotated

import typer

from cbtool.commands import options as o


def read(
    plan: Annotated[str, typer.Argument(metavar="PLAN|-", help="A plan, or - for one plan line on stdin.")],
    chunk: Annotated[int | None, typer.Option("-k", "--chunk", metavar="K", help="Which chunk, from 0.")] = None,
    part: Annotated[int | None, typer.Option("--part", metavar="1|2", help="Which mate of paired reads.")] = None,
    source: o.Resupplied = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="F", help="Where the file goes.")] = "-",
) -> None:
    """Give one chunk as a valid file, reading just its bytes. Paired reads come interleaved.

    \b
    Examples:
      cbtool read reads.plan -k 3 | head
      cbtool partition reads.fq.gz -n 16 | parallel --pipe -N1 'cbtool read - | wc -l'
    """
    from cbtool.output import open_output
    from cbtool.reading import one_stream, resupply
    from cbtool.session import one_chunk

    with open_output(output) as file:
        for block in one_stream(resupply(one_chunk(plan, chunk), source or []), part):
            file.write(block)
