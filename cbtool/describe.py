"""Facts about sources, for `cbtool info`."""

from __future__ import annotations

from typing import Any

from cbtool import sidecar
from cbtool.detect import detect, partitioner
from cbtool.session import indexer
from cbtool.source import Source


def describe(source: Source, form: str | None, index_to: str | None, check_workers: int | None) -> dict[str, Any]:
    """Return what is known of *source*; with *check_workers*, after a pass over all of it (kept nowhere)."""
    name = detect(source, form)
    index, place = sidecar.find(source, index_to)
    if check_workers:
        ((_, index),) = indexer(check_workers)([source], name)
    info = partitioner(name).info(source, index)
    facts = {"uri": info.uri, "format": info.format, "size_bytes": info.size, "version": info.version, **info.facts}
    facts["index"] = place
    if source.note:
        facts["note"] = source.note
    if check_workers:
        facts["sound"] = True
    return facts
