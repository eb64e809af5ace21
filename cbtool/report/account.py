"""The account of a run: what it did, took, moved and cost, where it failed, and what had been predicted of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from cbtool.chunk import Chunk
from cbtool.report.drivers import Beat
from cbtool.report.measures import Fit, fit, measure
from cbtool.report.timeline import (
    PARTS,
    Attempt,
    Axis,
    Lane,
    Straggler,
    attempts,
    axis,
    lanes,
    last_done,
    stragglers,
)

GB = 2**30
"""What engines that bill by memory and time call a GB."""


class Priced(Protocol):
    """A table of prices, of one date."""

    @property
    def dated(self) -> str: ...

    def cost(self, price: str | None, *, gb_s: float, calls: int, gets: int, puts: int) -> float | None:
        """Return USD for what an engine of that *price* did (None costs nothing); None if the table lacks it."""


@dataclass(frozen=True)
class Account:
    """A run, as its ledger and its drivers tell of it."""

    where: str
    run: Mapping[str, Any]
    """What the destination belongs to: plan, task, parameters."""
    chunks: Mapping[int, Chunk]
    finished: frozenset[int]
    """The chunks whose outputs are there, whatever the records say."""
    attempts: Sequence[Attempt]
    unplaced: int
    """Records that name no time, and so are in no picture."""
    drivers: Sequence[Beat]
    prices: Priced | None = None

    @cached_property
    def lanes(self) -> list[Lane]:
        return lanes(self.attempts)

    @cached_property
    def axis(self) -> Axis:
        return axis(self.attempts)

    @cached_property
    def weights(self) -> dict[int, float]:
        return {number: float(chunk.weight) for number, chunk in self.chunks.items()}

    @cached_property
    def by(self) -> str:
        """What the weights are: bytes, records, …"""
        return next((chunk.by for chunk in self.chunks.values()), "bytes")

    @cached_property
    def done(self) -> dict[int, Attempt]:
        """The attempt by which each chunk was done."""
        return last_done(self.attempts)

    @cached_property
    def stragglers(self) -> list[Straggler]:
        return stragglers(self.done.values(), self.weights)

    @cached_property
    def fit(self) -> Fit | None:
        """The seconds of a chunk against its weight."""
        return fit([(self.weights[k], one.wall_s) for k, one in self.done.items() if self.weights.get(k)])

    @cached_property
    def failures(self) -> list[Attempt]:
        """The last attempt at each chunk that failed and has not been done since."""
        last = {one.chunk: one for one in sorted(self.attempts, key=lambda one: one.end)}
        return [last[k] for k in sorted(last) if last[k].ended == "failed" and k not in self.finished]

    def driver_of(self, one: Attempt) -> Beat | None:
        """Return the driver that made an attempt: the last that had begun when it was submitted."""
        submitted = measure(one.record.get("submitted"))
        moment = one.began if submitted is None else submitted
        return next((driver for driver in reversed(self.drivers) if driver.began <= moment), None)


def account(
    where: str,
    run: Mapping[str, Any],
    chunks: Iterable[Chunk],
    finished: Iterable[int],
    records: Iterable[Mapping[str, Any]],
    drivers: Sequence[Beat] = (),
    prices: Priced | None = None,
) -> Account:
    """Return the account of the run that *records* tell of."""
    kept = list(records)
    tried = attempts(kept)
    return Account(
        where,
        run,
        {chunk.chunk: chunk for chunk in chunks},
        frozenset(finished),
        tried,
        len(kept) - len(tried),
        sorted(drivers, key=lambda driver: driver.began),
        prices,
    )


SUMS = ("cpu_s", "read_bytes", "requests", "written_bytes", "writes")


def totals(of: Account) -> dict[str, Any]:
    """Return what all attempts together took, those that failed too.

    *peak_gb_s* is each attempt's highest memory times its wall time; *limit_gb_s* the engine's memory limit times
    the same, where it has one: what such engines bill. A GB is 2^30 bytes.
    """
    tried = of.attempts
    sums = {name: sum(one.spent(name) for one in tried) for name in SUMS}
    limits = [_limit_gb_s(of, one) for one in tried]
    workers = {one.worker for one in tried if one.worker}
    seconds = {
        "elapsed_s": of.axis.seconds,
        "wall_s": sum(one.wall_s for one in tried),
        **{f"{part}_s": sum(one.parts[part] for one in tried) for part in PARTS},
        "wait_s": sum(one.seconds - one.wall_s for one in tried),
        "cpu_s": sums["cpu_s"],
    }
    return {
        "attempts": len(tried) + of.unplaced,
        "workers": len(workers),
        **{name: round(value, 6) for name, value in seconds.items()},
        **{name: int(sums[name]) for name in SUMS[1:]},
        "peak_bytes": int(max((one.spent("peak_bytes") for one in tried), default=0)),
        "peak_gb_s": sum(one.spent("peak_bytes") / GB * one.wall_s for one in tried),
        "limit_gb_s": sum(one for one in limits if one is not None) if any(limits) else None,
        "cost_usd": cost(of),
    }


def _limit_gb_s(of: Account, one: Attempt) -> float | None:
    driver = of.driver_of(one)
    limit = measure(driver.limits.get("memory_bytes")) if driver else None
    return limit / GB * one.wall_s if limit else None


def cost(of: Account) -> float | None:
    """Return what the run cost in USD; None where an engine of it, or its price, is not known."""
    if of.prices is None:
        return None
    bills: dict[str | None, list[Attempt]] = {}
    for one in of.attempts:
        if (driver := of.driver_of(one)) is None:
            return None
        price = driver.limits.get("price")
        bills.setdefault(str(price) if price else None, []).append(one)
    costs = [_bill(of, of.prices, price, tried) for price, tried in bills.items()]
    known = [one for one in costs if one is not None]
    return sum(known) if known and len(known) == len(costs) else None


def _bill(of: Account, prices: Priced, price: str | None, tried: Sequence[Attempt]) -> float | None:
    """Return USD of attempts on an engine of one price: each is a call, and memory is billed by the limit, if any."""
    gb_s = sum(_limit_gb_s(of, one) or one.spent("peak_bytes") / GB * one.wall_s for one in tried)
    gets, puts = (int(sum(one.spent(name) for one in tried)) for name in ("requests", "writes"))
    return prices.cost(price, gb_s=gb_s, calls=len(tried), gets=gets, puts=puts)


@dataclass(frozen=True)
class Comparison:
    """One number that was predicted, and what became of it."""

    name: str
    predicted: float
    actual: float

    @property
    def off(self) -> float | None:
        """How far the prediction was off, as a share of what came; None where nothing came."""
        return (self.predicted - self.actual) / self.actual if self.actual else None


def comparisons(of: Account) -> list[Comparison]:
    """Return predicted against actual for the last driver that predicted anything, where both are known.

    What is compared is what that driver did: chunks that an earlier one had done are not among them.
    """
    driver = next((driver for driver in reversed(of.drivers) if driver.predicted), None)
    if driver is None or driver.ended is None:
        return []
    its = [one for one in of.attempts if of.driver_of(one) is driver]
    own = Account(of.where, of.run, of.chunks, of.finished, its, 0, [driver], of.prices)
    actual = {**totals(own), "chunks": len(own.done), "makespan_s": driver.at - driver.began}
    both = ((name, measure(said), measure(actual.get(name))) for name, said in driver.predicted.items())
    return [Comparison(name, said, came) for name, said, came in both if said is not None and came is not None]
