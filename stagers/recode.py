"""The tasks that write a point cloud as LAS or LAZ: recode a stretch of its groups, join the parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination, safe
from cbtool.ledger import HOME
from cbtool.reading import checked, chunk_of, opened_sources
from cbtool.spending import waiting_for

STEP = HOME + "recode/"
PART, THIN, JOIN = "part", "thin", "join"


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do the step ``task["step"]`` for ``task["chunk"]``."""
    from cbtool.partitioners.las.recode import joined, part, thinned

    chunk = chunk_of(task)
    (name,) = outputs(chunk, task)
    with opened_sources(chunk) as sources:
        blocks = {PART: part, THIN: thinned, JOIN: joined}[task["step"]](chunk, sources)
        created = open_destination(task["destination"]).create(name, waiting_for(checked(blocks, sources)))
    return {"step": task["step"], "outputs": [name], "created": created}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the part, or of the file, which may lie in folders."""
    if parameters["step"] == JOIN:
        return [safe(str(chunk.recipe.get("output", chunk.name)))]
    return [STEP + chunk.name]
