"""Builds indexes: the parts of a source in parallel, by any engine, then merged."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cbtool.contracts import Backend
from cbtool.detect import partitioner
from cbtool.errors import FormatError
from cbtool.index import Index, dump, load
from cbtool.runner import Event, run_tasks
from cbtool.source import Range, Source


def build(
    source: Source,
    form: str,
    backend: Backend,
    workers: int,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Index:
    """Pass over *source* once and return what was learnt.

    FormatError names the first wrong record: where parts disagree, one pass over the whole decides.
    """
    format_ = partitioner(form)
    parts = format_.index_parts(source, workers)
    try:
        return format_.merge(_run(source, form, parts, backend, on_event))
    except FormatError:
        if len(parts) == 1:
            raise
        return format_.merge(_run(source, form, [(0, source.size)], backend, on_event))


def _run(
    source: Source, form: str, parts: Sequence[Range], backend: Backend, on_event: Callable[[Event], None]
) -> list[Index]:
    if not source.portable:
        return [partitioner(form).index(source, part) for part in parts]
    tasks = [
        {"call": "cbtool.stagers.index:stage", "uri": source.uri, "version": source.version, "format": form, "part": p}
        for p in parts
    ]
    found: dict[int, Index] = {}
    for outcome in run_tasks(tasks, backend, on_event=on_event):
        if outcome.error:
            raise outcome.error
        found[outcome.number] = unpack(outcome.result or {})
    return [found[number] for number in range(len(parts))]


def pack(index: Index) -> dict[str, Any]:
    """Return an index as JSON, to travel from a worker."""
    return {"index": base64.b64encode(dump(index)).decode()}


def unpack(result: Mapping[str, Any]) -> Index:
    """Return the index that `pack` packed."""
    return load(base64.b64decode(result["index"]), "worker")
