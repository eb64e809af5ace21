"""Opens a chunk: its sources as they were planned, and the files that they make."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from cbtool.chunk import Chunk, Part
from cbtool.detect import partitioner
from cbtool.errors import FormatError, StaleError, UsageError
from cbtool.source import Source, open_source


def open_parts(chunk: Chunk) -> Generator[Part]:
    """Yield the files of *chunk*, each to be consumed before the next is asked for.

    StaleError if a source is not the planned one, before or
    after; FormatError if what was read does not make the chunk.
    """
    with ExitStack() as stack:
        opened: dict[str, Source] = dict(chunk.given)
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


def one_stream(chunk: Chunk, part: int | None = None) -> Iterator[bytes]:
    """Yield a chunk as one file: part number *part* (from 1), or its only part, or its mates interleaved."""
    if part is not None and not 1 <= part <= len(chunk.parts):
        raise UsageError(f"chunk {chunk.chunk} has {len(chunk.parts)} part(s), no part {part}")
    with closing(open_parts(chunk)) as parts:
        if part is None and len(chunk.parts) > 1:
            yield from interleaved(chunk, list(itertools.islice(parts, len(chunk.parts))))
            return
        for number, one in enumerate(parts, 1):
            if part in (None, number):
                yield from one.blocks


def interleaved(chunk: Chunk, parts: Sequence[Part]) -> Iterator[bytes]:
    """Yield the records of *parts* in turn; FormatError if one ends before another."""
    how = partitioner(chunk.format)
    streams = [itertools.chain.from_iterable(how.records(part.blocks, chunk)) for part in parts]
    try:
        for records in zip(*streams, strict=True):
            yield b"".join(record + b"\n" for record in records)
    except ValueError:
        raise FormatError(f"chunk {chunk.chunk}: its parts have different numbers of records") from None


def resupply(chunk: Chunk, urls: Sequence[str]) -> Chunk:
    """Return *chunk* with signed URLs in the places of the sources that were stored without their query."""
    if not urls:
        return chunk
    given = {url.partition("?")[0]: url for url in urls}
    unknown = set(given) - {source.uri for source in chunk.sources}
    if unknown:
        raise UsageError(f"--source {sorted(unknown)[0]}: chunk {chunk.chunk} has no such source")
    sources = tuple(replace(source, uri=given.get(source.uri, source.uri)) for source in chunk.sources)
    return replace(chunk, sources=sources)
