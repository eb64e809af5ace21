"""How `benchmarks.clouds` runs things: cbtool's command lines, PDAL's pipelines, and looks at what was written."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.clouds_peers import Stage
from benchmarks.measure import Cost, Failed, Rounds, command
from benchmarks.s3 import Server
from benchmarks.table import Row

CBTOOL = shlex.quote(str(Path(sys.executable).with_name("cbtool")))
CHUNKS = 46
WORKERS = 2

Task = Callable[[], Cost]


@dataclass(frozen=True)
class Setting:
    """What the measurements have at hand. *las* and *laz* are one cloud; it has *n_points* in *box* (metres)."""

    folder: Path
    """Where the clouds lie; PDAL and the web server see nothing else."""
    las: Path
    laz: Path
    large: Path | None
    n_points: int
    n_large: int
    box: list[int]
    truth: Mapping[str, Any]
    """The cloud's own summary, as that of chunks has to be."""
    pdal: Path | None
    server: Server

    @property
    def work(self) -> Path:
        return self.folder / "out"


@dataclass
class Found:
    """What was measured: costs by label, and why there are none."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, label: str, what: str) -> float | None:
        """Return a median: not a number where the work failed, None where it was not tried."""
        if label in self.failed:
            return math.nan
        return Rounds(self.costs[label]).median(what) if label in self.costs else None

    def counts(self, label: str) -> dict[str, Any] | None:
        return self.costs[label][-1].counts if label in self.costs and label not in self.failed else None

    def said(self, label: str, recorded: str = "missing") -> str:
        if label in self.failed:
            return "failed, see below"
        if label not in self.costs:
            return recorded
        rounds = Rounds(self.costs[label])
        memory = f", {rounds.median('peak_bytes') / 1e6:.0f} MB" if rounds.median("peak_bytes") else ""
        wall = f"{rounds.median('wall_s'):.3g} s ({rounds.least('wall_s'):.3g})"
        return f"{wall}, {rounds.median('cpu_s'):.3g} CPU-s{memory}"


@dataclass(frozen=True)
class Piece:
    """Tasks by label, ours first and right behind it the peer's; *finish* looks at the last results and makes rows."""

    tasks: Mapping[str, Task]
    finish: Callable[[Found], Iterable[Row]]
    rounds: int | None = None
    """How many, where not as many as asked for."""


def cbtool(*words: str | Path) -> str:
    return " ".join([CBTOOL, *(shlex.quote(str(word)) for word in words)])


def run(line: str, *without: Path, before: Sequence[str] = ()) -> Cost:
    """Run *line* with nothing of *without* there, and with nothing left to be written by who ran before."""
    for path in without:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    for one in before:
        command(one)
    os.sync()
    return command(line, tree=True)


def sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.cbi")


def written(at: Setting, source: Path, name: str, *options: str) -> Task:
    """Return what writes chunks from nothing: no index is there."""
    out = at.work / name
    line = cbtool("write", source, "-n", str(CHUNKS), "-j", str(WORKERS), "-o", f"{out}/", *options)
    return lambda: run(line, out, sidecar(source))


def pipelines(at: Setting, name: str, *stages: list[Stage]) -> Task:
    """Return what runs PDAL's pipelines, all at once."""
    out = at.work / name

    def task() -> Cost:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        words = []
        for number, pipeline in enumerate(stages):
            path = out / f"{number}.json"
            path.write_text(json.dumps(pipeline))
            words.append(f"{shlex.quote(str(at.pdal))} pipeline {path.relative_to(at.folder)}")
        waits = " && ".join(f"wait ${{pids[{number}]}}" for number in range(len(words)))
        starts = " ".join(f"{one} & pids+=($!);" for one in words)
        return run(f"cd {shlex.quote(str(at.folder))}; {starts} {waits}")

    return task


def in_folder(at: Setting, path: Path) -> str:
    return str(path.relative_to(at.folder))


def own_module(name: str, *words: str | Path) -> str:
    return shlex.join([sys.executable, "-m", f"benchmarks.{name}", *map(str, words)])


def look(what: str, paths: Iterable[Path]) -> dict[str, Any]:
    """Return what `benchmarks.clouds_checks` finds."""
    found = list(paths)
    if not found:
        raise Failed("nothing was written")
    return command(own_module("clouds_checks", what, *sorted(found))).counts


def over_http(at: Setting, task: Task) -> Cost:
    """Run *task*; what it prints becomes what the server was asked for."""
    at.server.asked()
    cost = task()
    asked = at.server.asked()
    counts = {"requests": len(asked), "bytes": sum(one["bytes"] for one in asked), "asked": asked}
    return replace(cost, said=json.dumps(counts))
