"""Sorts: a shuffle, and then the merge of every part, as two steps in one ledger."""

from __future__ import annotations

import os
from contextlib import suppress

from cbtool import ledger as ledgers
from cbtool.chunk import SAFE_NAME
from cbtool.destination import Destination, Folder
from cbtool.errors import CannotWrite, FormatError, UsageError
from cbtool.job import Engine, Report, Work, run_job
from cbtool.output import open_output
from cbtool.plan import Plan
from cbtool.sorting.shuffle import Route, check, is_of_shuffle, shuffled
from cbtool.source import open_source
from cbtool.stagers.shuffle import STEP
from cbtool.steps import begin_step, begun, remove_step

PART_BYTES = 256_000_000
"""How large a part is unless it is said how many there are."""
CHUNK_BYTES = 128_000_000
MOST_CHUNKS = 2000
"""How much of the sources a task sorts, and how many tasks there are at the most; memory does not depend on it."""
SAMPLED = 256
SAMPLED_BYTES = 64 * 1024
"""How many places are sampled, and how far apart they are at the least."""


def sort(
    route: Route,
    destination: Destination,
    engine: Engine,
    *,
    memory_bytes: int,
    stem: str,
    suffix: str,
    force: bool = False,
) -> Report:
    """Sort the records of the plan into files of *destination*, which one after another are the sorted whole."""
    check(route, destination, engine)
    if not SAFE_NAME.fullmatch(stem + "-"):
        raise UsageError(f"--name {stem}: not of letters, digits, '.', '_', '-'")
    run = route.run_key("sort", name=stem + suffix)
    _refuse_taken(destination, stem)
    parts = None if force else begun(destination, run, STEP)
    if parts is None:
        report, parts = shuffled(
            route, destination, engine, run, memory_bytes=memory_bytes, stem=stem, suffix=suffix, force=force
        )
        if parts is None:
            return report
        begin_step(destination, lambda name: not is_of_shuffle(name))
    work = Work("sort", {"key": route.key.to_json()}, {"memory_bytes": memory_bytes})
    report = run_job(parts, work, destination, engine, key=run)
    if not report.failed:
        _check_sizes(parts, destination)
        remove_step(destination, STEP)
    return report


def _refuse_taken(destination: Destination, stem: str) -> None:
    """Refuse a destination in which somebody else has made what could be a part."""
    if destination.read(ledgers.RUN) is None:
        for name, _ in destination.names():
            number = name.removeprefix(f"{stem}-").partition(".")[0]
            if name.startswith(f"{stem}-") and number.isdecimal():
                raise CannotWrite(
                    f"{destination.uri}: {name} is there already, and no run of cbtool made it",
                    hint="remove it, or name another destination",
                )


def _check_sizes(parts: Plan, destination: Destination) -> None:
    sizes = dict(destination.names())
    for chunk in parts:
        if sizes.get(chunk.name) != chunk.n_bytes:
            raise FormatError(
                f"{destination.locate(chunk.name)}: {sizes.get(chunk.name)} bytes, not {chunk.n_bytes}",
                hint="did something else write there? sort again: --force",
            )


def join(report: Report, destination: Destination, to: str) -> None:
    """Write all parts, one after another, to the file *to*; then remove them, and the ledger."""
    with open_output(to) as file:
        for name in (name for names in report.made.values() for name in names):
            with open_source(destination.locate(name)) as source:
                file.writelines(source.stream(0, source.size))
    ledgers.remove(destination)
    if isinstance(destination, Folder):
        for folder, _, _ in os.walk(destination.uri, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
