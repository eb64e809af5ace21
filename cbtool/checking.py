"""Whether an engine works, and what it costs in time."""

from __future__ import annotations

import time
from typing import Any

from cbtool.backends.probe import CALL, versions
from cbtool.batching import Batched
from cbtool.contracts import Backend, EngineSettings
from cbtool.destination import open_destination
from cbtool.reach import check_places, check_readable, probe
from cbtool.runner import run_tasks
from cbtool.session import engine
from cbtool.source import open_source


def check(
    name: str, settings: EngineSettings, *, source: str | None = None, output: str | None = None, n_tasks: int = 8
) -> dict[str, Any]:
    """Have workers of the engine answer, look at *source* and write to *output*; return its versions and times.

    *open_s* is until the engine is there, *first_s* and *warm_s* are a first and a second call and answer, *task_s*
    is the time of each of *n_tasks* empty tasks that have a call each, *batched_s* that of as many in shared calls.
    Errors say what is wrong: with the engine, with what its workers have, with what they reach.
    """
    began = time.perf_counter()
    with engine(name, settings) as backend:
        opened = time.perf_counter()
        needs = _needs(backend, source)
        destination = open_destination(output) if output is not None else None
        if backend.limits.remote:
            check_places([], destination)
        found = probe(backend, needs, None, destination)
        first = time.perf_counter()
        probe(backend, {})
        warm = time.perf_counter()
        one_s, many_s = _per_task_s(backend, n_tasks), None
        if backend.limits.overhead_s:
            per_call = -(-n_tasks // backend.limits.concurrency)
            many_s = _per_task_s(Batched(backend, per_call, n_tasks), n_tasks)
        limits = backend.limits
    return {
        "backend": name,
        "worker": found["spent"].get("worker"),
        **{key: found[key] for key in versions()},
        "concurrency": limits.concurrency,
        "remote": limits.remote,
        "memory_bytes": limits.memory_bytes,
        "time_s": limits.time_s,
        "source": source,
        "destination": output,
        "open_s": round(opened - began, 3),
        "first_s": round(first - opened, 3),
        "warm_s": round(warm - first, 3),
        "tasks": n_tasks,
        "task_s": round(one_s, 5),
        "batched_s": None if many_s is None else round(many_s, 5),
    }


def _needs(backend: Backend, source: str | None) -> dict[str, Any]:
    if source is None:
        return {}
    if backend.limits.remote:
        check_readable([source])
    with open_source(source, unversioned=True) as one:
        return {"source": {"uri": one.address, "version": one.version}}


def _per_task_s(backend: Backend, n_tasks: int) -> float:
    began = time.perf_counter()
    for outcome in run_tasks(({"call": CALL} for _ in range(n_tasks)), backend):
        if outcome.error is not None:
            raise outcome.error
    return (time.perf_counter() - began) / n_tasks
