"""Routes the records of a plan to new chunks by their keys: one step of tasks, after which another plan reads them.

Every chunk is written as one object of sorted runs that are cut at the same splitters (after Primula: Sánchez-Artigas
et al., "Primula: a Practical Shuffle/Sort Operator for Serverless Computing", Middleware 2020 Industrial Track). The
new chunk number *i* is the ranges of all these objects between two splitters: an exact plan like any other, whose
chunks hold the records of one stretch of keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.contracts import Limits
from cbtool.destination import Destination
from cbtool.errors import FormatError, UsageError
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import Ledger, RunKey
from cbtool.naming import numbered
from cbtool.partitioners.pieces import recipe_pieces
from cbtool.plan import Plan
from cbtool.reach import check_places
from cbtool.sorting.blocks import RecordTooLarge, room
from cbtool.sorting.keys import Key
from cbtool.sorting.runs import Index, read_index
from cbtool.source import open_source
from cbtool.stagers.shuffle import SPLITTERS, STEP, blocks, outputs, read_splitters, shape_of
from cbtool.steps import begin_step

SAMPLE_BYTES = 64 * 1024
"""What is read at the head of each sampled chunk."""
SAMPLE_KEYS = 256
AT_ONCE = 8
MOST_RUNS = 4000
"""More of them would make a new chunk's line longer than a line of a plan may be."""
SPLITTER_BYTES = 1024
"""Splitters that are sampled are cut off there: anything between two keys divides them as well."""


MEMORY_BYTES = 512_000_000
"""What a task may take unless it is said."""


def memory_for(limits: Limits) -> int:
    """Return what a task may take on an engine where nobody said: of a small worker, most but not all."""
    return min(MEMORY_BYTES, limits.memory_bytes * 3 // 4) if limits.memory_bytes else MEMORY_BYTES


@dataclass(frozen=True)
class Route:
    """What is to be routed, and how; all that shapes the new chunks."""

    plan: Plan
    key: Key
    n_parts: int
    """How many parts are wanted where splitters are sampled: there may be fewer, if keys are."""
    splitters: tuple[bytes, ...] | None = None
    sampled: Plan | None = None
    """The plan whose heads are sampled, if not *plan*: one of the same sources, of smaller chunks."""

    def run_key(self, task: str, **more: Any) -> RunKey:
        said = [one.hex() for one in self.splitters] if self.splitters is not None else self.n_parts
        return RunKey(self.plan.id, len(self.plan), task, {"by": self.key.named(), "parts": said, **more})


def shuffled(
    route: Route,
    destination: Destination,
    engine: Engine,
    run: RunKey,
    *,
    memory_bytes: int,
    stem: str,
    suffix: str,
    force: bool = False,
) -> tuple[Report, Plan | None]:
    """Write the runs of every chunk that has none yet, and return the plan of the new chunks; None if some failed."""
    check(route, destination, engine)
    room(memory_bytes)
    Ledger.claim(destination, run, [], force=force).close()
    begin_step(destination, is_of_shuffle)
    keep_splitters(route, destination)
    work = Work("shuffle", {"key": route.key.to_json()}, {"memory_bytes": memory_bytes, "urls": _urls(route.plan)})
    report = run_job(route.plan, work, destination, engine, key=run)
    if report.failed:
        return report, None
    objects = [destination.locate(outputs(chunk, {})[0]) for chunk in route.plan]
    return report, plan_of_parts(route.plan, objects, run, stem, suffix)


def check(route: Route, destination: Destination, engine: Engine) -> None:
    """Refuse, before anything is read or written, what no task can do."""
    if engine.backend.limits.remote:
        check_places(route.plan, destination)
    for chunk in route.plan:
        if len(chunk.parts) != 1:
            raise UsageError("mates cannot be shuffled together", hint="one file at a time")
        if shape_of(chunk) is None and route.key.function is None:
            raise UsageError(f"records of {chunk.format} need a key function", hint="or take them for lines: as text")


def is_of_shuffle(name: str) -> bool:
    return name.startswith(STEP)


def _urls(plan: Plan) -> list[str]:
    return sorted({url for chunk in plan for url in chunk.urls.values()})


def keep_splitters(route: Route, destination: Destination) -> list[bytes]:
    """Return the splitters that lie in *destination*, after they were put there if there were none."""
    if destination.read(SPLITTERS) is None:
        found = list(route.splitters) if route.splitters is not None else sample(route)
        if found != sorted(set(map(route.key.rank, found))):
            raise UsageError("splitters must be sorted as the keys are, and none twice")
        destination.create(SPLITTERS, [json.dumps([one.hex() for one in found]).encode()])
    return read_splitters(destination.locate(SPLITTERS))


def sample(route: Route) -> list[bytes]:
    """Return up to *n_parts* - 1 splitters that part the keys at the heads of chunks evenly. Nothing is random."""
    if route.n_parts < 2:
        return []
    chunks = route.sampled or route.plan
    with ThreadPoolExecutor(AT_ONCE) as pool:
        heads = pool.map(lambda chunk: head_keys(chunk, route.key), chunks)
        keys = sorted(route.key.rank(key) for found in heads for key in found)
    picked = [keys[len(keys) * i // route.n_parts][:SPLITTER_BYTES] for i in range(1, route.n_parts)] if keys else []
    return [bytes(one) for one in sorted({route.key.rank(one) for one in picked})]


def head_keys(chunk: Chunk, key: Key) -> list[bytes]:
    """Return the keys of some records at the head of *chunk*."""
    with closing(blocks(_head(chunk), key, SAMPLE_BYTES)) as found, suppress(RecordTooLarge):
        for block in found:
            return block.keys(SAMPLE_KEYS)
    return []


def _head(chunk: Chunk) -> Chunk:
    """Return the first bytes of *chunk* as a chunk, if its records lie plain and may be cut off; else all of it."""
    shape, pieces = shape_of(chunk), recipe_pieces(chunk) if "pieces" in chunk.recipe else []
    if shape is None or not pieces or any(piece["kind"] != "plain" for piece in pieces):
        return chunk
    first = chunk.sources[pieces[0]["source"]]
    ((start, length),) = first.ranges
    most = SAMPLE_BYTES - SAMPLE_BYTES % (shape.record_bytes or 1) or shape.record_bytes or SAMPLE_BYTES
    return replace(
        chunk,
        sources=(replace(first, ranges=((start, min(length, most)),)),),
        parts=(PartOf(chunk.parts[0].name, (0,)),),
        recipe={**chunk.recipe, "pieces": [{**pieces[0], "source": 0}]},
    )


def plan_of_parts(plan: Plan, objects: Sequence[str], run: RunKey, stem: str, suffix: str) -> Plan:
    """Return the plan whose chunks are the parts of *objects* of runs that are not empty, in order."""
    found = _indexes(objects)
    n_runs = sum(len(index.offset) for _, index in found)
    if n_runs > MOST_RUNS:
        raise UsageError(f"{n_runs} sorted runs are too many for a plan", hint="begin anew: more --memory, --force")
    widths = {index.offset.shape[1] for _, index in found}
    if len(widths) != 1:
        raise FormatError("the objects of runs were cut at different splitters", hint="begin anew: --force")
    records = sum(np.diff(index.record).sum(axis=0) for _, index in found)
    parts = np.flatnonzero(records)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(records)])
    return Plan(
        _chunk(
            plan[0],
            number,
            len(parts),
            numbered(stem, number, len(parts)) + suffix,
            list(_ranges(found, int(part))),
            (int(before[part]), int(before[part + 1])),
            run,
        )
        for number, part in enumerate(parts)
    )


def _indexes(objects: Sequence[str]) -> list[tuple[SourceRanges, Index]]:
    """Return the index of each object, and the object with no ranges yet."""

    def read(uri: str) -> tuple[SourceRanges, Index]:
        with open_source(uri) as source:
            return SourceRanges(source.uri, source.version, source.size, ()), read_index(source)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, objects))


def _ranges(found: Sequence[tuple[SourceRanges, Index]], part: int) -> Iterator[SourceRanges]:
    """Yield where the records of *part* lie, run by run, in the order of the runs."""
    for whole, index in found:
        for start, end in index.offset[:, part : part + 2].tolist():
            if end > start:
                yield replace(whole, ranges=((start, end - start),))


def _chunk(
    like: Chunk,
    number: int,
    of: int,
    name: str,
    sources: Sequence[SourceRanges],
    core: tuple[int, int],
    run: RunKey,
) -> Chunk:
    n_bytes = sum(length for one in sources for _, length in one.ranges)
    # Such a chunk is built as any of its format is: from pieces of plain sources.
    pieces = [{"part": 0, "source": i, "begin": False, "kind": "plain"} for i in range(len(sources))]
    return Chunk(
        plan=run.fields()["key"],
        chunk=number,
        of=of,
        format=like.format.removesuffix(".gz"),
        exact=True,
        name=name,
        sources=tuple(sources),
        parts=(PartOf(name, tuple(range(len(sources)))),),
        records=core[1] - core[0],
        weight=n_bytes,
        by="bytes",
        core={"records": list(core)},
        overlap=None,
        requests=len(sources),
        n_bytes=n_bytes,
        recipe={"how": like.recipe.get("how"), "pieces": pieces},
    )
