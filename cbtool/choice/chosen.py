"""Makes the plan whose number of chunks meets a budget or a deadline best: measures, predicts, chooses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cbtool.choice.choosing import Wish, search
from cbtool.choice.fitting import Sample, can_tell, fit
from cbtool.choice.model import Cost, Lanes, Prediction, Rates, Slice
from cbtool.choice.prices import Prices
from cbtool.choice.probing import Cut, measured_by, probe, slices
from cbtool.contracts import Limits
from cbtool.destination import open_destination
from cbtool.job import Engine, Work
from cbtool.plan import Plan


@dataclass(frozen=True)
class Asked:
    """What is to be met, and by what it is judged."""

    wish: Wish
    prices: Prices
    like: str | None = None
    """The destination of an earlier run, whose ledger says what tasks take."""
    cores: int | None = None
    """Processors of this machine, where the engine's lanes share them."""


@dataclass(frozen=True)
class Chosen:
    """A plan with the chosen number of chunks, what it is expected to take, and why."""

    plan: Plan
    best: Prediction
    looked_at: Sequence[Prediction]
    rates: Rates
    samples: Sequence[Sample]
    lanes: Lanes
    wish: Wish
    price: str | None
    prices: Prices
    like: str | None
    by: str

    def fields(self) -> dict[str, Any]:
        """Return what is kept with the run, as JSON: what can be held against it by the names of `account.totals`."""
        best = self.best
        return {
            "chunks": best.n_chunks,
            "makespan_s": best.makespan_s,
            "longest_s": best.longest_s,
            "limit_gb_s" if self.lanes.memory_bytes else "peak_gb_s": best.gb_s,
            "calls": best.calls,
            "requests": best.gets,
            "writes": best.puts,
            "peak_bytes": best.peak_bytes,
            "cost_usd": best.cost_usd,
            "budget_usd": self.wish.budget_usd,
            "deadline_s": self.wish.deadline_s,
            "measured": self.like or f"{len(self.samples)} tasks",
            "price": self.price,
            "prices_of": self.prices.dated,
        }


def choose_plan(cut: Cut, work: Work, engine: Engine, place: str, asked: Asked) -> Chosen:
    """Measure what tasks take, and make the plan whose number of chunks meets *asked* best.

    Tasks are tried on the engine, below *place*, unless an earlier run says all. UsageError says the nearest if nothing
    meets it.
    """
    limits = engine.backend.limits
    lanes = Lanes(
        limits.concurrency,
        None if limits.remote else asked.cores,
        limits.memory_bytes,
        _least(limits, engine),
        limits.overhead_s,
        1 if engine.timeout_s is not None else engine.tasks_per_call,
    )
    plans: dict[int, Plan] = {}

    def kept(n: int) -> Plan:
        if n not in plans:
            plans[n] = cut(n)
        return plans[n]

    began = time.monotonic()
    whole = slices(kept(lanes.count))
    total = Slice(
        sum(one.weight for one in whole), sum(one.n_bytes for one in whole), max(one.requests for one in whole)
    )
    samples, tried, rates = _measured(kept, work, engine, place, asked.like, total.weight)
    cost = _cost(limits.price, asked.prices, lanes)
    paid = cost_of(tried, lanes, limits.price, asked.prices) or 0.0
    wish = replace(asked.wish, spent_usd=paid, spent_s=time.monotonic() - began)
    best, looked_at = search(total, lambda n: slices(kept(n)), rates, lanes, wish, cost)
    plan = next(plan for plan in plans.values() if len(plan) == best.n_chunks)
    by = plan[0].by
    return Chosen(plan, best, looked_at, rates, samples, lanes, wish, limits.price, asked.prices, asked.like, by)


def _measured(
    cut: Cut, work: Work, engine: Engine, place: str, like: str | None, weight: int
) -> tuple[list[Sample], list[Sample], Rates]:
    """Return all samples, those of them that were tried now, and what they say."""
    if like is None:
        tried = probe(cut, work, engine, place)
        return tried, tried, fit(tried)
    past, their_weight = measured_by(open_destination(like))
    tried = [] if can_tell(past) else probe(cut, work, engine, place)
    rates = fit([*past, *tried])
    if engine.backend.limits.overhead_s:
        # Its calls held several tasks, and each was told the time of all.
        rates = replace(rates, overhead_s=engine.backend.limits.overhead_s)
    if their_weight != weight:
        # Other sources, or other weights: where the work lay there says nothing of here.
        rates = replace(rates, pace=((1.0, 1.0),))
    return [*past, *tried], tried, rates


def _least(limits: Limits, engine: Engine) -> float | None:
    """Return the shorter of the engine's time limit and that which the user gave."""
    given = [one for one in (limits.time_s, engine.timeout_s) if one is not None]
    return min(given) if given else None


def _cost(price: str | None, prices: Prices, lanes: Lanes) -> Cost:
    return lambda one: prices.cost(price, gb_s=one.gb_s, calls=one.calls, gets=one.gets, puts=one.puts)


def cost_of(samples: Sequence[Sample], lanes: Lanes, price: str | None, prices: Prices) -> float | None:
    """Return what tasks that are done have cost, about."""
    gb_s = sum(one.wall_s * (lanes.memory_bytes or one.peak_bytes) for one in samples) / 2**30
    puts = sum(one.writes for one in samples)
    return prices.cost(price, gb_s=gb_s, calls=len(samples), gets=sum(one.requests for one in samples), puts=puts)
