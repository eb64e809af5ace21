"""The pieces of `benchmarks.clouds`: what is run for each, and how its figures are held against what is wanted."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.clouds_peers import RECORDED, chipper, library, raster
from benchmarks.clouds_run import (
    CHUNKS,
    WORKERS,
    Found,
    Piece,
    Setting,
    Task,
    cbtool,
    in_folder,
    look,
    over_http,
    own_module,
    pipelines,
    run,
    sidecar,
    written,
)
from benchmarks.measure import Cost, Failed, command
from benchmarks.table import Row

BOXES = (20, 100, 400)
"""Sides of the boxes that are asked for, in metres."""
LONGEST_QUERY_S = 120


def faster(work: str, peer: str, found: Found, ours: str, theirs: str, wanted: float | None, recorded: str) -> Row:
    ratio = _ratio(found, theirs, ours, "wall_s")
    return Row(work, peer, "times as fast, wall", found.said(ours), found.said(theirs, recorded), ratio, wanted)


def _ratio(found: Found, above: str, below: str, what: str) -> float | None:
    """Return how many times *below* goes into *above*; None if either is missing, not a number if either failed."""
    first, second = found.median(above, what), found.median(below, what)
    return None if first is None or second is None else first / second


def same(at: Setting, found: Found, label: str, paths: Iterable[Path]) -> Iterator[Row]:
    """Yield whether the points of files are those of the cloud, and how even the files are."""
    try:
        if label in found.failed:
            raise Failed("there is nothing to look at")
        seen = look("summary", paths)
    except Failed as error:
        seen = {"points": math.nan, "sum": 0, "counts": [], "why": str(error)}
    n, wanted = seen["points"], at.truth["points"]
    right = n == wanted and seen["sum"] == at.truth["sum"]
    wrong = 0 if right else math.nan if math.isnan(n) else max(abs(n - wanted), 1)
    said = seen.get("why") or f"{n} points, sum of hashes {'the same' if right else 'DIFFERS'}"
    counts = seen["counts"]
    even = max(counts) * len(counts) / n if counts else math.nan
    yield Row("the same", "-", "points lost, doubled or changed", said, "", wrong, 0, at_most=True, unit="points")
    if len(counts) != 1:
        said = f"{len(counts)} files of {min(counts)} to {max(counts)}" if counts else ""
        yield Row("the same", "-", "points of the largest, of the mean", said, "", even, 1.03, at_most=True, unit="")


def density(at: Setting) -> Piece:
    """Cut a LAS file evenly."""
    tasks = {"write": written(at, at.las, "las")}
    if at.pdal:
        stages = chipper(at.las.name, in_folder(at, at.work / "pdal"), -(-at.n_points // CHUNKS))
        tasks["pdal"] = pipelines(at, "pdal", stages)

    def finish(found: Found) -> Iterator[Row]:
        work, peer = f"density partition, LAS to {CHUNKS} LAS", "PDAL filters.chipper"
        yield faster(work, peer, found, "write", "pdal", 5, RECORDED["chipper"])
        ratio = _ratio(found, "write", "pdal", "peak_bytes")
        yield Row("the same", peer, "of its memory", "", "", ratio, 0.25, at_most=True)
        yield from same(at, found, "write", (at.work / "las").glob("*.las"))

    return Piece(tasks, finish)


def overlap(at: Setting) -> Piece:
    """Cut a LAS file evenly, with what lies within 5 m of each chunk."""
    out = at.work / "chipper"
    peer = own_module("chipper", at.las, out, "--chunks", str(CHUNKS), "--overlap", "5")
    tasks: dict[str, Task] = {
        "write": written(at, at.las, "overlap", "--overlap", "5m"),
        "chipper": lambda: run(f"mkdir {shlex.quote(str(out))} && {peer}", out),
    }

    def finish(found: Found) -> Iterator[Row]:
        peer = "CloudButton's way, written anew"
        yield faster("the same with 5 m of overlap", peer, found, "write", "chipper", 15, "missing")
        yield from same(at, found, "write", (at.work / "overlap").glob("*.las"))

    return Piece(tasks, finish)


def compressed(at: Setting) -> Piece:
    """Cut a LAZ file evenly, beside no more than its decoding and encoding."""
    tasks: dict[str, Task] = {
        "write": written(at, at.laz, "laz"),
        "lazrs": lambda: library("recode", at.laz, at.work / "recoded"),
    }

    def finish(found: Found) -> Iterator[Row]:
        for number, (what, name) in enumerate([("wall_s", "wall"), ("cpu_s", "CPU time")]):
            ratio = _ratio(found, "write", "lazrs", what)
            work = "the same" if number else f"density partition, LAZ to {CHUNKS} LAZ"
            wanted = None if number else 1.5
            measure = f"times the {name} of decoding and encoding"
            said = ("", "") if number else (found.said("write"), found.said("lazrs"))
            yield Row(work, "lazrs", measure, *said, ratio, wanted, at_most=True)
        yield from same(at, found, "write", (at.work / "laz").glob("*.laz"))

    return Piece(tasks, finish)


def planned(at: Setting) -> Piece:
    """Plan a LAZ file whose index is there, from disk and from the web."""
    plan, index, web = (at.work / name for name in ("laz.plan", "index", "web.plan"))
    url = f"{at.server.endpoint}/{in_folder(at, at.laz)}"
    indexed = cbtool("index", url, "--index-to", index)
    options = ("-n", str(CHUNKS), "-o")
    tasks: dict[str, Task] = {
        "index": lambda: run(cbtool("index", at.laz, "-j", str(WORKERS)), sidecar(at.laz)),
        "plan": lambda: run(cbtool("partition", at.laz, *options, plan), plan),
        "plan, HTTP": lambda: over_http(
            at, lambda: run(cbtool("partition", url, "--index-to", index, *options, web), web)
        ),
    }

    def prepared() -> Cost:
        run(indexed, index)
        return tasks["plan, HTTP"]()

    def finish(found: Found) -> Iterator[Row]:
        wall, index = (found.median(label, "wall_s") for label in ("plan", "index"))
        work = f"plan of {CHUNKS} chunks of LAZ, index there"
        yield Row(work, "-", "wall of the command", found.said("plan"), "", wall, 0.3, at_most=True, unit="s")
        counts = found.counts("plan, HTTP")
        part = 100 * counts["bytes"] / at.laz.stat().st_size if counts else math.nan
        said = f"{counts['requests']} requests, {counts['bytes']} B" if counts else found.said("plan, HTTP")
        yield Row("the same, over HTTP", "-", "read of the cloud", said, "", part, 0.1, at_most=True, unit="%")
        yield Row("its index", "-", "wall of the command", found.said("index"), "", index, None, unit="s")

    return Piece(tasks | {"plan, HTTP": prepared}, finish)


def copc(at: Setting) -> Piece:
    """Turn LAZ into COPC."""
    return _copc(at, at.laz, at.n_points, check=True)


def copc_large(at: Setting) -> Piece:
    """Turn a cloud into COPC that is larger by much, once."""
    if at.large is None:
        return Piece({}, lambda found: [])
    return replace(_copc(at, at.large, at.n_large, check=False), rounds=1)


def copc_of(at: Setting, source: Path) -> Path:
    return at.work / f"{source.stem}.copc.laz"


def converted(at: Setting, source: Path) -> str:
    return cbtool("convert", source, "--to", "copc", "-j", str(WORKERS), "-o", copc_of(at, source))


def _copc(at: Setting, source: Path, n_points: int, check: bool) -> Piece:
    target = copc_of(at, source)

    def finish(found: Found) -> Iterator[Row]:
        wall, memory = (found.median("convert", what) for what in ("wall_s", "peak_bytes"))
        work = f"LAZ to COPC, {n_points / 1e6:g} M points"
        rate = n_points / 1e6 / (wall or math.nan)
        yield Row(work, "-", "million points a second", found.said("convert"), "", rate, 1.5, unit="M/s")
        used = (memory or math.nan) / 1e6
        yield Row("the same", "-", "memory of all processes", "", "", used, 1000, at_most=True, unit="MB")
        if "convert" not in found.failed:
            seen = look("nodes", [target])
            off = abs(seen["points"] - n_points)
            said = f"{seen['nodes']} nodes, depth {seen['depth']}"
            measure = "points missing in the hierarchy"
            yield Row("the same", "laspy.CopcReader", measure, said, "", off, 0, at_most=True, unit="points")
        if check:
            yield from same(at, found, "convert", [target])

    return Piece({"convert": lambda: run(converted(at, source), target, sidecar(source))}, finish)


def remote(at: Setting) -> Piece:
    """Ask a COPC file on the web for boxes, in the middle of the cloud."""
    source = copc_of(at, at.laz)
    url = f"{at.server.endpoint}/{in_folder(at, source)}"
    x, y = ((at.box[axis] + at.box[axis + 2]) // 2 + 0.005 for axis in (0, 1))  # no point is on such an edge
    tasks: dict[str, Task] = {}

    def ready(task: Task) -> Task:
        def once() -> Cost:
            if not source.exists():
                command(converted(at, at.laz))
            return over_http(at, task)

        return once

    def results(side: int) -> tuple[Path, Path]:
        return at.work / f"box{side}.laz", at.work / f"laspy{side}.laz"

    for side in BOXES:
        box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
        spelt = [f"{value:.3f}" for value in box]
        ours, theirs = results(side)
        plan = cbtool("partition", url, "--only", f"bbox:{','.join(spelt)}", "-n", "1")
        both = f"{plan} | {cbtool('read', '-', '-o', ours)}"
        peer = f"timeout {LONGEST_QUERY_S} {own_module('clouds_peers', 'query', url, theirs, *spelt)}"
        tasks[f"cbtool {side}"] = ready(lambda line=both, path=ours: run(line, path))  # type: ignore[misc]
        tasks[f"laspy {side}"] = ready(lambda line=peer, path=theirs: run(line, path))  # type: ignore[misc]

    def finish(found: Found) -> Iterator[Row]:
        for side in BOXES:
            ours, theirs = (found.counts(f"{who} {side}") for who in ("cbtool", "laspy"))
            ratio = theirs["requests"] / ours["requests"] if ours and theirs else math.nan
            yield Row(
                f"box of {side} m of a COPC file, HTTP",
                "laspy.CopcReader",
                "times its requests",
                _asked(ours),
                _asked(theirs),
                1 / ratio,
                0.999,
                at_most=True,
            )
            labels = (f"cbtool {side}", f"laspy {side}")
            yield faster("the same", "laspy.CopcReader", found, *labels, 1, "missing")
            if ours and theirs:
                seen, wanted = (look("summary", [path]) for path in results(side))
                off = abs(seen["points"] - wanted["points"]) or int(seen["sum"] != wanted["sum"])
                n, right = (f"{one['points']} points" for one in (seen, wanted))
                yield Row("the same", "-", "other points", n, right, off, 0, at_most=True, unit="points")

    return Piece(tasks, finish)


def _asked(counts: dict[str, Any] | None) -> str:
    return f"{counts['requests']} requests, {counts['bytes'] / 1e6:.3g} MB" if counts else "failed"


def terrain(at: Setting) -> Piece:
    """Make models of the surface and the ground."""
    out = at.work / "terrain"
    line = cbtool("preprocess", "terrain", at.las, "-j", str(WORKERS), "--resolution", "1", "-o", f"{out}/")
    tasks: dict[str, Task] = {"terrain": lambda: run(line, out, sidecar(at.las))}
    if at.pdal:
        place = in_folder(at, at.work / "gdal")
        surface = raster(at.las.name, f"{place}/dsm.tif", "ReturnNumber[1:1],Classification![7:7]", "max", at.box)
        ground = raster(at.las.name, f"{place}/dtm.tif", "Classification[2:2]", "mean", at.box)
        tasks["pdal"] = pipelines(at, "gdal", surface, ground)

    def finish(found: Found) -> Iterator[Row]:
        work, peer = "terrain at 1 m: six rasters, theirs DSM and DTM", "PDAL writers.gdal, both at once"
        yield faster(work, peer, found, "terrain", "pdal", 5, RECORDED["gdal"])
        for what, measure in (("cpu_s", "of its CPU time"), ("peak_bytes", "of its memory")):
            yield Row("the same", peer, measure, "", "", _ratio(found, "terrain", "pdal", what), None)

    return Piece(tasks, finish)


PIECES: dict[str, Callable[[Setting], Piece]] = {
    "las": density,
    "overlap": overlap,
    "laz": compressed,
    "plan": planned,
    "copc": copc,
    "copc-large": copc_large,
    "http": remote,
    "terrain": terrain,
}
"""To add work: a function that gives its tasks and judges what was found, and a line here."""
