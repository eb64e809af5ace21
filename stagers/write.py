"""Writes a chunk as valid files of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.reading import open_parts


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the files of ``task["chunk"]`` into ``task["destination"]``."""
    chunk = Chunk.from_line(task["chunk"])
    destination = open_destination(task["destination"])
    created = [destination.create(part.name, part.blocks) for part in open_parts(chunk)]
    return {"outputs": outputs(chunk, task), "created": all(created)}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of the files of *chunk*."""
    return [part.name for part in chunk.parts]
