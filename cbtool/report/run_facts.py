"""What there is to say of a run: facts for programs, words for people, a row for every chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cbtool.report.account import Account, comparisons, totals
from cbtool.report.svg import printable
from cbtool.report.timeline import Attempt
from cbtool.units import show_cost, show_seconds


def facts(of: Account) -> dict[str, Any]:
    """Return all that a program may want to know of a run."""
    retried = sum(one.ended == "retry" for one in of.attempts)
    began = of.axis.stretches[0][0] if of.attempts else None
    return {
        "destination": of.where,
        "task": of.run.get("task"),
        "plan": of.run.get("plan"),
        "chunks": len(of.chunks),
        "done": len(of.finished),
        "failed": len(of.failures),
        "retries": retried,
        "backends": list(dict.fromkeys(driver.backend for driver in of.drivers)),
        "began": began,
        "ended": max((one.end for one in of.attempts), default=None),
        **totals(of),
        "prices_dated": of.prices.dated if of.prices else None,
        "by": of.by,
        "fit": {"base_s": of.fit.base, "s_per_weight": of.fit.slope, "r2": of.fit.r2} if of.fit else None,
        "stragglers": [
            {"chunk": one.attempt.chunk, "wall_s": one.attempt.wall_s, "expected_s": one.expected_s}
            for one in of.stragglers
        ],
        "failures": [
            {"chunk": one.chunk, "attempt": one.attempt, **{k: one.record[k] for k in TOLD if k in one.record}}
            for one in of.failures
        ],
        "predicted": {one.name: {"predicted": one.predicted, "actual": one.actual} for one in comparisons(of)},
    }


def shown(of: Account) -> dict[str, Any]:
    """Return what people want to see of a run, in words."""
    known = {k: v for k, v in facts(of).items() if v is not None and not isinstance(v, (list, dict))}
    dropped = ("began", "ended", "by", "untold_s") if not known["untold_s"] else ("began", "ended", "by")
    for name, value in known.items():
        if name.endswith("_usd"):
            known[name] = show_cost(value)
        elif name.endswith("gb_s"):
            known[name] = f"{value:,.4g}"
        elif name.endswith("_s"):
            known[name] = show_seconds(value)
    known["backends"] = ", ".join(facts(of)["backends"])
    known["stragglers"] = _listed([one.attempt.chunk for one in of.stragglers])
    for one in of.failures:
        known[f"chunk_{one.chunk}"] = f"{one.ended}: {one.record.get('error')}"
    if of.fit:
        known["fit"] = f"{of.fit.base:.3g} s + {of.fit.slope:.3g} s for each of {of.by}, R² {of.fit.r2:.2f}"
    for both in comparisons(of):
        known[f"predicted_{both.name}"] = f"{both.predicted:.6g}, actual {both.actual:.6g}"
    return {
        name.replace("_gb_s", " GB-s").removesuffix("_s").removesuffix("_usd"): (
            printable(value) if isinstance(value, str) else value
        )
        for name, value in known.items()
        if name not in dropped
    }


def _listed(numbers: Sequence[int]) -> str:
    some = ", ".join(str(number) for number in numbers[:10])
    return f"{some} and {len(numbers) - 10} more" if len(numbers) > 10 else some or "none"


TOLD = ("error", "exit_status", "status", "stderr", "traceback")
"""What the record of a failure may say of it."""


def rows(of: Account) -> list[dict[str, Any]]:
    """Return a row for every chunk: its last attempt, or nothing but its weight if there was none."""
    tried: dict[int, list[Attempt]] = {number: [] for number in of.chunks}
    for one in of.attempts:
        tried.setdefault(one.chunk, []).append(one)
    slow = {one.attempt.chunk for one in of.stragglers}
    return [_row(of, number, tried[number], number in slow) for number in sorted(tried)]


def _row(of: Account, number: int, tried: Sequence[Attempt], slow: bool) -> dict[str, Any]:
    last = of.done.get(number) or (max(tried, key=lambda one: one.end) if tried else None)
    chunk = of.chunks.get(number)
    state = "done" if number in of.finished else "failed" if last and last.ended == "failed" else "to come"
    row: dict[str, Any] = {
        "chunk": number,
        "name": chunk.name if chunk else None,
        "state": state,
        "attempts": len(tried),
        "weight": chunk.weight if chunk else None,
        "wall_s": last.wall_s if last else None,
        **{f"{part}_s": round(last.parts[part], 6) if last else None for part in ("read", "work", "write")},
        "cpu_s": last.spent("cpu_s") if last else None,
        **{name: int(last.spent(name)) if last else None for name in ("peak_bytes", "read_bytes", "requests")},
        "worker": last.worker if last else None,
        "straggler": slow,
    }
    return row
