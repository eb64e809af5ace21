"""Makes a terrain model: a tile for every chunk, then each raster of all tiles, as steps in one ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cbtool.chunk import LINE_LIMIT_BYTES, Chunk, PartOf, SourceRanges
from cbtool.destination import Destination
from cbtool.errors import FormatError, UsageError
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import HOME, Ledger, RunKey
from cbtool.plan import Plan
from cbtool.reach import check_places
from cbtool.scattering import scattered, scattering_of
from cbtool.source import open_source
from cbtool.stagers.scatter import STEP as SCATTER
from cbtool.stagers.terrain import STEP, outputs
from cbtool.steps import begin_step, begun, remove_step
from cbtool.terrain.geotiff import Reference
from cbtool.terrain.planning import Planned
from cbtool.terrain.tiles import read_windows

AT_ONCE = 8


def make(
    planned: Planned, destination: Destination, engine: Engine, *, urls: Sequence[str] = (), force: bool = False
) -> Report:
    """Write the rasters of the cloud that is *planned* to *destination*; begun work is gone on with.

    Where points of one place lie far apart in the sources, these are passed over once, before all else. *urls* are
    signed ones to open sources by.
    """
    plan, terrain, reference = planned.plan, planned.terrain, planned.reference
    if engine.backend.limits.remote:
        check_places(plan, destination)
    run = RunKey(plan.id, len(plan), "terrain", {"terrain": terrain.to_json(), "reference": reference.to_json()})
    mosaics = None if force else begun(destination, run, STEP)
    if mosaics is None:
        Ledger.claim(destination, run, [], force=force).close()
        unkeyed = {"urls": list(urls)}
        way, chunks = scattering_of(plan), plan
        if way is not None:
            report, found = scattered(plan, way, unkeyed, destination, engine, run)
            if found is None:
                return report
            chunks = found
        begin_step(destination, _is_tile)
        report = run_job(chunks, Work("terrain", {"terrain": terrain.to_json()}, unkeyed), destination, engine, key=run)
        if report.failed:
            return report
        tiles = [destination.locate(outputs(chunk, {})[0]) for chunk in chunks]
        mosaics = plan_of_mosaics(tiles, terrain.model.rasters, reference, run)
        begin_step(destination, lambda name: not name.startswith(HOME))
    report = run_job(mosaics, Work("mosaic"), destination, engine, key=run)
    if not report.failed:
        for step in (SCATTER, STEP):
            remove_step(destination, step)
    return report


def _is_tile(name: str) -> bool:
    return name.startswith(STEP)


def plan_of_mosaics(tiles: Sequence[str], names: Sequence[str], reference: Reference, run: RunKey) -> Plan:
    """Return the plan whose chunks are the rasters called *names* of all *tiles* (URIs), each its ranges of them."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = [one for one in pool.map(_tile, tiles) if one[2]]
    if not read:
        raise FormatError("every point is noise, or withheld: there is nothing to make a model of")
    plan = Plan(_chunk((number, len(names)), name, read, reference, run) for number, name in enumerate(names))
    if len(plan[0].to_line()) > LINE_LIMIT_BYTES:
        raise UsageError(f"{len(tiles)} tiles are too many for one raster", hint="fewer --chunks, and --force")
    return plan


def _tile(uri: str) -> tuple[SourceRanges, int, int]:
    """Return the tile at *uri* with no ranges yet, the length of its header, and how many bytes a raster has in it."""
    with open_source(uri) as source:
        length, windows = read_windows(source)
        whole = SourceRanges(source.uri, source.version, source.size, ())
    return whole, length, 4 * sum(window.n_cells for window in windows)


def _chunk(
    place: tuple[int, int],
    raster: str,
    tiles: Sequence[tuple[SourceRanges, int, int]],
    reference: Reference,
    run: RunKey,
) -> Chunk:
    number, of = place
    sources = tuple(
        SourceRanges(one.uri, one.version, one.size, ((0, length), (length + number * n_bytes, n_bytes)))
        for one, length, n_bytes in tiles
    )
    name = f"{raster}.tif"
    n_bytes = sum(length for one in sources for _, length in one.ranges)
    recipe: Mapping[str, Any] = {"raster": raster, "reference": reference.to_json()}
    return Chunk(
        plan=run.fields()["key"],
        chunk=number,
        of=of,
        format="terrain",
        exact=True,
        name=name,
        sources=sources,
        parts=(PartOf(name, tuple(range(len(sources)))),),
        records=None,
        weight=n_bytes,
        by="bytes",
        core={"window": [0, 0, reference.extent.width, reference.extent.height]},
        overlap=None,
        requests=2 * len(sources),
        n_bytes=n_bytes,
        recipe=recipe,
    )
