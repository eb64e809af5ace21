"""Makes a plan: finds formats and indexes, builds what is missing, cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cbtool import sidecar
from cbtool.asked import Options, Takes
from cbtool.chunk import Chunk
from cbtool.contracts import Partitioner
from cbtool.detect import detect, partitioner
from cbtool.errors import FormatError, NeedsIndex, UsageError
from cbtool.index import Index
from cbtool.plan import Plan, sealed
from cbtool.source import Source

Indexer = Callable[[Sequence[Source], str], Iterable[tuple[Source, Index]]]
"""Passes over sources of one format and gives each with its index, in any order."""

Say = Callable[[str], None]


def partition(
    sources: Sequence[Source],
    options: Options,
    indexer: Indexer,
    *,
    form: str | None = None,
    index_to: str | None = None,
    say: Say = lambda note: None,
) -> Plan:
    """Cut *sources*, together and in order, into chunks.

    *indexer* passes over sources that need an index and have none. *say* is told what was done besides.
    """
    _check(sources, options)
    forms = {detect(source, form) for source in sources}
    if len(forms) > 1:
        raise UsageError(f"the sources are of different formats: {', '.join(sorted(forms))}", hint="one plan for each")
    name = forms.pop()
    format_ = partitioner(name)
    if options.by is not None and options.by not in format_.weights:
        raise UsageError(f"{name} has no weight {options.by!r}", hint=f"--by {'|'.join(format_.weights)}")
    _check_taken(name, getattr(format_, "takes", Takes()), options)
    for source in sources:
        if source.note:
            say(source.note)
    whys = [format_.needs_index(source, options) for source in sources]
    known: dict[Source, Index] = {}
    if not options.on_the_fly:
        known = {source: index for source in sources if (index := sidecar.find(source, index_to)[0])}
    why = next(filter(None, whys), None)
    try:
        if why is None and len(known) < len(sources):
            # Weights are of one kind along the whole line: either every source is measured or none.
            return _sealed(format_, format_.chunks(sources, [None] * len(sources), options), options, say)
    except NeedsIndex as error:
        if options.on_the_fly:
            raise
        why = str(error)
    missing = [source for source in sources if source not in known]
    if missing:
        known |= _indexed(missing, name, why or "", indexer, index_to, say)
    return _sealed(format_, format_.chunks(sources, [known[source] for source in sources], options), options, say)


def _sealed(format_: Partitioner, chunks: Sequence[Chunk], options: Options, say: Say) -> Plan:
    """Return the plan of *chunks*; say so if there are fewer than asked, and what their format remarks."""
    asked = options.chunks
    if isinstance(asked, int) and len(chunks) < asked:
        say(f"{len(chunks)} chunks, not {asked}: there are no more places to cut at")
    for remark in format_.remarks(chunks):
        say(remark)
    return sealed(chunks, options)


def _check(sources: Sequence[Source], options: Options) -> None:
    if sum(value is not None for value in (options.chunks, options.size, options.records)) > 1:
        raise UsageError("--chunks, --size and --records exclude each other")
    for name in ("size", "records", "chunks"):
        value = getattr(options, name)
        if isinstance(value, int) and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}")
    if not any(source.size for source in sources):
        raise FormatError(f"{sources[0].uri}: is empty: there is nothing to cut")


def _check_taken(name: str, takes: Takes, options: Options) -> None:
    """Refuse what the format called *name* does not take; one of a third party that says nothing takes none of it."""
    given = {"overlap": takes.overlap, "shape": bool(takes.shapes), "only": bool(takes.only)}
    for option, is_taken in given.items():
        if getattr(options, option) is not None and not is_taken:
            raise UsageError(f"{name} takes no --{option}", hint=f"leave out --{option}")
    if options.shape is not None and options.shape not in takes.shapes:
        raise UsageError(f"{name} has no shape {options.shape!r}", hint=f"--shape {'|'.join(takes.shapes)}")
    if options.only is not None:
        from cbtool.only import parse, spellings

        if parse(options.only).kind not in takes.only:
            raise UsageError(f"{name} has no region like --only {options.only}", hint=spellings(takes.only))


def indexed(
    sources: Sequence[Source], form: str, why: str, indexer: Indexer, index_to: str | None, say: Say
) -> list[Index]:
    """Return the index of each of *sources*; those that have none are passed over first."""
    known = {source: index for source in sources if (index := sidecar.find(source, index_to)[0])}
    missing = [source for source in sources if source not in known]
    if missing:
        known |= _indexed(missing, form, why, indexer, index_to, say)
    return [known[source] for source in sources]


def _indexed(
    sources: Sequence[Source], form: str, why: str, indexer: Indexer, index_to: str | None, say: Say
) -> dict[Source, Index]:
    """Pass over *sources* and keep what was learnt."""
    for source in sources:
        say(f"{source.uri}: indexing it first: {why}")
    found = {}
    for source, index in indexer(sources, form):
        found[source] = index
        if source.portable:
            say(f"{source.uri}: index written to {sidecar.save(index, source, index_to)}")
    return found
