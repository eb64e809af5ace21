"""Holds a plan, or the chunks written from it, against its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cbtool.contracts import Backend
from cbtool.destination import Destination
from cbtool.errors import MissingInput
from cbtool.plan import Plan
from cbtool.proof import Summary, joined
from cbtool.reading import bare
from cbtool.runner import Event, run_tasks

CALL = "cbtool.stagers.verify:stage"


@dataclass(frozen=True)
class Verdict:
    """What was found of one part (mate): the sources, the chunks, and what differs, if anything does."""

    part: int
    sources: Summary
    chunks: Summary
    differs: str | None


def verify(
    plan: Plan,
    backend: Backend,
    destination: Destination | None = None,
    urls: Sequence[str] = (),
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Verdict]:
    """Return a verdict for each part of the plan's chunks.

    The chunks are read from the sources, or from where they were written; the sources are read whole, by another
    decoder where there is one. MissingInput if a written chunk is not there.
    """
    n_parts = len(plan[0].parts)
    tasks = [*_source_tasks(plan, urls), *_chunk_tasks(plan, destination, urls)]
    found: dict[tuple[str, int, int], Summary] = {}
    keys = [key for key, _ in tasks]
    for outcome in run_tasks((task for _, task in tasks), backend, on_event=on_event):
        if outcome.error:
            raise outcome.error
        kind, number, part = keys[outcome.number]
        for offset, fields in enumerate((outcome.result or {})["parts"]):
            found[kind, number, part + offset] = Summary.from_json(fields)
    return [_verdict(part, found) for part in range(n_parts)]


def _source_tasks(plan: Plan, urls: Sequence[str]) -> Iterator[tuple[tuple[str, int, int], dict[str, Any]]]:
    line = plan[0].to_line()
    addresses = {bare(url): url for url in urls}
    for part in range(len(plan[0].parts)):
        seen: dict[str, str] = {}
        for chunk in plan:
            for number in chunk.parts[part].sources:
                source = chunk.sources[number]
                seen.setdefault(source.uri, source.version)
        for number, (uri, version) in enumerate(seen.items()):
            yield (
                ("source", number, part),
                {
                    "call": CALL,
                    "chunk": line,
                    "uri": addresses.get(uri, uri),
                    "version": version,
                },
            )


def _chunk_tasks(
    plan: Plan, destination: Destination | None, urls: Sequence[str]
) -> Iterator[tuple[tuple[str, int, int], dict[str, Any]]]:
    if destination is None:
        for chunk in plan:
            yield ("chunk", chunk.chunk, 0), {"call": CALL, "chunk": chunk.to_line(), "urls": list(urls)}
        return
    there = {name for name, _ in destination.names()}
    for chunk in plan:
        for part, one in enumerate(chunk.parts):
            name = one.name if one.name in there else one.name + ".gz"
            if name not in there:
                raise MissingInput(f"{destination.locate(one.name)}: chunk {chunk.chunk} is not there")
            uri = destination.locate(name)
            yield ("chunk", chunk.chunk, part), {"call": CALL, "chunk": chunk.to_line(), "uri": uri}


def _verdict(part: int, found: dict[tuple[str, int, int], Summary]) -> Verdict:
    """Compare what was found of *part*, in order."""
    sides = {
        kind: joined(found[key] for key in sorted(found) if key[0] == kind and key[2] == part)
        for kind in ("source", "chunk")
    }
    sources, chunks = sides["source"], sides["chunk"]
    differs = None
    if sources.records != chunks.records:
        differs = f"the sources hold {sources.records} records, the chunks {chunks.records}"
    elif sources.total != chunks.total:
        differs = f"of {sources.records} records, some are not the same"
    elif sources != chunks:
        differs = f"the {sources.records} records are not in the same order"
    return Verdict(part, sources, chunks, differs)
