"""The Python API: the same as the command line, small."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cbtool import session as sessions
from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.contracts import EngineSettings
from cbtool.destination import open_destination
from cbtool.errors import CbtoolError, StaleError
from cbtool.job import Engine, call_on_chunks
from cbtool.plan import Plan
from cbtool.sorting.keys import Key, KeyFunction
from cbtool.sorting.shuffle import Route, memory_for, shuffled
from cbtool.units import parse_size
from cbtool.verifying import verify as hold

Given = str | os.PathLike[str] | BinaryIO


def partition(
    sources: Given | Sequence[Given],
    *,
    chunks: int | str | None = None,
    size: int | str | None = None,
    records: int | None = None,
    by: str | None = None,
    overlap: str | int | float | None = None,
    shape: str | None = None,
    only: str | None = None,
    on_the_fly: bool = False,
    paired: bool = False,
    name: str | None = None,
    format: str | None = None,
    index_to: str | None = None,
    unversioned: bool = False,
    workers: int | None = None,
    session: Any = None,
    say: Callable[[str], None] = lambda note: None,
) -> Plan:
    """Cut *sources* (paths, URIs, globs, or open binary files), together and in order, into chunks.

    At most one of *chunks* ("auto" by default), *size* (uncompressed bytes, or "64MB") and *records* is given.
    *session* is a boto3 session to reach S3 with; a plan made with one, or of an open file, stays in this process.
    """
    many = [sources] if isinstance(sources, str | os.PathLike) or not isinstance(sources, Sequence) else sources
    uris = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in many]
    size_bytes = parse_size(size) if isinstance(size, str) else size
    workers = workers or len(os.sched_getaffinity(0))
    overlap = str(overlap) if overlap is not None else None
    how = (by, overlap, shape, only)
    options = Options(chunks, size_bytes, records, *how, on_the_fly, paired, name, workers)
    return sessions.make_plan(
        uris, options, form=format, index_to=index_to, unversioned=unversioned, session=session, say=say
    )


def read_plan(path: str | Path, *, some: bool = False) -> Plan:
    """Read a plan that `Plan.save` or ``cbtool partition`` wrote; *some* accepts a part of one."""
    return sessions.load_plan(os.fspath(path), some)


def run(
    plan: Iterable[Chunk],
    function: Callable[[Chunk], Any],
    *,
    backend: str = "local",
    workers: int | None = None,
    engine_config: str | os.PathLike[str] | None = None,
    scheduler: str | None = None,
    tasks_per_call: int | None = None,
    retries: int | None = None,
    timeout_s: float | None = None,
) -> list[Any]:
    """Return what *function* returns for each chunk, in chunk order; ChunksFailed holds the results that exist.

    The function travels to the workers by cloudpickle, the chunk as its plan line. *engine_config* is a file of the
    engine's own settings, *scheduler* the address of a cluster.
    """
    config = os.fspath(engine_config) if engine_config is not None else None
    settings = EngineSettings(workers, config, scheduler, timeout_s=timeout_s)
    with sessions.engine(backend, settings) as engine:
        how = Engine(engine, retries, timeout_s, name=backend, tasks_per_call=tasks_per_call)
        return call_on_chunks(list(plan), function, how)


def shuffle(
    plan: Plan,
    key: KeyFunction | Key,
    splitters: Sequence[Any] | None = None,
    *,
    to: str | os.PathLike[str],
    parts: int | None = None,
    backend: str = "local",
    workers: int | None = None,
    engine_config: str | os.PathLike[str] | None = None,
    scheduler: str | None = None,
    tasks_per_call: int | None = None,
    retries: int | None = None,
    timeout_s: float | None = None,
    memory: int | str | None = None,
    force: bool = False,
) -> Plan:
    """Route the records of *plan* by their keys, and return the plan of the new chunks.

    *key* takes a list of records (without their newlines) and returns their keys: numbers, bytes or str; or it is a
    `Key`. Chunk *i* holds the records whose keys are not before splitter *i* - 1, and before splitter *i*. Without
    *splitters* so many are sampled that there are up to *parts* even chunks (by default as many as *plan* has); chunks
    that would be empty are left out. In a chunk, records lie in sorted runs, equal keys in the order of the sources.

    The runs lie in the folder or prefix *to*, below ``.cbtool/shuffle/``, for as long as the new plan is to be read.
    """
    by = key if isinstance(key, Key) else Key.of_function(key)
    given = tuple(by.splitter(one) for one in splitters) if splitters is not None else None
    route = Route(plan, by, parts or len(plan), given)
    memory_bytes = parse_size(memory) if isinstance(memory, str) else memory
    stem = plan[0].stem
    config = os.fspath(engine_config) if engine_config is not None else None
    settings = EngineSettings(workers, config, scheduler, memory_bytes, timeout_s)
    with sessions.engine(backend, settings) as engine:
        report, made = shuffled(
            route,
            open_destination(os.fspath(to)),
            Engine(engine, retries, timeout_s, name=backend, tasks_per_call=tasks_per_call),
            route.run_key("shuffle"),
            memory_bytes=memory_bytes or memory_for(engine.limits),
            stem=stem.rpartition("-")[0],
            suffix=plan[0].name.removeprefix(stem),
            force=force,
        )
    report.check()
    assert made is not None
    return made


def verify(plan: Plan, *, workers: int | None = None) -> int:
    """Prove that the chunks together are the sources and return how many records there are; StaleError if not."""
    with sessions.engine("local", EngineSettings(workers)) as engine:
        verdicts = hold(plan, engine)
    wrong = next((verdict.differs for verdict in verdicts if verdict.differs), None)
    if wrong:
        raise StaleError(f"the plan is not its sources: {wrong}")
    return sum(verdict.sources.records for verdict in verdicts)


__all__ = ["CbtoolError", "Chunk", "Plan", "partition", "read_plan", "run", "shuffle", "verify"]
