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
from cbtool.partitioners.las.cutting import cut
from cbtool.partitioners.las.frame import Frame, Place
from cbtool.partitioners.las.groups import Groups, LasFile, evlr_ranges, open_las
from cbtool.partitioners.las.header import RECORD_BYTES, parse_evlrs
from cbtool.partitioners.las.promote import WITHOUT_WAVEFORMS
from cbtool.partitioners.las.recipe import Piece, Recipe, recipe_of, to_json
from cbtool.partitioners.las.wkt import wkt_for
from cbtool.plan import sealed
from cbtool.source import Source, coalesce, open_source

FORMAT = "las"


@dataclass(frozen=True)
class Cloud:
    """Files that are one cloud, with their indexes, and a chunk that has all of their groups."""

    files: Sequence[LasFile]
    indexes: Sequence[Index]
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
    """Open all sources as one cloud, and pass over those that have no index."""
    check_clouds(asked.sources)
    known = {source: sidecar.find(source, asked.index_to)[0] for source in asked.sources}
    missing = [source for source, index in known.items() if index is None]
    for source in missing:
        asked.say(f"{source.uri}: indexing it first: where its points lie is only known from the points")
    found: dict[Source, Index] = {source: index for source, index in known.items() if index is not None}
    for source, index in asked.indexer(missing, FORMAT) if missing else ():
        found[source] = index
        if source.portable:
            asked.say(f"{source.uri}: index written to {sidecar.save(index, source, asked.index_to)}")
    files = [open_las(source) for source in asked.sources]
    indexes = [found[source] for source in asked.sources]
    options = Options(chunks=1)
    (whole,) = cut(files, indexes, options)
    recipe = recipe_of(whole)
    none = np.zeros(0, np.int64)
    recipe = replace(recipe, pieces=tuple(replace(piece, whole=none) for piece in recipe.pieces))
    (whole,) = sealed([replace(whole, recipe=to_json(recipe))], options)
    evlrs = [parse_evlrs(files[0].source.read(*one), one[0], 1, files[0].where)[0] for one in recipe.evlrs]
    urls = [source.address for source in asked.sources if source.resupply]
    wkt, note = wkt_for(files[0].header, evlrs)
    return Cloud(files, indexes, whole, wkt, [note] if note else [], urls)


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


def whole_of(file: LasFile, groups: Groups, frame: Frame, number: int, of: int) -> Chunk:
    """Return a chunk that has all *groups* of *file*."""
    header, source = file.header, file.source
    none = np.zeros(0, np.int64)
    piece = Piece(
        header.point_format,
        header.record_bytes,
        file.laszip,
        Place(),
        groups.start,
        groups.length,
        groups.count,
        none,
    )
    recipe = Recipe(frame, file.laszip is not None, header.points_at, tuple(evlr_ranges(file)), (piece,), (0, 0, 0, 0))
    ranges = [(0, header.points_at), *zip(groups.start.tolist(), groups.length.tolist(), strict=True), *recipe.evlrs]
    n = int(groups.count.sum())
    return Chunk(
        plan="",
        chunk=number,
        of=of,
        format="las",
        exact=True,
        name=f"file-{number:05d}",
        sources=(SourceRanges(source.uri, source.version, source.size, tuple(coalesce(ranges))),),
        parts=(PartOf("file", (0,)),),
        records=n,
        weight=n,
        by="points",
        core=None,
        overlap=None,
        requests=1,
        n_bytes=source.size,
        recipe=to_json(recipe),
    )


def goal_frame(frame: Frame, drop_waveform: bool) -> Frame:
    """Return *frame*, or one of points without waveforms."""
    form = WITHOUT_WAVEFORMS.get(frame.point_format, frame.point_format) if drop_waveform else frame.point_format
    return replace(frame, point_format=form, record_bytes=RECORD_BYTES[form] + frame.n_extra)
