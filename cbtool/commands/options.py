"""Options that several commands share: one definition, one help text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cbtool.asked import Options
from cbtool.errors import UsageError

Sources = Annotated[list[str], typer.Argument(metavar="SRC...", help="Paths, URIs, globs, prefixes, @list.txt.")]
Chunks = Annotated[str | None, typer.Option("-n", "--chunks", metavar="N|auto", help="How many chunks.")]
Size = Annotated[
    str | None, typer.Option("--size", metavar="SIZE", help="Chunks of at most SIZE uncompressed bytes: 64MB, 1GiB.")
]
Records = Annotated[int | None, typer.Option("--records", metavar="N", help="Chunks of N records each.")]
By = Annotated[str | None, typer.Option("--by", metavar="WEIGHT", help="What to balance: bytes, records, bases.")]
Overlap = Annotated[
    str | None,
    typer.Option("--overlap", metavar="X", help="What chunks carry of their neighbours besides: 5m, 15ft."),
]
Shape = Annotated[str | None, typer.Option("--shape", metavar="SHAPE", help="How chunks lie: kd, grid, band, region.")]
Only = Annotated[
    str | None, typer.Option("--only", metavar="REGION", help="Cut a part: bbox:x0,y0,x1,y1, @F.geojson, chr2:1-500.")
]
OnTheFly = Annotated[bool, typer.Option("--on-the-fly", help="Never pass over the data; refuse where that is needed.")]
Paired = Annotated[bool, typer.Option("--paired", help="Sources are mates: R1 R2 [R1 R2 ...].")]
Name = Annotated[str | None, typer.Option("--name", metavar="STEM", help="What chunk names begin with.")]
As = Annotated[str | None, typer.Option("--as", metavar="FORMAT", help="Take the sources for this format.")]
IndexTo = Annotated[
    str | None,
    typer.Option(
        "--index-to", metavar="URI", envvar="CBTOOL_INDEX_TO", help="Where indexes lie: a folder, or 'cache'."
    ),
]
Unversioned = Annotated[
    bool, typer.Option("--unversioned", help="Accept an HTTP source that nothing tells from a later one.")
]
Resupplied = Annotated[
    list[str] | None, typer.Option("--source", metavar="URL", help="Give a signed URL again (plans do not keep them).")
]
Workers = Annotated[
    int | None, typer.Option("-j", "--workers", metavar="N", envvar="CBTOOL_WORKERS", help="Tasks at once.")
]
Engine = Annotated[str, typer.Option("--backend", metavar="NAME", envvar="CBTOOL_BACKEND", help="Where tasks run.")]
EngineConfig = Annotated[
    str | None,
    typer.Option("--engine-config", metavar="FILE", envvar="CBTOOL_ENGINE_CONFIG", help="The engine's own settings."),
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", envvar="CBTOOL_SCHEDULER", help="A cluster that is there already."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", envvar="CBTOOL_QUIET", help="Say nothing but errors.")]
PriceTable = Annotated[
    str | None,
    typer.Option("--prices", metavar="F", envvar="CBTOOL_PRICES", help="Prices of engines, in place of cbtool's own."),
]
Some = Annotated[bool, typer.Option("--some", help="Accept a part of a plan.")]


def options(
    chunks: str | None,
    size: str | None,
    records: int | None,
    by: str | None,
    overlap: str | None,
    shape: str | None,
    only: str | None,
    on_the_fly: bool,
    paired: bool,
    name: str | None,
    workers: int,
) -> Options:
    """Return what was asked of a partition; UsageError if a value is not one."""
    from cbtool.units import parse_size

    if workers < 1:
        raise UsageError(f"{workers} workers: it must be at least 1")
    number: int | str | None = chunks
    if chunks is not None and chunks != "auto":
        if not chunks.isdecimal() or int(chunks) < 1:
            raise UsageError(f"--chunks {chunks}: not a number from 1 on, nor 'auto'")
        number = int(chunks)
    size_bytes = parse_size(size) if size is not None else None
    return Options(number, size_bytes, records, by, overlap, shape, only, on_the_fly, paired, name, workers)


def cores() -> int:
    """Return how many tasks this machine does at once."""
    import os

    return len(os.sched_getaffinity(0))


def note(quiet: bool) -> Any:
    """Return a function that tells people something on stderr, or nobody if *quiet*."""

    def say(text: str) -> None:
        if not quiet:
            typer.echo(f"cbtool: {text}", err=True)

    return say


def prices(path: str | None) -> Any:
    """Return the price table at *path*, or the one that comes with cbtool."""
    from cbtool.choice.prices import load

    return load(path)
