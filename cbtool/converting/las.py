"""LAS to LAZ and back, and LAZ or LAS of COPC: each source becomes a file, all of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from cbtool.asked import Options
from cbtool.chunk import Chunk, SourceRanges
from cbtool.converting.asked import Asked, Conversion
from cbtool.converting.clouds import check_clouds, cloud_of, goal_frame, indexes_of, made_by, task, whole_of
from cbtool.converting.thinning import thinning
from cbtool.destination import Destination
from cbtool.job import Engine, Report, Work, run_job
from cbtool.ledger import Ledger, RunKey
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.groups import LasFile, groups_of, open_las
from cbtool.partitioners.las.recipe import recipe_of
from cbtool.partitioners.las.recode import Goal
from cbtool.partitioners.las.salvage import salvage
from cbtool.partitioners.las.scatter import stretches
from cbtool.plan import Plan, sealed
from cbtool.reach import check_places
from cbtool.source import Source, coalesce
from cbtool.stagers.recode import JOIN, PART, STEP, THIN
from cbtool.steps import begin_step, begun, remove_step


@dataclass(frozen=True)
class _Member:
    """A file that is made: of which chunk, of what its points become, and what the tasks are that make its parts."""

    file: LasFile
    whole: Chunk
    goal: Goal
    parts: Sequence[Chunk]
    name: str
    is_whole: bool = True
    """Whether the file has all that its header says."""


def convert(to: str, asked: Asked, destination: Destination, engine: Engine) -> Report:
    """Write each source, or all of them as one where there is but one name, as LAS or LAZ in *destination*."""
    check_clouds(asked.sources)
    members = _members(to == "laz", asked)
    plan = sealed([member.whole for member in members], Options(chunks=len(members)))
    said = {"to": to, "names": list(asked.names), "drop_waveform": asked.drop_waveform, "spacing": asked.spacing}
    run = RunKey(plan.id, len(plan), "convert", said | {"salvage": asked.salvage})
    if engine.backend.limits.remote:
        check_places(plan, destination)
    urls = [source.address for source in asked.sources if source.resupply]
    last = None if asked.force else begun(destination, run, STEP)
    if last is None:
        Ledger.claim(destination, run, [], force=asked.force).close()
        begin_step(destination, lambda made: made.startswith(STEP))
        parts = _parts(members, plan.id)
        made: list[SourceRanges] = []
        if parts:
            work = Work("recode", {"step": PART if asked.spacing is None else THIN}, {"urls": urls})
            report = run_job(parts, work, destination, engine, key=run)
            if report.failed:
                return report
            made = made_by(report, destination)
        last = _joining(members, parts, made, plan.id)
    begin_step(destination, lambda made: not made.startswith(STEP))
    report = run_job(last, Work("recode", {"step": JOIN}, {"urls": urls}), destination, engine, key=run)
    if not report.failed:
        remove_step(destination, STEP)
    return report


def _members(is_compressed: bool, asked: Asked) -> list[_Member]:
    if asked.spacing is None:
        pairs = zip(asked.sources, asked.names, strict=True)
        return [_member(source, is_compressed, name, number, asked) for number, (source, name) in enumerate(pairs)]
    if len(asked.names) == 1:
        return [_thin_member(asked, is_compressed, asked.names[0])]
    alone = [replace(asked, sources=[one], names=[name]) for one, name in zip(asked.sources, asked.names, strict=True)]
    return [_thin_member(one, is_compressed, one.names[0]) for one in alone]


def _member(source: Source, is_compressed: bool, name: str, number: int, asked: Asked) -> _Member:
    if asked.salvage:
        found = salvage(source)
        file, groups = found.file, found.groups
        lost = f"; {found.n_lost} are lost" if found.n_lost else ""
        asked.say(f"{source.uri}: {found.n_points} of {found.n_points + found.n_lost} points are intact{lost}")
    else:
        file = open_las(source)
        groups = groups_of(file)
    header = file.header
    frame = Frame(header.scale, header.offset, header.point_format, header.record_bytes)
    goal = Goal(goal_frame(frame, asked.drop_waveform), is_compressed)
    whole = whole_of([file], [groups], frame, number, len(asked.sources))
    whole = replace(whole, recipe={**whole.recipe, "goal": goal.to_json()})
    return _Member(file, whole, goal, stretches([whole]), name, not asked.salvage)


def _thin_member(asked: Asked, is_compressed: bool, name: str) -> _Member:
    cloud = cloud_of(asked)
    goal = Goal(goal_frame(cloud.recipe.frame, asked.drop_waveform), is_compressed)
    whole = replace(cloud.whole, recipe={**cloud.whole.recipe, "goal": goal.to_json()})
    return _Member(cloud.files[0], whole, goal, thinning(cloud, indexes_of(asked), asked.spacing or ""), name)


def _parts(members: Sequence[_Member], plan: str) -> list[Chunk]:
    """Return the tasks that make parts of all files; each knows whose it is."""
    found = [
        replace(one, plan=plan, recipe={**one.recipe, "goal": member.goal.to_json(), "file": number})
        for number, member in enumerate(members)
        for one in member.parts
    ]
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
            "is_whole": member.is_whole,
        }
        if member.file.laszip is not None and member.parts and "cells" not in member.parts[0].recipe:
            if member.goal.frame.point_format == member.file.header.point_format:
                said["laszip"] = member.file.laszip.hex()  # chunks are copied as they are
        like = replace(member.whole, plan=plan)
        last = member.name.rpartition("/")[2]
        found.append(task(like, last, number, len(members), sources, member.whole.weight, said))
    return Plan(found)


LAS = Conversion(".las", False, partial(convert, "las"))
LAZ = Conversion(".laz", False, partial(convert, "laz"))
