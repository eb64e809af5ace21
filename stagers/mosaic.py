"""Joins one raster of all tiles of a terrain model into a cloud-optimised GeoTIFF."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.reading import check_unchanged, chunk_of, opened_sources
from cbtool.stagers.scratch import read_blocks, scratch_folder
from cbtool.terrain.geotiff import Reference, write_cog
from cbtool.terrain.grid import Window
from cbtool.terrain.model import Raster
from cbtool.terrain.tiles import decoded, read_windows


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the raster that ``task["chunk"]`` is of; its sources are tiles, of which it reads that raster."""
    chunk = chunk_of(task)
    (name,) = outputs(chunk, task)
    with scratch_folder(task.get("scratch")) as folder:
        path = os.path.join(folder, name)
        write_cog(path, chunk.recipe["raster"], _blocks(chunk), Reference.from_json(chunk.recipe["reference"]))
        created = open_destination(task["destination"]).create(name, read_blocks(path))
    return {"step": "mosaic", "outputs": [name], "created": created}


def _blocks(chunk: Chunk) -> Iterator[tuple[Window, Raster]]:
    """Yield the blocks of the raster, one tile after another."""
    with opened_sources(chunk) as sources:
        for planned, source in zip(chunk.sources, sources, strict=True):
            _, windows = read_windows(source)
            yield from decoded(source.read(*planned.ranges[-1]), windows)
        check_unchanged(sources)


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the raster's file."""
    return [chunk.name]
