"""Makes a plan: finds formats and indexes, builds what is missing, cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cbtool import sidecar
from cbtool.asked import Options
from cbtool.detect import detect, partitioner
from cbtool.errors import FormatError, NeedsIndex, UsageError
from cbtool.index import Index
from cbtool.plan import Plan, sealed
from cbtool.source import Source


@dataclass
class Built:
    """What `partition` did besides: the indexes that it built, and what the user should know."""

    notes: list[str]


Indexer = Callable[[Source, str], Index]


def partition(
    sources: Sequence[Source],
    options: Options,
    indexer: Indexer,
    *,
    form: str | None = None,
    index_to: str | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> Plan:
    """Cut *sources*, together and in order, into chunks.

    *indexer* passes over a source that needs an index and has none. *say* is told what was done besides.
    """
    _check(sources, options)
    forms = {detect(source, form) for source in sources}
    if len(forms) > 1:
        raise UsageError(f"the sources are of different formats: {', '.join(sorted(forms))}", hint="one plan for each")
    name = forms.pop()
    format_ = partitioner(name)
    if options.by is not None and options.by not in format_.weights:
        raise UsageError(f"{name} has no weight {options.by!r}", hint=f"--by {'|'.join(format_.weights)}")
    for source in sources:
        if source.note:
            say(source.note)
    whys = [format_.needs_index(source, options) for source in sources]
    indexes: list[Index | None] = [None] * len(sources)
    if not options.on_the_fly:
        indexes = [sidecar.find(source, index_to)[0] for source in sources]
    if any(whys) or any(indexes):
        # Weights are of one kind along the whole line: either every source is measured or none.
        if not any(whys) and not all(indexes):
            indexes = [None] * len(sources)
        else:
            indexes = [
                index or _index(source, name, why or "the other sources have one", indexer, index_to, say)
                for source, index, why in zip(sources, indexes, whys, strict=True)
            ]
    try:
        chunks = format_.chunks(sources, indexes, options)
    except NeedsIndex as error:
        if options.on_the_fly:
            raise
        indexes = [
            index or _index(source, name, str(error), indexer, index_to, say)
            for source, index in zip(sources, indexes, strict=True)
        ]
        chunks = format_.chunks(sources, indexes, options)
    asked = options.chunks
    if isinstance(asked, int) and len(chunks) < asked:
        say(f"{len(chunks)} chunks, not {asked}: there are no more places to cut at")
    return sealed(chunks, options if asked != "auto" else replace(options, chunks=len(chunks)))


def _check(sources: Sequence[Source], options: Options) -> None:
    if sum(value is not None for value in (options.chunks, options.size, options.records)) > 1:
        raise UsageError("--chunks, --size and --records exclude each other")
    for name in ("size", "records", "chunks"):
        value = getattr(options, name)
        if isinstance(value, int) and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}")
    if not any(source.size for source in sources):
        raise FormatError(f"{sources[0].uri}: is empty: there is nothing to cut")


def _index(
    source: Source, form: str, why: str, indexer: Indexer, index_to: str | None, say: Callable[[str], None]
) -> Index:
    say(f"{source.uri}: indexing it first: {why}")
    index = indexer(source, form)
    if source.portable:
        place = sidecar.save(index, source, index_to)
        say(f"{source.uri}: index written to {place}")
    return index
