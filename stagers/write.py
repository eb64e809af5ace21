"""Writes a chunk as valid files of its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.reading import chunk_of, open_parts


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the files of ``task["chunk"]`` into ``task["destination"]``."""
    chunk = chunk_of(task)
    destination = open_destination(task["destination"])
    created = [destination.create(part.name, part.blocks) for part in open_parts(chunk)]
    return {"outputs": outputs(chunk, task), "created": all(created)}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of the files of *chunk*."""
    return [part.name for part in chunk.parts]


def shell_lines(chunks: Iterable[Chunk], source: str, output: str) -> Iterator[str]:
    """Yield for each file what a shell would run to make it from the plan *source*."""
    for chunk in chunks:
        for number, part in enumerate(chunk.parts, 1):
            one = f" --part {number}" if len(chunk.parts) > 1 else ""
            to = shlex.quote(os.path.join(output, part.name))
            yield f"cbtool read {shlex.quote(source)} -k {chunk.chunk}{one} -o {to}"
