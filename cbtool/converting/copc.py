"""LAS and LAZ to COPC: points are routed to columns, columns become nodes, nodes are joined to one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from cbtool.chunk import Chunk, SourceRanges
from cbtool.converting import las
from cbtool.converting.asked import Asked, Conversion
from cbtool.converting.clouds import Cloud, cloud_of, made_by, task
from cbtool.destination import Destination, absolute, open_destination
from cbtool.errors import UsageError
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import HOME, Ledger, RunKey
from cbtool.partitioners.las.copc_layout import Layout, layout_of, to_bytes
from cbtool.partitioners.las.density import from_indexes
from cbtool.partitioners.las.promote import PROMOTED, WITHOUT_WAVEFORMS
from cbtool.partitioners.las.scatter import read_counts, stretches
from cbtool.plan import Plan
from cbtool.reach import check_places
from cbtool.source import coalesce, open_source
from cbtool.stagers.copc import JOIN, LAYOUT, NODES, ROUTE, STEP
from cbtool.steps import begin_step, begun, remove_step

THIN = HOME + "thin/"


def convert(asked: Asked, destination: Destination, engine: Engine) -> Report:
    """Make one COPC file of all sources in *destination*. It depends on them alone, not on who does how much of it."""
    if asked.salvage:
        raise UsageError("--salvage makes laz or las", hint="convert what it makes to copc")
    cloud = cloud_of(asked)
    form = cloud.recipe.frame.point_format
    if form in WITHOUT_WAVEFORMS and not asked.drop_waveform:
        raise UsageError(
            f"{cloud.files[0].where}: point format {form} has waveforms, for which COPC has no place",
            hint="--drop-waveform leaves them out, and keeps the points",
        )
    if PROMOTED[form] != form:
        asked.say(f"point format {form} becomes {PROMOTED[form]}: COPC takes 6 to 8 only")
    for note in cloud.notes:
        asked.say(f"{cloud.files[0].where}: {note}")
    (name,) = asked.names
    said = {"to": "copc", "name": name, "spacing": asked.spacing, "drop_waveform": asked.drop_waveform}
    run = RunKey(cloud.whole.plan, 1, "convert", said)
    if engine.backend.limits.remote:
        check_places([cloud.whole], destination)
    last = None if asked.force else begun(destination, run, STEP)
    if last is None:
        Ledger.claim(destination, run, [], force=asked.force).close()
        if asked.spacing is not None:
            report, thin = _thinned(asked, destination, engine)
            if thin is None:
                return report
            cloud = thin
        report, last = _parts(cloud, name, run, destination, engine)
        if last is None:
            return report
    begin_step(destination, lambda made: not made.startswith(STEP))
    report = run_job(last, _work(JOIN, cloud), destination, engine, key=run)
    if not report.failed:
        remove_step(destination, STEP)
        remove_step(destination, THIN)
    return report


def _thinned(asked: Asked, destination: Destination, engine: Engine) -> tuple[Report, Cloud | None]:
    """Write one LAZ file of the points that stay, by a run of its own within this one's folder."""
    inner = open_destination(f"{absolute(destination).rstrip('/')}/{THIN}")
    once = replace(asked, names=["thinned.laz"], force=False, index_to=None)
    report = las.convert("laz", once, inner, engine)
    if report.failed:
        return report, None
    with open_source(inner.locate("thinned.laz")) as source:
        return report, cloud_of(replace(once, sources=[source], spacing=None, say=lambda note: None))


def _work(step: str, cloud: Cloud) -> Work:
    return Work("copc", {"step": step}, {"urls": cloud.urls})


def _layout(cloud: Cloud) -> Layout:
    """Return the layout of the file, by what the indexes say of all points."""
    places = [piece.place for piece in cloud.recipe.pieces]
    full = [index for index in cloud.indexes if index.facts["bounds"] is not None]
    ends = np.array([index.facts["bounds"] for index in full], np.int64).reshape(-1, 2, 3)
    moved = ends * np.array([one.times for one in places])[:, None] + np.array([one.plus for one in places])[:, None]
    least, most = moved[:, 0].min(axis=0).tolist(), moved[:, 1].max(axis=0).tolist()
    density = from_indexes(cloud.indexes, places, ("points",))
    return layout_of(cloud.recipe.frame, (least[0], least[1], least[2]), (most[0], most[1], most[2]), density)


def _parts(
    cloud: Cloud, name: str, run: RunKey, destination: Destination, engine: Engine
) -> tuple[Report, Plan | None]:
    """Make all nodes, and return the plan of what is left to do: to join them. None if some failed."""
    layout = _layout(cloud)
    begin_step(destination, _is_of("segment-"))
    destination.create(LAYOUT, [to_bytes(layout)])
    routes = [replace(one, plan=cloud.whole.plan) for one in stretches([cloud.whole])]
    report = run_job(routes, _work(ROUTE, cloud), destination, engine, key=run)
    if report.failed:
        return report, None
    bundles = _bundles(cloud, layout, made_by(report, destination), destination)
    begin_step(destination, _is_of("nodes-"))
    report = run_job(bundles, _work(NODES, cloud), destination, engine, key=run)
    if report.failed:
        return report, None
    return report, Plan([_joining(cloud, name, made_by(report, destination))])


def _is_of(step: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(STEP + step)


def _bundles(cloud: Cloud, layout: Layout, segments: Sequence[SourceRanges], destination: Destination) -> list[Chunk]:
    """Return a task for each bundle of columns that has points: its slices of all segments."""
    n, record_bytes = len(layout.columns), layout.frame.record_bytes
    with ExitStack() as stack:
        opened = [stack.enter_context(open_source(one.uri, version=one.version, size=one.size)) for one in segments]
        counts = np.array([read_counts(source, n, record_bytes) for source in opened], np.int64)
    length = counts.reshape(len(segments), n) * record_bytes
    begin = np.array([one.size for one in segments])[:, None] - length.sum(axis=1, keepdims=True)
    begin = begin + np.cumsum(length, axis=1) - length
    full = np.flatnonzero(counts.sum(axis=0)).tolist()
    found = []
    for number, bundle in enumerate(full):
        sources = [
            replace(one, ranges=((int(begin[i, bundle]), int(length[i, bundle])),))
            for i, one in enumerate(segments)
            if counts[i, bundle]
        ]
        name, weight = f"nodes-{number:05d}", int(counts[:, bundle].sum())
        found.append(task(cloud.whole, name, number, len(full), sources, weight, {"bundle": bundle}))
    return found


def _joining(cloud: Cloud, name: str, nodes: Sequence[SourceRanges]) -> Chunk:
    """Return the task that joins *nodes* under the header of the first file."""
    recipe, base = cloud.recipe, cloud.whole.sources[0]
    base = replace(base, ranges=tuple(coalesce([(0, recipe.points_at), *recipe.evlrs])))
    sources = [base, *(replace(one, ranges=((0, one.size),)) for one in nodes)]
    said = {"points_at": recipe.points_at, "evlrs": [list(one) for one in recipe.evlrs], "wkt": cloud.wkt}
    return task(cloud.whole, name, 0, 1, sources, cloud.whole.weight, said)


COPC = Conversion(".copc.laz", True, convert)
