"""LAS to LAZ and back, and LAZ or LAS of COPC: each source becomes a file, all of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cbtool.asked import Options
from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.converting.asked import Asked, Conversion
from cbtool.converting.clouds import check_clouds, made_by, task
from cbtool.destination import Destination
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import Ledger, RunKey
from cbtool.partitioners.las.frame import Frame, Place
from cbtool.partitioners.las.groups import Groups, LasFile, evlr_ranges, groups_of, open_las
from cbtool.partitioners.las.header import RECORD_BYTES
from cbtool.partitioners.las.promote import WITHOUT_WAVEFORMS
from cbtool.partitioners.las.recipe import Piece, Recipe, recipe_of, to_json
from cbtool.partitioners.las.recode import Goal
from cbtool.partitioners.las.scatter import stretches
from cbtool.plan import Plan, sealed
from cbtool.reach import check_places
from cbtool.source import coalesce
from cbtool.stagers.recode import JOIN, PART, STEP
from cbtool.steps import begin_step, begun, remove_step


@dataclass(frozen=True)
class _Member:
    """A source: a chunk that has all of its groups, and what its points become."""

    file: LasFile
    whole: Chunk
    goal: Goal
    name: str


def convert(to: str, asked: Asked, destination: Destination, engine: Engine) -> Report:
    """Write each source as a LAS or LAZ file in *destination*."""
    check_clouds(asked.sources)
    members = [
        _member(open_las(source), to == "laz", name, number, asked)
        for number, (source, name) in enumerate(zip(asked.sources, asked.names, strict=True))
    ]
    plan = sealed([member.whole for member in members], Options(chunks=len(members)))
    said = {"to": to, "names": list(asked.names), "drop_waveform": asked.drop_waveform}
    run = RunKey(plan.id, len(plan), "convert", said)
    if engine.backend.limits.remote:
        check_places(plan, destination)
    urls = [source.address for source in asked.sources if source.resupply]
    last = None if asked.force else begun(destination, run, STEP)
    if last is None:
        Ledger.claim(destination, run, [], force=asked.force).close()
        begin_step(destination, lambda made: made.startswith(STEP))
        parts = [replace(one, plan=plan.id) for one in _parts(members)]
        report = Report({})
        if parts:
            work = Work("recode", {"step": PART}, {"urls": urls})
            report = run_job(parts, work, destination, engine, key=run)
        if report.failed:
            return report
        last = _joining(members, parts, made_by(report, destination), plan.id)
    begin_step(destination, lambda made: not made.startswith(STEP))
    report = run_job(last, Work("recode", {"step": JOIN}, {"urls": urls}), destination, engine, key=run)
    if not report.failed:
        remove_step(destination, STEP)
    return report


def _member(file: LasFile, is_compressed: bool, name: str, number: int, asked: Asked) -> _Member:
    header = file.header
    frame = Frame(header.scale, header.offset, header.point_format, header.record_bytes)
    form = header.point_format
    if asked.drop_waveform:
        form = WITHOUT_WAVEFORMS.get(form, form)
    made = replace(frame, point_format=form, record_bytes=RECORD_BYTES[form] + header.n_extra)
    goal = Goal(made, is_compressed)
    whole = whole_of(file, groups_of(file), frame, number, len(asked.sources))
    return _Member(file, replace(whole, recipe={**whole.recipe, "goal": goal.to_json()}), goal, name)


def whole_of(file: LasFile, groups: Groups, frame: Frame, number: int, of: int) -> Chunk:
    """Return a chunk that has all *groups* of *file*."""
    header, source = file.header, file.source
    none = np.zeros(0, np.int64)
    piece = Piece(
        header.point_format,
        header.record_bytes,
        file.laszip,
        Place(),
        groups.start,
        groups.length,
        groups.count,
        none,
    )
    recipe = Recipe(frame, file.laszip is not None, header.points_at, tuple(evlr_ranges(file)), (piece,), (0, 0, 0, 0))
    ranges = [(0, header.points_at), *zip(groups.start.tolist(), groups.length.tolist(), strict=True), *recipe.evlrs]
    n = int(groups.count.sum())
    return Chunk(
        plan="",
        chunk=number,
        of=of,
        format="las",
        exact=True,
        name=f"file-{number:05d}",
        sources=(SourceRanges(source.uri, source.version, source.size, tuple(coalesce(ranges))),),
        parts=(PartOf("file", (0,)),),
        records=n,
        weight=n,
        by="points",
        core=None,
        overlap=None,
        requests=1,
        n_bytes=source.size,
        recipe=to_json(recipe),
    )


def _parts(members: Sequence[_Member]) -> list[Chunk]:
    """Return the tasks that recode stretches of all files; each knows whose it is."""
    found = []
    for number, member in enumerate(members):
        for one in stretches([member.whole]):
            recipe = {**one.recipe, "goal": member.goal.to_json(), "file": number}
            found.append(replace(one, recipe=recipe))
    return [replace(one, chunk=i, of=len(found), name=f"part-{i:05d}") for i, one in enumerate(found)]


def _joining(members: Sequence[_Member], parts: Sequence[Chunk], made: Sequence[SourceRanges], plan: str) -> Plan:
    """Return a task for each file: to join its parts."""
    found = []
    for number, member in enumerate(members):
        recipe, base = recipe_of(member.whole), member.whole.sources[0]
        base = replace(base, ranges=tuple(coalesce([(0, recipe.points_at), *recipe.evlrs])))
        mine = [one for one, part in zip(made, parts, strict=True) if part.recipe["file"] == number]
        sources = [base, *(replace(one, ranges=((0, one.size),)) for one in mine)]
        said: dict[str, object] = {
            "goal": member.goal.to_json(),
            "points_at": recipe.points_at,
            "evlrs": [list(one) for one in recipe.evlrs],
            "output": member.name,
        }
        is_copied = member.goal.frame.point_format == member.file.header.point_format
        if member.file.laszip is not None and is_copied:
            said["laszip"] = member.file.laszip.hex()
        last = member.name.rpartition("/")[2]
        like = replace(member.whole, plan=plan)
        found.append(task(like, last, number, len(members), sources, member.whole.weight, said))
    return Plan(found)


LAS = Conversion(".las", False, partial(convert, "las"))
LAZ = Conversion(".laz", False, partial(convert, "laz"))
