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
from cbtool.partitioners.las.groups import LasFile, open_las
from cbtool.partitioners.las.header import parse_evlrs
from cbtool.partitioners.las.recipe import Recipe, recipe_of, to_json
from cbtool.partitioners.las.wkt import wkt_for
from cbtool.plan import sealed
from cbtool.source import Source, open_source

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
