"""Says how a number of chunks was chosen, and holds what was predicted against what came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cbtool.choice.choosing import Wish, refusal
from cbtool.choice.chosen import Chosen
from cbtool.choice.model import Prediction, Rates
from cbtool.events import JobEvent
from cbtool.units import show_size

SHOWN = 12
"""Of the numbers that were looked at, so many are shown."""
COLUMNS = {
    "chunks": 8,
    "seconds": 10,
    "longest": 10,
    "memory": 10,
    "GB-s": 10,
    "calls": 8,
    "GET": 8,
    "PUT": 8,
    "USD": 12,
}


def explain(chosen: Chosen) -> Iterator[str]:
    """Yield lines that say how the number was found, with every number of the model."""
    rates, lanes, best = chosen.rates, chosen.lanes, chosen.best
    sizes = sorted({one.weight for one in chosen.samples})
    unit = "" if chosen.by == "bytes" else f" {chosen.by}"
    yield f"{best.n_chunks} chunks: {_goal(chosen.wish)}"
    source = chosen.like or "a probe"
    yield f"  measured          {len(chosen.samples)} tasks of {source}, weights {sizes[0]:,} to {sizes[-1]:,}{unit}"
    yield f"  probe took        {chosen.wish.spent_s:.3g} s, ${chosen.wish.spent_usd:.6g}"
    yield f"  read rate         {_rate(rates.read_bytes_per_s)} a lane"
    grows = f"{rates.written.slope:.3g} bytes for a unit of weight"
    yield f"  write rate        {_rate(rates.write_bytes_per_s)} a lane, {grows}"
    per_s = 1 / rates.task.slope if rates.task.slope else float("inf")
    yield f"  work rate         {per_s:.4g}{unit or ' bytes'} of weight a second and lane"
    yield f"  fixed per task    {rates.task.fixed:.4g} s"
    yield f"  overhead per task {rates.overhead_s:.4g} s"
    yield f"  start of a lane   {rates.start_s:.4g} s"
    yield f"  lanes             {lanes.count}, a task keeps {rates.cpus:.2f} processors busy" + (
        f", of {lanes.cores} that all share" if lanes.cores else ""
    )
    yield f"  pace              {_pace(rates)}; tasks of a size differ by {rates.scatter:.0%}"
    yield f"  memory of a task  {show_size(rates.peak.fixed)} + {rates.peak.slope:.3g} bytes a unit of weight"
    yield f"  limits of a task  memory {_limit(lanes.memory_bytes, show_size)}, time {_limit(lanes.time_s, _seconds)}"
    yield f"  price             {chosen.price or 'none'}, prices of {chosen.prices.dated}"
    yield "  " + "".join(f"{name:>{width}}" for name, width in COLUMNS.items())
    for one in _shown(chosen):
        why = "chosen" if one.n_chunks == best.n_chunks else refusal(one, lanes, chosen.wish) or ""
        yield f"  {_row(one)}  {why}".rstrip()


def _row(one: Prediction) -> str:
    usd = "?" if one.cost_usd is None else f"{one.cost_usd:.6f}"
    times = (f"{one.makespan_s:.3g}", f"{one.longest_s:.3g}", show_size(one.peak_bytes), f"{one.gb_s:.4g}")
    cells = (one.n_chunks, *times, one.calls, one.gets, one.puts, usd)
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, COLUMNS.values(), strict=True))


def _shown(chosen: Chosen) -> list[Prediction]:
    """Return some of what was looked at, the best among it."""
    others = [one for one in chosen.looked_at if one.n_chunks != chosen.best.n_chunks]
    step = max(1, -(-len(others) // SHOWN))
    powers = [one for one in others if one.n_chunks & (one.n_chunks - 1) == 0] or others[::step]
    return sorted([*powers[:SHOWN], chosen.best], key=lambda one: one.n_chunks)


def _goal(wish: Wish) -> str:
    deadline = "" if wish.deadline_s is None else f"within {wish.deadline_s:g} s"
    if wish.budget_usd is None:
        return f"the cheapest {deadline}"
    return f"the fastest within ${wish.budget_usd:g}" + (f" and {deadline}" if deadline else "")


def _rate(per_s: float) -> str:
    return f"{show_size(per_s)}/s" if per_s else "not measured"


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"


def _limit(value: float | None, show: Callable[[float], str]) -> str:
    return "none" if value is None else show(value)


def _pace(rates: Rates) -> str:
    times = [times for _, times in rates.pace]
    return "even" if len(times) == 1 else f"{min(times):.2f} to {max(times):.2f} times the mean along the sources"


class Against:
    """A callback for `JobEvent`s that holds what was predicted against what came."""

    def __init__(self, predicted: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._predicted, self._clock = predicted, clock
        self._began: float | None = None
        self._ended = 0.0

    def __call__(self, event: JobEvent) -> None:
        if event.kind == "start" and self._began is None:
            self._began = self._clock()
        elif event.kind in ("done", "failed"):
            self._ended = self._clock()

    def line(self) -> str:
        """Return both in one line."""
        took = f"took {self._ended - self._began:.3g} s" if self._began is not None else "nothing was left to do"
        cost = self._predicted.get("cost_usd")
        money = f", ${cost:.6g}" if cost else ""
        return f"predicted {self._predicted['makespan_s']:.3g} s{money} for {self._predicted['chunks']} chunks; {took}"
