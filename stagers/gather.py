"""Make a chunk's file of what was scattered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.detect import scattering
from cbtool.reading import checked, chunk_of, opened_sources
from cbtool.spending import waiting_for


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the file of ``task["chunk"]`` from its slices of segments."""
    chunk = chunk_of(task)
    (name,) = outputs(chunk, task)
    way = scattering(chunk.format)
    assert way is not None
    with opened_sources(chunk) as sources:
        blocks = way.gather(chunk, sources)
        created = open_destination(task["destination"]).create(name, waiting_for(checked(blocks, sources)))
    return {"step": "gather", "outputs": [name], "created": created}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the file."""
    return [chunk.name]
