"""Plans as facts, rows, and a strip map; runs as a timeline: all in plain text."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from cbtool.plan import Plan
from cbtool.report.account import Account
from cbtool.report.svg import printable
from cbtool.report.timeline import PARTS, Lane
from cbtool.units import show_seconds

if TYPE_CHECKING:
    from cbtool.density import Raster
    from cbtool.report.plane import Plane

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = ".:-=+*#@"


def facts(plan: Plan, workers: int = 1, plane: Plane | None = None, raster: Raster | None = None) -> dict[str, Any]:
    """Return what a plan comes to: balance in its weight, how long *workers* take, and what its chunks cost to read.

    Of a plan over a plane also what a fixed grid would come to, best from the *raster* of its sources.
    """
    from cbtool.report.balance import against_grid, predicted, spread

    weights = [chunk.weight for chunk in plan]
    sources = {source.uri for chunk in plan for source in chunk.sources}
    known = [chunk.records for chunk in plan if chunk.records is not None]
    return {
        "plan": plan.id,
        "format": plan[0].format,
        "sources": len(sources),
        "chunks": len(plan),
        "of": plan[0].of,
        "exact": all(chunk.exact for chunk in plan),
        "records": sum(known) if len(known) == len(plan) else None,
        "by": plan[0].by,
        "weight": sum(weights),
        "weight_min": min(weights),
        "weight_median": median(weights),
        "weight_max": max(weights),
        **spread(weights),
        **predicted(weights, workers),
        **(against_grid(plane, raster, len(plan), workers) if plane is not None else {}),
        "requests": sum(chunk.requests for chunk in plan),
        "read_bytes": sum(chunk.n_bytes for chunk in plan),
    }


def rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for every chunk."""
    return [
        {
            "chunk": chunk.chunk,
            "name": chunk.name,
            "records": chunk.records,
            "weight": chunk.weight,
            "requests": chunk.requests,
            "read_bytes": chunk.n_bytes,
            "sources": len(chunk.sources),
        }
        for chunk in plan
    ]


def strip(weights: Sequence[int], encoding: str, width: int | None = None) -> str:
    """Draw the line that was cut: each chunk as wide as its weight, and as high as it is against the heaviest.

    >>> strip([1, 1, 2], "ascii", 16)
    '|+++|+++|@@@@@@@|'
    """
    width = width or min(100, shutil.get_terminal_size().columns)
    levels = BLOCKS if encoding.lower().startswith("utf") else ASCII
    heaviest, total = max(weights), max(1, sum(weights))
    drawn, before = "", 0
    for weight in weights:
        before += weight
        mark = levels[min(len(levels) - 1, weight * len(levels) // max(1, heaviest))]
        column = round(before * width / total)
        if column > len(drawn):
            drawn += "|" + mark * (column - len(drawn) - 1)
    return drawn + "|"


UNICODE_PARTS = {"start": "░", "read": "▒", "work": "█", "write": "▓", "untold": "·"}
ASCII_PARTS = {"start": ".", "read": "r", "work": "#", "write": "w", "untold": "?"}
ROWS_SHOWN = 40
LABEL_WIDTH = 16


def timeline(of: Account, encoding: str, width: int | None = None) -> list[str]:
    """Draw a row for each worker: what most of the time in each column went to; X failed, ! tried again."""
    if not of.attempts:
        return []
    columns = max(20, (width or min(120, shutil.get_terminal_size().columns)) - LABEL_WIDTH - 3)
    marks = UNICODE_PARTS if encoding.lower().startswith("utf") else ASCII_PARTS
    used = [part for part in PARTS if any(one.parts[part] for one in of.attempts)]
    ends = {one.ended for one in of.attempts}
    keys = [f"{marks[part]} {part}" for part in used] + ["! tried again"] * ("retry" in ends)
    shown = [_row(of, lane, columns, marks) for lane in of.lanes[:ROWS_SHOWN]]
    rest = len(of.lanes) - len(shown)
    axis = f"{'':{LABEL_WIDTH}} 0{show_seconds(of.axis.seconds):>{columns - 1}}"
    lines = [" ".join(["", *(f" {key}" for key in keys + ["X failed"] * ("failed" in ends))]).strip(), *shown]
    if rest > 0:
        lines.append(f"{'':{LABEL_WIDTH}} and {rest} more rows")
    return [*lines, axis]


def _row(of: Account, lane: Lane, columns: int, marks: Mapping[str, str]) -> str:
    length = of.axis.seconds or 1.0
    most: list[dict[str, float]] = [{} for _ in range(columns)]
    over: dict[int, str] = {}
    for one in lane.attempts:
        begin = of.axis.place(one.appeared) / length * columns
        for part in PARTS:
            end = begin + one.parts[part] / length * columns
            for column in range(int(begin), min(columns, int(end) + 1)):
                inside = min(end, column + 1) - max(begin, column)
                if inside > 0:
                    most[column][part] = most[column].get(part, 0.0) + inside
            begin = end
        if one.ended in ("retry", "failed"):
            over[min(columns - 1, int(begin))] = "X" if one.ended == "failed" else "!"
    drawn = "".join(over.get(i) or (marks[max(c, key=lambda part: c[part])] if c else " ") for i, c in enumerate(most))
    workers = lane.workers
    label = printable(workers[0] if len(workers) == 1 else f"{len(workers)} workers" if workers else "not known")
    return f"{label[-LABEL_WIDTH:]:>{LABEL_WIDTH}} {drawn}".rstrip()
