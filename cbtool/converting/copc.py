"""LAS and LAZ to COPC: points are routed to columns, columns become nodes, nodes are joined to one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cbtool.chunk import Chunk, SourceRanges
from cbtool.converting import las
from cbtool.converting.asked import Asked, Conversion
from cbtool.converting.clouds import (
    Cloud,
    Corner,
    cloud_of,
    indexes_of,
    known_indexes,
    made_by,
    promised_bounds,
    task,
)
from cbtool.destination import Destination, absolute, open_destination
from cbtool.errors import FormatError, UsageError
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import HOME, Ledger, RunKey
from cbtool.partitioners.las import columns as cut
from cbtool.partitioners.las.columns import cell_depth, columns_of, numbers
from cbtool.partitioners.las.columns import to_bytes as to_columns
from cbtool.partitioners.las.copc_layout import Layout, from_bytes, goal_frame, to_bytes
from cbtool.partitioners.las.copc_parts import Segment, read_segment
from cbtool.partitioners.las.groups import Ints
from cbtool.partitioners.las.promote import PROMOTED, WITHOUT_WAVEFORMS
from cbtool.partitioners.las.scatter import stretches
from cbtool.plan import Plan
from cbtool.reach import check_places
from cbtool.source import Range, coalesce, open_source
from cbtool.stagers.copc import COLUMNS, JOIN, LAYOUT, NODES, ROUTE, STEP
from cbtool.steps import begin_step, begun, remove_step

THIN = HOME + "thin/"
MUCH = 4
"""How many times the points of a column may be in one that cannot be cut before it is said."""


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
            asked, cloud = replace(asked, sources=[thin.files[0].source], index_to=None), thin
        report, last = _parts(asked, cloud, run, destination, engine)
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


def _layout(asked: Asked, cloud: Cloud) -> Layout:
    """Return the layout of the file, by what indexes, or else headers, say of the bounds of all points."""
    known = known_indexes(asked)
    bounds = promised_bounds(cloud, [known.get(source) for source in asked.sources])
    if bounds is None:
        bounds = promised_bounds(cloud, indexes_of(asked))
    if bounds is None:
        raise FormatError(f"{cloud.files[0].where}: holds no points: there is nothing to convert")
    return Layout(goal_frame(cloud.recipe.frame), *bounds, cell_depth(cloud.whole.weight))


def _parts(
    asked: Asked, cloud: Cloud, run: RunKey, destination: Destination, engine: Engine
) -> tuple[Report, Plan | None]:
    """Make all nodes, and return the plan of what is left to do: to join them. None if some failed."""
    there = destination.read(LAYOUT)
    layout = _layout(asked, cloud) if there is None else from_bytes(there)
    for _ in range(2):
        destination.replace(LAYOUT, [to_bytes(layout)])
        begin_step(destination, _is_of("segment-"))
        routes = [replace(one, plan=cloud.whole.plan) for one in stretches([cloud.whole])]
        report = run_job(routes, _work(ROUTE, cloud), destination, engine, key=run)
        if report.failed:
            return report, None
        segments = made_by(report, destination)
        heads = _heads(segments, layout)
        exact = _bounds(heads)
        if exact == (layout.least, layout.most):
            break
        asked.say("headers are wrong about where points lie: they are routed again")
        layout = replace(layout, least=exact[0], most=exact[1])
        remove_step(destination, STEP + "segment-")
        begin_step(destination, lambda made: False)
    bundles = _bundles(asked, cloud, layout, segments, heads, destination)
    begin_step(destination, _is_of("nodes-"))
    report = run_job(bundles, _work(NODES, cloud), destination, engine, key=run)
    if report.failed:
        return report, None
    return report, Plan([_joining(cloud, asked.names[0], made_by(report, destination))])


def _heads(segments: Sequence[SourceRanges], layout: Layout) -> list[Segment]:
    found = []
    for one in segments:
        with open_source(one.uri, version=one.version, size=one.size) as source:
            found.append(read_segment(source, layout))
    return found


def _bounds(heads: Sequence[Segment]) -> tuple[Corner, Corner]:
    x, y, z = (min(head.least[axis] for head in heads) for axis in range(3))
    u, v, w = (max(head.most[axis] for head in heads) for axis in range(3))
    return (x, y, z), (u, v, w)


def _is_of(step: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(STEP + step)


def _bundles(
    asked: Asked,
    cloud: Cloud,
    layout: Layout,
    segments: Sequence[SourceRanges],
    heads: Sequence[Segment],
    destination: Destination,
) -> list[Chunk]:
    """Return a task for each bundle of columns that has points: its slices of all segments."""
    counts = np.sum([head.counts for head in heads], axis=0)
    columns = columns_of(counts[numbers(layout.cell_depth)], cut.MOST_POINTS)
    destination.create(COLUMNS, [to_columns(columns)])
    runs = columns.runs()
    first, last, bundle = np.array(runs, np.int64).T
    slices: dict[int, list[SourceRanges]] = {}
    points = np.zeros(len(columns), np.int64)
    for one, head in zip(segments, heads, strict=True):
        before = np.append(0, np.cumsum(head.counts))
        np.add.at(points, bundle, before[last] - before[first])
        for number, ranges in _ranges(before[first], before[last], bundle, head.at, layout.frame.record_bytes).items():
            slices.setdefault(number, []).append(replace(one, ranges=tuple(ranges)))
    heaviest = int(points.max())
    if heaviest > MUCH * cut.MOST_POINTS:
        asked.say(f"{heaviest} points lie in one place of the cloud, and take a worker as much memory at once")
    found = []
    for number, name in enumerate(sorted(slices)):
        said: dict[str, object] = {"bundle": name}
        weight = int(points[name])
        found.append(task(cloud.whole, f"nodes-{number:05d}", number, len(slices), slices[name], weight, said))
    return found


def _ranges(first: Ints, last: Ints, bundle: Ints, at: int, record_bytes: int) -> dict[int, list[Range]]:
    """Return for each bundle where its points lie in a segment: those *first* to *last* of each run, joined."""
    found: dict[int, list[Range]] = {}
    for i in np.flatnonzero(last > first).tolist():
        start, length = at + int(first[i]) * record_bytes, int(last[i] - first[i]) * record_bytes
        mine = found.setdefault(int(bundle[i]), [])
        if mine and sum(mine[-1]) == start:
            start, length = mine[-1][0], mine[-1][1] + length
            mine.pop()
        mine.append((start, length))
    return found


def _joining(cloud: Cloud, name: str, nodes: Sequence[SourceRanges]) -> Chunk:
    """Return the task that joins *nodes* under the header of the first file."""
    recipe, base = cloud.recipe, cloud.whole.sources[0]
    base = replace(base, ranges=tuple(coalesce([(0, recipe.points_at), *recipe.evlrs])))
    sources = [base, *(replace(one, ranges=((0, one.size),)) for one in nodes)]
    said = {"points_at": recipe.points_at, "evlrs": [list(one) for one in recipe.evlrs], "wkt": cloud.wkt}
    return task(cloud.whole, name, 0, 1, sources, cloud.whole.weight, said)


COPC = Conversion(".copc.laz", True, convert)
