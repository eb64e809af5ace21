"""Opens a chunk: its sources as they were planned, and the files that they make."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cbtool.chunk import Chunk, Part
from cbtool.detect import partitioner
from cbtool.errors import FormatError, StaleError, UsageError
from cbtool.source import Source, open_source
from cbtool.spending import waiting_for


def open_parts(chunk: Chunk) -> Generator[Part]:
    """Yield the files of *chunk*, each to be consumed before the next is asked for.

    StaleError if a source is not the planned one, before or
    after; FormatError if what was read does not make the chunk.
    """
    with opened_sources(chunk) as sources:
        for part, one_part in zip(chunk.parts, partitioner(chunk.format).build(chunk, sources), strict=True):
            blocks = checked(one_part.blocks, [sources[number] for number in part.sources])
            yield Part(one_part.name, waiting_for(blocks))


@contextmanager
def opened_sources(chunk: Chunk) -> Iterator[list[Source]]:
    """Open the sources of *chunk*, in their order; StaleError if one is not the planned one."""
    with ExitStack() as stack:
        opened: dict[str, Source] = dict(chunk.given)
        for one in chunk.sources:
            if one.uri not in opened:
                address = chunk.urls.get(one.uri, one.uri)
                opened[one.uri] = stack.enter_context(open_source(address, version=one.version, size=one.size))
            elif opened[one.uri].version != one.version:
                raise StaleError(f"{one.uri}: it has changed since it was planned", hint="make the plan again")
            if opened[one.uri].size != one.size:
                raise FormatError(f"chunk {chunk.chunk}: {one.uri} has another size than planned")
        yield [opened[one.uri] for one in chunk.sources]


def checked(blocks: Iterator[bytes], sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield *blocks*, and then see that no source has changed meanwhile."""
    yield from blocks
    check_unchanged(sources)


def check_unchanged(sources: Sequence[Source]) -> None:
    """Raise StaleError if one of *sources* has changed since it was opened."""
    for source in set(sources):
        if not source.pinned:
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
    """Return *chunk* so that its sources are opened by those of *urls* (signed URLs) that are theirs."""
    given = {bare(url): url for url in urls}
    return replace(chunk, urls={one.uri: given[one.uri] for one in chunk.sources if one.uri in given})


def bare(url: str) -> str:
    """Return a URL as plans keep it, without query and password.

    >>> bare("https://me:word@host/reads.fq.gz?signature=1")
    'https://host/reads.fq.gz'
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def is_secret(uri: str) -> bool:
    """Say whether *uri* is a URL with a query or password, which no plan keeps."""
    return uri.startswith(("http://", "https://")) and bare(uri) != uri


def chunk_of(task: Mapping[str, Any]) -> Chunk:
    """Return the chunk that a task is about: its plan line, and the URLs that came beside it."""
    return resupply(Chunk.from_line(task["chunk"]), task.get("urls", ()))
