"""Count and hash the records of a chunk, of a written part of one, or of a whole source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.detect import partitioner
from cbtool.proof import summarise
from cbtool.reading import chunk_of, open_parts
from cbtool.source import open_source


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summaries of what the task names: ``chunk`` alone, or with ``uri`` a source or a written part."""
    chunk = chunk_of(task)
    how = partitioner(chunk.format)
    if "uri" not in task:
        parts = [summarise(how.records(part.blocks, chunk), is_ordered=how.is_ordered) for part in open_parts(chunk)]
        return {"parts": [part.to_json() for part in parts]}
    with open_source(task["uri"], version=task.get("version"), unversioned=True) as source:
        blocks = how.whole(source) if source.size else iter(())
        found = summarise(how.records(blocks, chunk), is_ordered=how.is_ordered)
        source.check()
    return {"parts": [found.to_json()]}
