"""Builds indexes: the parts of all sources in parallel, by any engine, then merged."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from cbtool.contracts import Backend, Partitioner
from cbtool.detect import partitioner
from cbtool.errors import FormatError
from cbtool.index import Index, dump, load
from cbtool.runner import Event, run_tasks
from cbtool.source import LocalSource, Range, Source

CALL = "cbtool.stagers.index:stage"


def build(
    sources: Sequence[Source],
    form: str,
    backend: Backend,
    workers: int,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Iterator[tuple[Source, Index]]:
    """Pass over *sources* once, and yield each with what was learnt of it, as they get done.

    FormatError names the first wrong record: where a part fails, one pass over the whole source decides.
    """
    format_ = partitioner(form)
    for source in sources:
        if not source.portable:
            yield source, format_.merge([format_.index(source, (0, source.size))])
    remote = [source for source in sources if source.portable]
    parts = [format_.index_parts(source, workers) for source in remote]
    if [len(of_source) for of_source in parts] == [1] and isinstance(remote[0], LocalSource):
        yield remote[0], _one(remote[0], format_, on_event)
        return
    again: list[Source] = []
    for number, found in _passes(remote, parts, form, backend, on_event):
        if isinstance(found, FormatError):
            if len(parts[number]) == 1:
                raise found
            again.append(remote[number])
        else:
            yield remote[number], format_.merge(found)
    for number, found in _passes(again, [[(0, source.size)] for source in again], form, backend, on_event):
        if isinstance(found, FormatError):
            raise found
        yield again[number], format_.merge(found)


def _one(source: Source, format_: Partitioner, on_event: Callable[[Event], None]) -> Index:
    """Pass over a source of one part in this process: a worker would first have to start, and be all that runs."""
    on_event(Event("start", 0, 1))
    index = format_.index(source, (0, source.size))
    source.check()
    on_event(Event("done", 0, 1))
    return format_.merge([index])


def _passes(
    sources: Sequence[Source],
    parts: Sequence[Sequence[Range]],
    form: str,
    backend: Backend,
    on_event: Callable[[Event], None],
) -> Iterator[tuple[int, list[Index] | FormatError]]:
    """Yield the number of each source with the indexes of its parts, in order, or what is wrong with one of them."""
    jobs = [(number, part) for number, of_source in enumerate(parts) for part in of_source]
    tasks = (
        {"call": CALL, "uri": sources[n].address, "version": sources[n].version, "format": form, "part": part}
        for n, part in jobs
    )
    found: dict[int, dict[Range, Index]] = {number: {} for number in range(len(sources))}
    with closing(run_tasks(tasks, backend, on_event=on_event)) as outcomes:
        for outcome in outcomes:
            number, part = jobs[outcome.number]
            if isinstance(outcome.error, FormatError):
                if found.pop(number, None) is not None:
                    yield number, outcome.error
            elif outcome.error:
                raise outcome.error
            elif number in found:
                found[number][part] = unpack(outcome.result or {})
                if len(found[number]) == len(parts[number]):
                    done = found.pop(number)
                    yield number, [done[part] for part in parts[number]]


def pack(index: Index) -> dict[str, Any]:
    """Return an index as JSON, to travel from a worker."""
    return {"index": base64.b64encode(dump(index)).decode()}


def unpack(result: Mapping[str, Any]) -> Index:
    """Return the index that `pack` packed."""
    return load(base64.b64decode(result["index"]), "worker")
