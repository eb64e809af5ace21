"""``cbtool preprocess terrain``: elevation models of a point cloud."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

import typer

from cbtool.commands import job_options as j
from cbtool.commands import options as o
from cbtool.commands import running as r
from cbtool.errors import UsageError

CLASSES = re.compile(r"\d{1,3}(,\d{1,3})*")
HEIGHTS = ("dsm", "dtm")
"""What is drawn: the surface, and the ground where nothing was seen of it."""


def terrain(
    sources: o.Sources,
    output: j.Output = None,
    resolution: Annotated[
        str, typer.Option("--resolution", metavar="LENGTH", help="Size of a cell: 1m, 3ft, or in units of the CRS.")
    ] = "1",
    chunks: Annotated[
        str | None, typer.Option("-n", "--chunks", metavar="N", help="How many chunks [one per 12 million points].")
    ] = None,
    only: o.Only = None,
    rasters: Annotated[
        str | None, typer.Option("--rasters", metavar="NAME[,NAME]", help="Only these: dsm,dtm.")
    ] = None,
    fill: Annotated[
        str | None, typer.Option("--fill", metavar="LENGTH", help="How far voids of the DTM are filled [10 cells].")
    ] = None,
    ground: Annotated[
        str, typer.Option("--ground", metavar="WAY", help="auto, classes, cloth or morphology.")
    ] = "auto",
    ground_classes: Annotated[
        str, typer.Option("--ground-classes", metavar="N[,N]", help="The classes that are ground.")
    ] = "2",
    ground_height: Annotated[
        str | None,
        typer.Option("--ground-height", metavar="LENGTH", help="How high ground may be above what a filter finds."),
    ] = None,
    ground_window: Annotated[
        str | None,
        typer.Option("--ground-window", metavar="LENGTH", help="What morphology removes [17 cells]."),
    ] = None,
    ground_slope: Annotated[
        float, typer.Option("--ground-slope", metavar="RATIO", help="How steep morphology takes land to be.")
    ] = 0.3,
    cloth_resolution: Annotated[
        str, typer.Option("--cloth-resolution", metavar="LENGTH", help="How far apart the nodes of the cloth are.")
    ] = "1m",
    cloth_rigidness: Annotated[
        int, typer.Option("--cloth-rigidness", metavar="1|2|3", help="1 for steep land, 3 for flat land.")
    ] = 2,
    cloth_iterations: Annotated[
        int, typer.Option("--cloth-iterations", metavar="N", min=1, help="How long the cloth may fall.")
    ] = 500,
    cover_height: Annotated[
        str, typer.Option("--cover-height", metavar="LENGTH", help="What is higher above the ground covers it.")
    ] = "2m",
    cover_window: Annotated[
        int, typer.Option("--cover-window", metavar="CELLS", help="Cells on a side that a cover is of; odd.")
    ] = 3,
    preview: Annotated[
        str | None, typer.Option("--preview", metavar="F|-", help="Draw the heights: as PNG, or - on the terminal.")
    ] = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    source: o.Resupplied = None,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    tasks_per_call: j.TasksPerCall = "auto",
    memory: j.Memory = None,
    retries: j.Retries = None,
    timeout: j.Timeout = None,
    scratch: j.Scratch = None,
    report: j.ReportTo = None,
    prices: o.PriceTable = None,
    force: j.Force = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: j.Verbose = False,
) -> None:
    """Make dsm, dtm, chm, slope, aspect and cover (canopy) of a point cloud, as cloud-optimised GeoTIFFs in DEST.

    Cells lie at whole multiples of the resolution. Ground is told by the classes of points, or where no point is
    classified as ground by cloth simulation. Noise and withheld points are left out. The same command again does what
    is left.

    \b
    Examples:
      cbtool preprocess terrain 'tiles/*.laz' -o terrain/
      cbtool preprocess terrain 'tiles/*.laz' --resolution 2m --preview map.png -o terrain-2m/
      cbtool preprocess terrain 'tiles/*.laz' --ground morphology -n 4 -o s3://bucket/terrain/
    """
    if output is None:
        raise UsageError("where to? -o DEST")
    if as_json and preview == "-":
        raise UsageError("--json and --preview - are both for stdout", hint="--preview map.png")
    drawn = [name for name in HEIGHTS if rasters is None or name in rasters.split(",")]
    if preview is not None and not drawn:
        raise UsageError("--preview draws heights, and none are made", hint="--rasters dsm or dtm")
    if not CLASSES.fullmatch(ground_classes):
        raise UsageError(f"--ground-classes {ground_classes}: not numbers of classes", hint="--ground-classes 2,9")
    from cbtool.destination import open_destination
    from cbtool.reading import is_secret
    from cbtool.session import indexer, opened
    from cbtool.terrain.job import make
    from cbtool.terrain.planning import Asked, planned

    asked = Asked(
        resolution,
        fill,
        ground,
        tuple(map(int, ground_classes.split(","))),
        ground_height,
        ground_window,
        ground_slope,
        cloth_resolution,
        cloth_rigidness,
        cloth_iterations,
        cover_height,
        cover_window,
        *([tuple(rasters.split(","))] if rasters is not None else []),
    )
    engine = j.engine_settings(workers, engine_config, scheduler, memory, timeout)
    calls = j.per_call(tasks_per_call, timeout)
    settings = j.Settings(backend, engine, calls, retries, scratch, force, quiet, verbose, report, prices)
    n = workers or o.cores()
    options = o.options(chunks or "auto", None, None, None, None, None, only, False, False, None, n)
    with opened(sources, unversioned=unversioned) as found:
        work = planned(found, asked, options, indexer(n), index_to=index_to, say=o.note(quiet))
    urls = [uri for uri in [*sources, *(source or [])] if is_secret(uri)]
    made = r.execute_steps(output, settings, partial(make, work, urls=urls, force=force))
    if as_json:
        r.say_report(made, output)
    made.check()
    if preview is not None:
        from cbtool.commands.drawing import draw

        there = open_destination(output)
        draw([there.locate(f"{name}.tif") for name in drawn], preview)
