"""What commands and the Python API do alike: open sources, plan them, load plans."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.contracts import EngineSettings
from cbtool.errors import FormatError, MissingInput, UsageError
from cbtool.expand import expand
from cbtool.output import OBJECTS
from cbtool.partitioning import Indexer, partition
from cbtool.plan import Plan, complete, looks_like_plan, read_chunks
from cbtool.registry import load
from cbtool.source import Source, open_source

if TYPE_CHECKING:
    from cbtool.contracts import Backend
    from cbtool.index import Index
    from cbtool.runner import Event

Say = Callable[[str], None]


@contextmanager
def opened(uris: Sequence[str | BinaryIO], *, unversioned: bool = False, session: Any = None) -> Iterator[list[Source]]:
    """Open all sources that *uris* stand for; they are closed at the end, but for those of this process alone."""
    with ExitStack() as stack:
        names: list[str | BinaryIO] = [uri for uri in uris if not isinstance(uri, str)]
        texts = [uri for uri in uris if isinstance(uri, str)]
        if texts:
            names = [*expand(texts), *names]
        sources = [open_source(one, unversioned=unversioned, session=session) for one in names]
        for source in sources:
            if source.portable:
                stack.callback(source.close)
        yield sources


@contextmanager
def engine(name: str, settings: EngineSettings) -> Iterator[Backend]:
    """Open a backend by name; its workers end with the block."""
    backend: Backend = load("backends", name)(settings)
    try:
        yield backend
    finally:
        backend.close()


def indexer(
    workers: int,
    on_event: Callable[[Event], None] = lambda event: None,
    name: str = "local",
    settings: EngineSettings | None = None,
) -> Indexer:
    """Return what passes over sources with the engine *name*; without *settings* with *workers* of this machine."""

    def pass_over(sources: Sequence[Source], form: str) -> Iterator[tuple[Source, Index]]:
        from cbtool.indexing import build

        with engine(name, settings or EngineSettings(workers)) as backend:
            if backend.limits.remote:
                from cbtool.reach import check_readable

                check_readable([source.uri for source in sources])
            yield from build(sources, form, backend, workers, on_event)

    return pass_over


def make_plan(
    uris: Sequence[str | BinaryIO],
    options: Options,
    *,
    form: str | None = None,
    index_to: str | None = None,
    unversioned: bool = False,
    session: Any = None,
    say: Say = lambda note: None,
) -> Plan:
    """Open *uris* and cut them together."""
    if options.paired:
        uris = _paired(uris)
    with opened(uris, unversioned=unversioned, session=session) as sources:
        plan = partition(sources, options, indexer(options.workers), form=form, index_to=index_to, say=say)
    given = {source.uri: source for source in sources if not source.portable}
    urls = {source.uri: source.address for source in sources if source.resupply}
    return Plan(replace(chunk, given=given, urls=urls) for chunk in plan) if given or urls else plan


def _paired(uris: Sequence[str | BinaryIO]) -> Sequence[str | BinaryIO]:
    """Put names in pairs; open files are taken as they come."""
    from cbtool.partitioners.pairs import in_pairs

    texts = [uri for uri in uris if isinstance(uri, str)]
    return in_pairs(expand(texts)) if len(texts) == len(uris) else uris


def is_plan(argument: str) -> bool:
    """Say whether an argument names a plan (``-`` is one, on stdin) rather than a source."""
    if argument == "-":
        return True
    if argument.startswith("@") or any(letter in argument for letter in "*?[") or argument.endswith("/"):
        return False
    with open_source(argument) as source:
        return looks_like_plan(source.read(0, min(source.size, 64 * 1024)))


def is_destination(argument: str) -> bool:
    """Say whether an argument names the folder or prefix of a run rather than a plan."""
    if argument.startswith(OBJECTS) and not argument.endswith("/"):
        from cbtool.destination import open_destination
        from cbtool.ledger import RUN

        return open_destination(argument).read(RUN) is not None
    return argument.endswith("/") or Path(argument.removeprefix("file://")).is_dir()


def load_plan(argument: str, some: bool = False) -> Plan:
    """Read a whole plan from a file, an object, stdin (``-``), or the folder or prefix of a run."""
    if argument == "-":
        return complete(read_chunks(sys.stdin.buffer, "stdin"), "stdin", some)
    if argument.endswith("/") or Path(argument).is_dir():
        from cbtool.destination import open_destination
        from cbtool.ledger import PLAN

        lines = open_destination(argument).read(PLAN)
        if lines is None:
            raise MissingInput(f"{argument}: no plan, and no run has begun there")
        return complete(read_chunks(lines.splitlines(), argument), argument, some)
    with open_source(argument) as source:
        blocks = source.stream(0, source.size) if source.size else iter(())
        return complete(read_chunks(_lines(blocks), source.uri), source.uri, some)


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest


def one_chunk(argument: str, number: int | None) -> Chunk:
    """Return chunk *number* of a plan; from stdin (``-``) the first line, or that number if it is given."""
    if argument == "-":
        chunks = read_chunks(sys.stdin.buffer, "stdin")
        found = next((one for one in chunks if number in (None, one.chunk)), None)
        if found is None:
            raise FormatError("stdin: no such chunk" if number is not None else "stdin: no plan line")
        return found
    if number is None:
        raise UsageError("which chunk? -k K")
    with open_source(argument) as source:
        blocks = source.stream(0, source.size) if source.size else iter(())
        for chunk in read_chunks(_lines(blocks), source.uri):
            if chunk.chunk == number:
                return chunk
    raise UsageError(f"{argument}: has no chunk {number}", hint="chunks count from 0: cbtool show")
