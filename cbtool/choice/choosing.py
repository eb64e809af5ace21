"""Finds the number of chunks that meets a budget or a deadline best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cbtool.choice.model import Cost, Lanes, Prediction, Rates, Slice, even, predict
from cbtool.errors import UsageError
from cbtool.units import show_size

MOST_CHUNKS = 10_000
SMALL = 64
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)
LEAST_GAIN = 0.01
"""More chunks, or more money, must save this part of the time to be worth it."""


def candidates(lanes: int, most: int = MOST_CHUNKS) -> list[int]:
    """Return the numbers worth looking at: all small ones, and multiples of the number of lanes.

    >>> candidates(100, 1000)[-7:]
    [64, 100, 200, 300, 400, 600, 800]
    """
    numbers = {*range(1, SMALL + 1), *(lanes * step for step in STEPS)}
    return sorted(n for n in numbers if n <= min(max(1, most), MOST_CHUNKS))


@dataclass(frozen=True)
class Wish:
    """What the number of chunks is to meet: US dollars to spend at most, seconds to take at most."""

    budget_usd: float | None = None
    deadline_s: float | None = None
    spent_usd: float = 0.0
    spent_s: float = 0.0
    """What measuring has taken of either already."""


def search(
    total: Slice, cut: Callable[[int], Sequence[Slice]], rates: Rates, lanes: Lanes, wish: Wish, cost: Cost
) -> tuple[Prediction, list[Prediction]]:
    """Return the prediction that suits *wish* best, and all that were looked at.

    Even chunks of *total* say which numbers are worth a real plan, which *cut* makes; it may have fewer chunks than
    asked, and uneven ones. What is returned is predicted from a real plan.
    """
    looked_at = {n: predict(even(total, n), rates, lanes, cost) for n in candidates(lanes.count, total.weight)}
    real: set[int] = set()
    while True:
        best = choose(list(looked_at.values()), lanes, wish)
        if best.n_chunks in real:
            return best, [looked_at[n] for n in sorted(looked_at)]
        del looked_at[best.n_chunks]
        found = predict(cut(best.n_chunks), rates, lanes, cost)
        looked_at[found.n_chunks] = found
        real |= {best.n_chunks, found.n_chunks}


def refusal(one: Prediction, lanes: Lanes, wish: Wish) -> str | None:
    """Return why *one* will not do, or None."""
    if lanes.memory_bytes is not None and one.peak_bytes > lanes.memory_bytes:
        return "memory"
    if lanes.time_s is not None and one.longest_s > lanes.time_s:
        return "time limit"
    if wish.budget_usd is not None and (one.cost_usd is None or one.cost_usd + wish.spent_usd > wish.budget_usd):
        return "budget"
    if wish.deadline_s is not None and one.makespan_s + wish.spent_s > wish.deadline_s:
        return "deadline"
    return None


def choose(looked_at: Sequence[Prediction], lanes: Lanes, wish: Wish) -> Prediction:
    """Return the fastest prediction within the budget, or without one the cheapest within the deadline.

    Of those that are about as good, the one of the fewest chunks. UsageError says the nearest if none will do.
    """
    good = [one for one in looked_at if refusal(one, lanes, wish) is None]
    if not good:
        raise _nearest(looked_at, lanes, wish)
    if wish.budget_usd is None:
        least = min(one.cost_usd or 0.0 for one in good)
        good = [one for one in good if (one.cost_usd or 0.0) <= least * (1 + LEAST_GAIN)]
    shortest = min(one.makespan_s for one in good)
    good = [one for one in good if one.makespan_s <= shortest * (1 + LEAST_GAIN)]
    return min(good, key=lambda one: one.n_chunks)


def _nearest(looked_at: Sequence[Prediction], lanes: Lanes, wish: Wish) -> UsageError:
    """Return the error that says what comes nearest where nothing will do."""
    fits = [one for one in looked_at if refusal(one, lanes, Wish()) is None]
    if not fits:
        least = min(looked_at, key=lambda one: (one.peak_bytes, one.longest_s))
        takes = f"with {least.n_chunks} chunks a task takes {show_size(least.peak_bytes)} and {least.longest_s:.3g} s"
        return UsageError(f"no number of chunks fits what the engine allows a task: {takes}", hint="another --backend")
    if wish.budget_usd is not None and any(one.cost_usd is None for one in fits):
        return UsageError("--budget: the price of this engine is not in the table of prices", hint="--prices FILE")
    asked, near = [], []
    if wish.budget_usd is not None:
        asked.append(f"${wish.budget_usd:.6g}")
        near.append(f"the cheapest is {say(min(fits, key=lambda one: (one.cost_usd or 0.0, one.makespan_s)))}")
    if wish.deadline_s is not None:
        asked.append(f"{wish.deadline_s:.6g} s")
        near.append(f"the fastest is {say(min(fits, key=lambda one: (one.makespan_s, one.cost_usd or 0.0)))}")
    if wish.spent_s or wish.spent_usd:
        near.append(f"measuring has taken {wish.spent_s:.3g} s and ${wish.spent_usd:.6g}")
    return UsageError(f"no number of chunks does it within {' and '.join(asked)}: {'; '.join(near)}")


def say(one: Prediction) -> str:
    """Return a prediction in a few words."""
    cost = "" if one.cost_usd is None else f", ${one.cost_usd:.6g}"
    return f"{one.n_chunks} chunks, {one.makespan_s:.3g} s{cost}"
