"""Measures what tasks take: by doing some of them on their engine into a scratch place, or from the ledger of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import median
from typing import Any

from cbtool import ledger as ledgers
from cbtool.choice.fitting import Sample
from cbtool.choice.model import Slice
from cbtool.chunk import Chunk
from cbtool.destination import Destination, open_destination
from cbtool.errors import MissingInput
from cbtool.events import JobEvent
from cbtool.job import Engine, Work, run_job
from cbtool.plan import Plan, complete, read_chunks

Cut = Callable[[int], Plan]
"""Makes a plan of about so many chunks."""

SHARES = (1024, 256, 64)
"""Chunks that are tried are such parts of the sources: the third only if the second took too little time."""
LEAST_BYTES = 4 * 1024
"""The smallest that are tried read about so much: of small sources they are larger parts."""
ENOUGH_S = 0.25
ENOUGH_MORE = 0.1
"""A size tells what grows once its tasks take so much longer than the smallest: in seconds, and in parts of those."""
PLACES = (0, 4, 2, 6, 1, 5, 3, 7)
"""Where along the sources chunks are tried, in eighths; any first of them lie apart."""
MOST_LANES = 8
MOST_REMOTE_LANES = 2
"""Lanes that share this machine are tried together, as they will run; those apart are each like any other."""


def probe(cut: Cut, work: Work, engine: Engine, place: str) -> list[Sample]:
    """Do *work* on some small chunks, in order of size, and return how the tasks went; outputs go below *place*.

    The smallest are done twice, first by workers that start for them. The error of a task that fails is raised.
    """
    limits = engine.backend.limits
    lanes = min(limits.concurrency, MOST_REMOTE_LANES if limits.remote else MOST_LANES, len(PLACES))
    rounds = 0
    samples: list[Sample] = []

    def run(plan: Plan, places: Sequence[int]) -> list[Sample]:
        nonlocal rounds
        rounds += 1
        went = _run(plan, places, work, engine, f"{place.rstrip('/')}/{rounds}")
        samples.extend(went)
        return went

    read_bytes = sum(chunk.n_bytes for chunk in cut(limits.concurrency))
    first, *more = shares(read_bytes, lanes)
    plan = cut(first)
    run(plan, PLACES[:lanes])
    least_s = median(one.wall_s for one in run(plan, PLACES[:lanes]))
    for share in more:
        if len(plan) <= lanes:
            break
        plan = cut(share)
        more_s = median(one.wall_s for one in run(plan, PLACES[:lanes])) - least_s
        if more_s >= max(ENOUGH_S, ENOUGH_MORE * least_s):
            break
    for begin in range(lanes, len(PLACES), lanes):
        run(plan, PLACES[begin : begin + lanes])
    return samples


def shares(read_bytes: int, lanes: int) -> list[int]:
    """Return into how many chunks sources that are read by *read_bytes* are cut to be tried, most first.

    >>> shares(10**9, 2), shares(1_300_000, 2)
    ([1024, 256, 64], [317, 79, 19])
    """
    scale = min(1.0, read_bytes / LEAST_BYTES / SHARES[0])
    return sorted({max(2 * lanes, int(share * scale)) for share in SHARES}, reverse=True)


def _run(plan: Plan, places: Sequence[int], work: Work, engine: Engine, place: str) -> list[Sample]:
    chosen = sorted({(2 * eighth + 1) * len(plan) // (2 * len(PLACES)) for eighth in places})
    found: list[Sample] = []

    def note(event: JobEvent) -> None:
        if event.kind == "done" and event.chunk is not None and event.outcome is not None:
            found.append(sample(event.chunk, middles[event.chunk.chunk], event.outcome.seconds, event.outcome.spent))

    middles = places_of(plan)
    # One task a call: what several in one call take cannot be told apart.
    alone = replace(engine, on_event=note, tasks_per_call=1)
    report = run_job([plan[number] for number in chosen], work, open_destination(place), alone, with_ledger=False)
    for error in report.failed.values():
        raise error
    return found


def places_of(plan: Sequence[Chunk]) -> dict[int, float]:
    """Return for each chunk, by number, where its middle lies along all weights, from 0 to 1."""
    ends = list(accumulate(chunk.weight for chunk in plan))
    return {chunk.chunk: (end - chunk.weight / 2) / max(1, ends[-1]) for chunk, end in zip(plan, ends, strict=True)}


def slices(plan: Sequence[Chunk]) -> list[Slice]:
    """Return what the model knows of each chunk."""
    return [Slice(chunk.weight, chunk.n_bytes, chunk.requests) for chunk in plan]


def sample(chunk: Chunk, place: float, seconds: float, spent: Mapping[str, Any]) -> Sample:
    """Return how the task of *chunk* went, from what its worker and its driver (*seconds*) measured."""
    numbers = ("cpu_s", "peak_bytes", "read_bytes", "read_s", "written_bytes", "write_s")
    return Sample(
        chunk.weight,
        place,
        seconds,
        float(spent.get("wall_s", seconds)),
        "start_s" in spent,
        **{name: float(spent.get(name, 0.0)) for name in numbers},
        writes=int(spent.get("writes", 1)),
        requests=int(spent.get("requests", 0)),
    )


def measured_by(destination: Destination) -> tuple[list[Sample], int]:
    """Return how the tasks of the run on *destination* went, and the sum of the weights of its plan.

    MissingInput if no chunk of it was done and measured.
    """
    lines = destination.read(ledgers.PLAN)
    if lines is None:
        raise MissingInput(f"{destination.uri}: no run has begun there", hint="name the DEST of a run: --like DEST")
    plan = complete(read_chunks(lines.splitlines(), destination.uri), destination.uri, some=True)
    middles, chunks = places_of(plan), {chunk.chunk: chunk for chunk in plan}
    found = {}
    for record in ledgers.records(destination):
        number, spent = record["chunk"], record.get("spent")
        if record.get("ended") == "done" and number in chunks and isinstance(spent, dict):
            found[number] = sample(chunks[number], middles[number], float(record.get("seconds", 0.0)), spent)
    if not found:
        raise MissingInput(f"{destination.uri}: no chunk was measured there", hint="leave out --like: it is measured")
    return list(found.values()), sum(chunk.weight for chunk in plan)
