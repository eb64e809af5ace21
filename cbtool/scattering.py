"""Writes all chunks of a plan by passing over the sources once: records are scattered to chunks, then gathered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from cbtool.contracts import Scattering
from cbtool.destination import Destination
from cbtool.detect import scattering
from cbtool.job import Engine, Report, Work, run_job, run_key
from cbtool.ledger import Ledger, RunKey
from cbtool.plan import Plan
from cbtool.reach import check_places
from cbtool.source import open_source
from cbtool.stagers.scatter import STEP, TARGETS, outputs
from cbtool.steps import begin_step, begun, remove_step


def scattering_of(plan: Plan) -> Scattering | None:
    """Return how the plan's chunks are written by one pass, if they can be and that is less work than one by one."""
    way = scattering(plan[0].format)
    whole = plan[0].of == len(plan)
    return way if way is not None and whole and way.is_worth(plan) else None


def write_scattered(
    plan: Plan, way: Scattering, work: Work, destination: Destination, engine: Engine, *, force: bool = False
) -> Report:
    """Write the file of every chunk of *plan*, as the stager of *work* does one by one, and the same bytes."""
    if engine.backend.limits.remote:
        check_places(plan, destination)
    run = run_key(plan, work)
    chunks = None if force else begun(destination, run, STEP)
    if chunks is None:
        Ledger.claim(destination, run, [], force=force).close()
        report, chunks = scattered(plan, way, work.unkeyed, destination, engine, run)
        if chunks is None:
            return report
        begin_step(destination, lambda name: not name.startswith(STEP))
    report = run_job(chunks, Work("gather", unkeyed=work.unkeyed), destination, engine, key=run)
    if not report.failed:
        remove_step(destination, STEP)
    return report


def scattered(
    plan: Plan, way: Scattering, unkeyed: Mapping[str, Any], destination: Destination, engine: Engine, run: RunKey
) -> tuple[Report, Plan | None]:
    """Scatter the records of *plan* as a step of *run*, and return the chunks to gather; None if a stretch failed."""
    begin_step(destination, lambda name: name.startswith(STEP))
    destination.create(TARGETS, [way.targets(plan)])
    stretches = [replace(one, plan=plan.id) for one in way.stretches(plan)]
    report = run_job(stretches, Work("scatter", unkeyed=unkeyed), destination, engine, key=run)
    if report.failed:
        return report, None
    with ExitStack() as stack:
        names = [name for one in stretches for name in outputs(one, {})]
        segments = [stack.enter_context(open_source(destination.locate(name))) for name in names]
        return report, Plan(way.gathered(plan, segments))
