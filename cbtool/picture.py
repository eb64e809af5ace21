"""Plans as facts, rows, and a strip map."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from statistics import median
from typing import Any

from cbtool.plan import Plan

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = ".:-=+*#@"


def facts(plan: Plan) -> dict[str, Any]:
    """Return what a plan comes to: balance in its weight, and what its chunks cost to read."""
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
        "max_over_mean": round(max(weights) * len(weights) / max(1, sum(weights)), 4),
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
