"""Opens a chunk: its sources as they were planned, and the files that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from cbtool.chunk import Chunk, Part
from cbtool.detect import partitioner
from cbtool.errors import FormatError, StaleError
from cbtool.source import Source, open_source


def open_parts(chunk: Chunk, given: Mapping[str, Source] | None = None) -> Iterator[Part]:
    """Yield the files of *chunk*, each to be consumed before the next is asked for.

    *given* are sources that are open already, by URI. StaleError if a source is not the planned one, before or
    after; FormatError if what was read does not make the chunk.
    """
    with ExitStack() as stack:
        opened: dict[str, Source] = dict(given or {})
        for one in chunk.sources:
            if one.uri not in opened:
                opened[one.uri] = stack.enter_context(open_source(one.uri, version=one.version, size=one.size))
            elif opened[one.uri].version != one.version:
                raise StaleError(f"{one.uri}: it has changed since it was planned", hint="make the plan again")
            if opened[one.uri].size != one.size:
                raise FormatError(f"chunk {chunk.chunk}: {one.uri} has another size than planned")
        sources = [opened[one.uri] for one in chunk.sources]
        for part in partitioner(chunk.format).build(chunk, sources):
            yield Part(part.name, _checked(part.blocks, sources))


def _checked(blocks: Iterator[bytes], sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield *blocks*, and then see that no source has changed meanwhile."""
    yield from blocks
    for source in set(sources):
        source.check()
