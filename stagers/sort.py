"""Merges the sorted runs of a part: what `shuffle` makes, read in order and written as one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.errors import FormatError
from cbtool.reading import chunk_of
from cbtool.sorting.blocks import Shape, room
from cbtool.sorting.keys import Key
from cbtool.sorting.merging import merged, window_bytes
from cbtool.source import Source, open_source
from cbtool.stagers.shuffle import shape_of


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the records of ``task["chunk"]``, whose sources are sorted runs, in order."""
    chunk, key = chunk_of(task), Key.from_json(task["key"])
    (name,) = outputs(chunk, task)
    shape = shape_of(chunk)
    if shape is None:
        raise FormatError(f"chunk {chunk.chunk}: its records are no lines and of no fixed size")
    created = open_destination(task["destination"]).create(name, in_order(chunk, shape, key, task["memory_bytes"]))
    return {"step": "sort", "outputs": [name], "created": created, "records": chunk.records}


def in_order(chunk: Chunk, shape: Shape, key: Key, memory_bytes: int) -> Iterator[bytes]:
    """Yield the records of *chunk* in order; FormatError if they are not as many bytes as it says."""
    with ExitStack() as stack:
        opened: dict[str, Source] = {}
        for one in chunk.sources:
            if one.uri not in opened:
                opened[one.uri] = stack.enter_context(open_source(one.uri, version=one.version, size=one.size))
        runs = [(opened[one.uri], span) for one in chunk.sources for span in one.ranges]
        window = window_bytes(len(runs), chunk.records or 0, chunk.n_bytes, key, room(memory_bytes))
        n_bytes = 0
        for block in merged(runs, shape, key, window):
            n_bytes += len(block)
            yield block
        for source in opened.values():
            if not source.pinned:
                source.check()
    if n_bytes != chunk.n_bytes:
        raise FormatError(f"chunk {chunk.chunk}: its runs hold {n_bytes} bytes, not {chunk.n_bytes}")


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the file."""
    return [chunk.name]
