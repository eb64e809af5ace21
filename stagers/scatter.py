"""Pass once over a stretch of the sources, and put each record where its chunk finds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.detect import scattering
from cbtool.ledger import HOME
from cbtool.reading import checked, chunk_of, opened_sources
from cbtool.source import open_source
from cbtool.spending import waiting_for

STEP = HOME + "scatter/"
TARGETS = STEP + "targets.json"


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the segment of the stretch ``task["chunk"]``; where records go lies in the destination."""
    chunk = chunk_of(task)
    destination = open_destination(task["destination"])
    with open_source(destination.locate(TARGETS)) as source:
        said = source.read(0, source.size)
    (name,) = outputs(chunk, task)
    way = scattering(chunk.format)
    assert way is not None
    with opened_sources(chunk) as sources:
        blocks = way.segment(chunk, sources, said)
        # Segments are removed when the run is done; one that a power cut has shortened is told by its size.
        created = destination.create(name, waiting_for(checked(blocks, sources)))
    return {"step": "scatter", "outputs": [name], "created": created}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the segment."""
    return [STEP + chunk.name]
