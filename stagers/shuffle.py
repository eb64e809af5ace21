"""Writes the records of a chunk as sorted runs, cut at splitters: one object with an index, however large."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.detect import partitioner
from cbtool.errors import UsageError
from cbtool.ledger import HOME
from cbtool.reading import chunk_of, open_parts
from cbtool.sorting.blocks import Block, Shape, blocks_of, blocks_of_records, room
from cbtool.sorting.keys import Key
from cbtool.sorting.runs import Writer
from cbtool.source import open_source

STEP = HOME + "shuffle/"
SPLITTERS = STEP + "splitters.json"


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the runs of ``task["chunk"]``; the splitters lie in the destination."""
    chunk, key = chunk_of(task), Key.from_json(task["key"])
    destination = open_destination(task["destination"])
    writer = Writer(read_splitters(destination.locate(SPLITTERS)))
    (name,) = outputs(chunk, task)
    with closing(blocks(chunk, key, room(task["memory_bytes"]))) as found:
        created = destination.create(name, writer.blocks(found))
    return {"step": "shuffle", "outputs": [name], "created": created, "records": writer.records, "runs": writer.runs}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the object of runs."""
    return [f"{STEP}{chunk.chunk:05d}"]


def read_splitters(uri: str) -> list[bytes]:
    """Read the splitters that lie at *uri*, sorted."""
    import json

    with open_source(uri) as source:
        return [bytes.fromhex(one) for one in json.loads(source.read(0, source.size))]


def blocks(chunk: Chunk, key: Key, room_bytes: int) -> Generator[Block]:
    """Yield the records of *chunk* in blocks of which each can be put in order in *room_bytes*."""
    if len(chunk.parts) != 1:
        raise UsageError(f"chunk {chunk.chunk}: has {len(chunk.parts)} parts", hint="shuffle one file at a time")
    shape = shape_of(chunk)
    with closing(open_parts(chunk)) as parts:
        for part in parts:
            if shape is not None:
                yield from blocks_of(_without(part.blocks, mark_of(chunk)), shape, key, room_bytes)
            else:
                yield from blocks_of_records(partitioner(chunk.format).records(part.blocks, chunk), key, room_bytes)


def shape_of(chunk: Chunk) -> Shape | None:
    """Return how the records of *chunk* lie, if they are lines that end with one byte, or of a fixed size."""
    form, how = chunk.format.removesuffix(".gz").partition(":")[0], chunk.recipe.get("how")
    if form == "fixed" and isinstance(how, dict) and type(how.get("record_bytes")) is int and how["record_bytes"] > 0:
        return Shape(how["record_bytes"])
    if form != "text" or not isinstance(how, dict):
        return None
    encoding = str(how.get("encoding"))
    if encoding.startswith(("utf-16", "utf-32")):
        raise UsageError(f"lines in {encoding} cannot be shuffled", hint="make them UTF-8 first: iconv -t UTF-8")
    return Shape()


def mark_of(chunk: Chunk) -> bytes:
    """Return the byte order mark that each chunk of text begins with."""
    return codecs.BOM_UTF8 if chunk.recipe.get("how", {}).get("encoding") == "utf-8-sig" else b""


def _without(blocks: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    for block in blocks:
        # What a chunk begins with comes as a block of its own.
        if mark and block == mark:
            mark = b""
            continue
        yield block
