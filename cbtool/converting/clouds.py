"""Point clouds as conversions take them: files, what is known of them, and a task that is all of their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cbtool import sidecar
from cbtool.asked import Options
from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.converting.asked import Asked
from cbtool.destination import Destination
from cbtool.detect import detect
from cbtool.errors import UsageError
from cbtool.index import Index
from cbtool.job import Report
from cbtool.partitioners.las.frame import INT32, Frame, Place, frame_of, place_of
from cbtool.partitioners.las.groups import Groups, LasFile, evlr_ranges, groups_of, open_las
from cbtool.partitioners.las.header import RECORD_BYTES, parse_evlrs
from cbtool.partitioners.las.promote import WITHOUT_WAVEFORMS
from cbtool.partitioners.las.recipe import Piece, Recipe, recipe_of, to_json
from cbtool.partitioners.las.wkt import wkt_for
from cbtool.plan import sealed
from cbtool.source import Source, coalesce, open_source

FORMAT = "las"
Corner = tuple[int, int, int]


@dataclass(frozen=True)
class Cloud:
    """Files that are one cloud, and a chunk that has all of their groups."""

    files: Sequence[LasFile]
    whole: Chunk
    wkt: str | None
    """The CRS, where it must be made from what the first file has in its place."""
    notes: Sequence[str]
    urls: Sequence[str]
    """Addresses of sources that are more than their URIs."""

    @property
    def recipe(self) -> Recipe:
        return recipe_of(self.whole)


def check_clouds(sources: Sequence[Source]) -> None:
    """Raise UsageError unless all *sources* are point clouds."""
    for source in sources:
        if (form := detect(source)) != FORMAT:
            raise UsageError(f"{source.uri}: is {form}, not a point cloud", hint="see what there is: cbtool formats")


def cloud_of(asked: Asked) -> Cloud:
    """Open all sources as one cloud. Their headers are read, and where their groups lie; no points."""
    check_clouds(asked.sources)
    files = [open_las(source) for source in asked.sources]
    (whole,) = sealed([whole_of(files, [groups_of(file) for file in files], frame_of(files))], Options(chunks=1))
    ranges = recipe_of(whole).evlrs
    evlrs = [parse_evlrs(files[0].source.read(*one), one[0], 1, files[0].where)[0] for one in ranges]
    urls = [source.address for source in asked.sources if source.resupply]
    wkt, note = wkt_for(files[0].header, evlrs)
    return Cloud(files, whole, wkt, [note] if note else [], urls)


def indexes_of(asked: Asked) -> list[Index]:
    """Return the indexes of all sources, after a pass over those that have none."""
    found = known_indexes(asked)
    missing = [source for source in asked.sources if source not in found]
    for source in missing:
        asked.say(f"{source.uri}: indexing it first: where its points lie is only known from the points")
    for source, index in asked.indexer(missing, FORMAT) if missing else ():
        found[source] = index
        if source.portable:
            asked.say(f"{source.uri}: index written to {sidecar.save(index, source, asked.index_to)}")
    return [found[source] for source in asked.sources]


def known_indexes(asked: Asked) -> dict[Source, Index]:
    """Return the indexes that are there."""
    every = ((source, sidecar.find(source, asked.index_to)[0]) for source in asked.sources)
    return {source: index for source, index in every if index is not None}


def promised_bounds(cloud: Cloud, indexes: Sequence[Index | None]) -> tuple[Corner, Corner] | None:
    """Return the least and the greatest coordinates, in the cloud's integers: as indexes say, or else headers.

    Headers may be wrong. None if they say nothing that can be.
    """
    ends = []
    for file, index, piece in zip(cloud.files, indexes, cloud.recipe.pieces, strict=True):
        header = file.header
        if not header.n_points:
            continue
        if index is not None and index.facts["bounds"] is not None:
            own = index.facts["bounds"]
        else:
            world = np.array([*header.least, *header.most])
            found = (world - np.tile(header.offset, 2)) / np.tile(header.scale, 2)
            if not (np.isfinite(found).all() and (np.abs(found) < 2**32).all()):
                return None
            own = np.rint(found).astype(np.int64).tolist()
        times, plus = piece.place.times * 2, piece.place.plus * 2
        ends.append([a * b + c for a, b, c in zip(own, times, plus, strict=True)])
    if not ends or any(one not in INT32 for row in ends for one in row):
        return None
    x, y, z = (min(row[axis] for row in ends) for axis in range(3))
    u, v, w = (max(row[axis] for row in ends) for axis in range(3, 6))
    return ((x, y, z), (u, v, w)) if x <= u and y <= v and z <= w else None


def made_by(report: Report, destination: Destination) -> list[SourceRanges]:
    """Return what a step made, in order, with no ranges yet."""
    found = []
    for names in (report.made[number] for number in sorted(report.made)):
        with open_source(destination.locate(names[0])) as source:
            found.append(SourceRanges(source.uri, source.version, source.size, ()))
    return found


def task(
    like: Chunk,
    name: str,
    number: int,
    of: int,
    sources: Sequence[SourceRanges],
    weight: int,
    recipe: dict[str, object],
) -> Chunk:
    """Return a task of the run that *like* is of."""
    return replace(
        like,
        chunk=number,
        of=of,
        name=name,
        sources=tuple(sources),
        parts=(PartOf(name, tuple(range(len(sources)))),),
        records=weight,
        weight=weight,
        core=None,
        requests=sum(len(one.ranges) for one in sources),
        n_bytes=sum(length for one in sources for _, length in one.ranges),
        recipe=recipe,
    )


def whole_of(files: Sequence[LasFile], groups: Sequence[Groups], frame: Frame, number: int = 0, of: int = 1) -> Chunk:
    """Return a chunk that has all *groups* of *files*, in *frame*; header and records are those of the first."""
    base = files[0]
    places = [place_of(file.header, frame, file.where) for file in files]
    pieces = [_piece(*one) for one in zip(files, groups, places, strict=True)]
    evlrs = tuple(evlr_ranges(base))
    recipe = Recipe(frame, base.laszip is not None, base.header.points_at, evlrs, tuple(pieces), (0, 0, 0, 0))
    sources = []
    for i, (file, its) in enumerate(zip(files, groups, strict=True)):
        ranges = list(zip(its.start.tolist(), its.length.tolist(), strict=True))
        ranges += [] if i else [(0, base.header.points_at), *evlrs]
        sources.append(SourceRanges(file.source.uri, file.source.version, file.source.size, tuple(coalesce(ranges))))
    n = sum(int(its.count.sum()) for its in groups)
    return Chunk(
        plan="",
        chunk=number,
        of=of,
        format=FORMAT,
        exact=True,
        name=f"file-{number:05d}",
        sources=tuple(sources),
        parts=(PartOf("file", tuple(range(len(sources)))),),
        records=n,
        weight=n,
        by="points",
        core=None,
        overlap=None,
        requests=sum(len(one.ranges) for one in sources),
        n_bytes=sum(length for one in sources for _, length in one.ranges),
        recipe=to_json(recipe),
    )


def _piece(file: LasFile, groups: Groups, place: Place) -> Piece:
    header, none = file.header, np.zeros(0, np.int64)
    form, size = header.point_format, header.record_bytes
    return Piece(form, size, file.laszip, place, groups.start, groups.length, groups.count, none)


def goal_frame(frame: Frame, drop_waveform: bool) -> Frame:
    """Return *frame*, or one of points without waveforms."""
    form = WITHOUT_WAVEFORMS.get(frame.point_format, frame.point_format) if drop_waveform else frame.point_format
    return replace(frame, point_format=form, record_bytes=RECORD_BYTES[form] + frame.n_extra)
