"""Makes the tile of a terrain model from the points of a chunk of a cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.ledger import HOME
from cbtool.partitioners.las import build, scatter
from cbtool.partitioners.las.codec import PLACES
from cbtool.reading import check_unchanged, chunk_of, opened_sources
from cbtool.source import Source
from cbtool.terrain.points import joined, taken
from cbtool.terrain.surfaces import Points
from cbtool.terrain.tiles import Terrain, encoded

STEP = HOME + "terrain/"


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the tile of the cells that ``task["chunk"]`` owns."""
    chunk, terrain = chunk_of(task), Terrain.from_json(task["terrain"])
    (name,) = outputs(chunk, task)
    created = open_destination(task["destination"]).create(name, tile(chunk, terrain))
    return {"step": "terrain", "outputs": [name], "created": created, "records": chunk.records}


def tile(chunk: Chunk, terrain: Terrain) -> Iterator[bytes]:
    """Yield the bytes of the tile of *chunk*. One that owns no cell is not read."""
    own = terrain.owned(chunk)
    if not own.n_cells:
        yield from encoded(iter(()), terrain.model.rasters)
        return
    with opened_sources(chunk) as sources:
        points = joined(_points(chunk, sources, terrain))
        check_unchanged(sources)
    yield from encoded(terrain.blocks(points, own), terrain.model.rasters)


def _points(chunk: Chunk, sources: Sequence[Source], terrain: Terrain) -> Iterator[Points]:
    if "n_slices" in chunk.recipe:
        found = scatter.points(chunk, sources)
    else:
        found = (records for records, _ in build.points(chunk, sources, PLACES))
    for records in found:
        yield taken(records, terrain.ground.classes)


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the tile."""
    return [f"{STEP}{chunk.chunk:05d}"]
