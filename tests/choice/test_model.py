"""The model against schedules that can be worked out by hand, and against an engine that only simulates."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.choice.choosing import Wish, candidates, choose, refusal, search
from cbtool.choice.fitting import Sample, can_tell, fit, fit_line
from cbtool.choice.model import Lanes, Line, Prediction, Rates, Slice, even, makespan_s, predict, seconds_of
from cbtool.errors import UsageError


@pytest.mark.parametrize(
    "tasks, lanes, start_s, expected",
    [
        ([4], 1, 0, 4),
        ([4, 4, 4], 2, 0, 8),
        ([5, 1, 1, 1, 1, 1], 2, 0, 5),  # one lane does the long one, the other all the short ones
        ([1, 1, 1, 1, 1, 5], 2, 0, 7),  # the long one comes last: 1,1 | 1,1 | 1 and 5 after 2
        ([2, 2, 2, 2], 2, 0.5, 4.5),  # each lane starts once
        ([2, 2], 4, 0.5, 2.5),  # lanes without a task are not started
        ([3, 1, 1], 2, 1, 4),  # 1+3 | 1+1, 1
    ],
)
def test_makespan_of_schedules_worked_out_by_hand(
    tasks: list[float], lanes: int, start_s: float, expected: float
) -> None:
    assert makespan_s(tasks, lanes, start_s, 0, None) == pytest.approx(expected)


@pytest.mark.parametrize(
    "tasks, cpus, cores, expected",
    [
        ([4, 4], 1, 2, 4),  # a core each
        ([4, 4], 1, 1, 8),  # one core for both
        ([4, 4], 2, 2, 8),  # each wants both cores
        ([4, 2], 1, 1, 6),  # both at half speed until 4 s, when the short one ends; then 2 s alone
        ([4, 4, 4, 4], 0.5, 1, 8),  # four lanes at half speed each
    ],
)
def test_tasks_that_want_more_cores_than_there_are_go_slower_alike(
    tasks: list[float], cpus: float, cores: int, expected: float
) -> None:
    assert makespan_s(tasks, len(tasks), 0, cpus, cores) == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60), st.integers(1, 9), st.floats(0, 3))
def test_a_makespan_lies_within_the_bounds_of_list_scheduling(tasks: list[float], lanes: int, start_s: float) -> None:
    free = [0.0] * lanes
    for number, task in enumerate(tasks):  # the plain way to do it
        heapq.heapreplace(free, free[0] + task + (start_s if number < lanes else 0))
    found = makespan_s(tasks, lanes, start_s, 0, None)
    assert found == pytest.approx(max(free))
    assert found * (1 + 1e-9) >= max(max(tasks), sum(tasks) / lanes)


def test_a_prediction_counts_time_memory_calls_and_requests() -> None:
    rates = Rates(Line(1.0, 0.1), overhead_s=0.5, start_s=2.0, peak=Line(100.0, 1.0), writes=2.0)
    lanes = Lanes(2, memory_bytes=2**30)
    found = predict([Slice(10, 5, 3), Slice(30, 5, 1), Slice(10, 5, 1)], rates, lanes, lambda one: one.gb_s * 0.5)
    # Tasks of 2, 4 and 2 s, and half a second between: 2+2.5, then 2.5 more on the first lane; 2+4.5 on the second.
    assert found.makespan_s == pytest.approx(7.0)
    assert found.longest_s == pytest.approx(6.0)
    assert found.gb_s == pytest.approx(2 + 4 + 2 + 2 * 2.0)
    assert (found.calls, found.gets, found.puts) == (3, 5, 6)
    assert found.peak_bytes == 130
    assert found.cost_usd == pytest.approx(6.0)


def test_without_a_reservation_memory_is_paid_as_it_is_used() -> None:
    found = predict([Slice(1, 1, 1)] * 4, Rates(Line(2.0), peak=Line(2.0**29)), Lanes(2))
    assert found.gb_s == pytest.approx(4 * 2 * 0.5)


@pytest.mark.parametrize(
    "lanes, expected",
    [
        (Lanes(2), (24, 12 * (0.1 + 0.5))),  # a call each
        (Lanes(2, call_s=0.5, tasks_per_call=4), (6, 12 * (0.1 + 0.5 / 4))),
        (Lanes(2, call_s=0.05), (5, 12 * (0.1 + 0.5 / 5))),  # ten times what a call takes is five tasks
        (Lanes(2, call_s=0.5), (2, 12 * (0.1 + 0.5 / 12))),  # no more than keep both lanes busy
    ],
)
def test_tasks_that_share_a_call_share_what_it_takes(lanes: Lanes, expected: tuple[int, float]) -> None:
    found = predict([Slice(1, 1, 1)] * 24, Rates(Line(0.1), overhead_s=0.5), lanes)
    assert found.calls == expected[0] and found.makespan_s == pytest.approx(expected[1])


def test_work_that_differs_along_the_sources_falls_to_the_chunks_that_lie_there() -> None:
    rates = Rates(Line(1.0, 1.0), pace=((0.5, 0.5), (1.0, 1.5)))
    assert seconds_of([Slice(2, 2, 1)] * 4, rates) == pytest.approx([2, 2, 4, 4])
    assert seconds_of([Slice(8, 8, 1)], rates) == pytest.approx([9])
    assert seconds_of([Slice(6, 6, 1), Slice(2, 2, 1)], rates) == pytest.approx([1 + 2 + 3, 1 + 3])


def test_scatter_is_the_same_at_every_call_and_adds_no_work() -> None:
    calm, rough = (seconds_of([Slice(10, 10, 1)] * 255, Rates(Line(0, 1), scatter=one)) for one in (0.0, 0.1))
    assert rough == seconds_of([Slice(10, 10, 1)] * 255, Rates(Line(0, 1), scatter=0.1))
    assert sum(rough) == pytest.approx(sum(calm), rel=1e-3) and max(rough) > 12 and min(rough) < 8


def test_a_line_is_not_bent_by_a_stray_point() -> None:
    points = [(n, 2 + 0.5 * n) for n in (1, 2, 4, 8, 16, 32, 64)]
    assert fit_line([*points, (8, 90.0)]).at(100) == pytest.approx(52, rel=0.05)
    assert fit_line([(10, 5.0), (10, 7.0)]) == Line(0.0, 0.6)
    assert fit_line([(1, 9.0), (10, 3.0)]).slope == 0.0
    assert fit_line([]) == Line()


def sample(weight: int, place: float, work: float = 1.0, first: bool = False) -> Sample:
    wall_s = 0.3 + work * 0.01 * weight
    cold_s = 1.5 if first else 0.0
    return Sample(
        weight,
        place,
        wall_s + 0.2 + cold_s,
        wall_s,
        first,
        0.8 * wall_s,
        1e6 + 2 * weight,
        weight,
        0.1,
        7 * weight,
        0.7,
    )


def test_rates_are_found_again_in_what_was_measured() -> None:
    samples = [sample(10, 0.1, first=True), sample(10, 0.9, first=True)]
    samples += [sample(weight, place) for weight in (10, 40, 100) for place in (0.2, 0.8)]
    rates = fit(samples)
    assert rates.task.fixed == pytest.approx(0.3) and rates.task.slope == pytest.approx(0.01)
    assert rates.overhead_s == pytest.approx(0.2) and rates.start_s == pytest.approx(1.5)
    assert rates.cpus == pytest.approx(0.8)
    assert rates.peak.fixed == pytest.approx(1e6) and rates.peak.slope == pytest.approx(2)
    assert rates.written.slope == pytest.approx(7)
    assert rates.read_bytes_per_s == pytest.approx(1000) and rates.write_bytes_per_s == pytest.approx(1000)
    assert rates.pace == ((1.0, 1.0),), "two places do not say how work differs along the sources"


def test_uneven_work_is_found_where_it_was_measured() -> None:
    samples = [sample(10, 0.5)] + [sample(100, (i + 0.5) / 8, work=4.0 if i < 2 else 1.0) for i in range(8)]
    rates = fit(samples)
    whole = [Slice(100, 100, 1)] * 8
    expected = [0.3 + (4.0 if i < 2 else 1.0) for i in range(8)]
    found = seconds_of(whole, Rates(rates.task, pace=rates.pace))
    assert found == pytest.approx(expected, rel=0.06) and sum(found) == pytest.approx(sum(expected))


def test_what_differs_between_short_tasks_is_taken_for_disturbance() -> None:
    short = [replace(sample(100, (i + 0.5) / 8), wall_s=0.3 + (0.02 if i == 3 else 0.005)) for i in range(8)]
    smallest = [replace(sample(1, 0.4), wall_s=0.3)]
    times = [times for _, times in fit([*smallest, *short]).pace]
    assert 1 < max(times) < 1.6, "as measured it was near three times the mean"


def test_samples_of_one_size_cannot_tell_the_fixed_part() -> None:
    assert not can_tell([sample(100, 0.1), sample(120, 0.5), sample(10, 0.2, first=True)])
    assert can_tell([sample(100, 0.1), sample(10, 0.5)])
    with pytest.raises(UsageError, match="nothing was measured"):
        fit([])


def made(n: int, seconds: float, usd: float | None, peak: float = 0) -> Prediction:
    return Prediction(n, seconds, seconds / 2, 1.0, n, n, n, peak, usd)


LOOKED_AT = [made(1, 100, 1.0, 9e9), made(2, 60, 1.5, 5e9), made(4, 40, 2.5, 3e9), made(8, 30, 6.0, 2e9)]


@pytest.mark.parametrize(
    "wish, expected",
    [
        (Wish(budget_usd=10), 8),
        (Wish(budget_usd=6.0), 8),
        (Wish(budget_usd=5.99), 4),
        (Wish(budget_usd=1.2), 1),
        (Wish(deadline_s=1000), 1),
        (Wish(deadline_s=99), 2),
        (Wish(deadline_s=30), 8),
        (Wish(budget_usd=3, deadline_s=50), 4),
        (Wish(budget_usd=10, spent_usd=4.5), 4),
        (Wish(deadline_s=100, spent_s=60), 4),
    ],
)
def test_the_fastest_within_the_budget_or_the_cheapest_within_the_deadline(wish: Wish, expected: int) -> None:
    assert choose(LOOKED_AT, Lanes(2), wish).n_chunks == expected


def test_of_those_that_are_about_as_good_the_fewest_chunks() -> None:
    looked_at = [made(2, 50, 0), made(4, 30.0, 0), made(8, 29.9, 0), made(16, 29.8, 0)]
    assert choose(looked_at, Lanes(2), Wish(deadline_s=100)).n_chunks == 4


@pytest.mark.parametrize(
    "wish, said",
    [
        (Wish(budget_usd=0.5), r"within \$0.5: the cheapest is 1 chunks, 100 s, \$1$"),
        (Wish(deadline_s=20), r"within 20 s: the fastest is 8 chunks, 30 s, \$6$"),
        (Wish(budget_usd=2, deadline_s=35), r"within \$2 and 35 s: the cheapest is 1 .*; the fastest is 8 "),
        (Wish(deadline_s=40, spent_s=15), r"measuring has taken 15 s"),
    ],
)
def test_what_cannot_be_met_is_refused_with_the_nearest(wish: Wish, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        choose(LOOKED_AT, Lanes(2), wish)
    assert caught.value.exit_code == 2


def test_an_engine_whose_price_is_not_known_meets_no_budget() -> None:
    with pytest.raises(UsageError, match="price of this engine"):
        choose([made(2, 1, None)], Lanes(2), Wish(budget_usd=5))
    assert choose([made(2, 1, None)], Lanes(2), Wish(deadline_s=5)).n_chunks == 2


def test_chunks_too_large_for_the_engine_are_refused() -> None:
    assert choose(LOOKED_AT, Lanes(2, memory_bytes=4 * 10**9), Wish(deadline_s=1000)).n_chunks == 4
    assert choose(LOOKED_AT, Lanes(2, time_s=30), Wish(deadline_s=1000)).n_chunks == 2
    assert refusal(LOOKED_AT[0], Lanes(2, time_s=49), Wish()) == "time limit"
    with pytest.raises(UsageError, match="with 8 chunks a task takes 2 GB and 15 s"):
        choose(LOOKED_AT, Lanes(2, memory_bytes=10**9), Wish(deadline_s=1000))


def test_numbers_worth_looking_at() -> None:
    assert candidates(2, 5) == [1, 2, 3, 4, 5]
    assert candidates(2, 1) == [1]
    assert candidates(2)[-3:] == [512, 1024, 2048] and candidates(1000)[-1] == 8000


class Simulated:
    """An engine in virtual time: tasks take what they take, and its true best is found by trying every number."""

    def __init__(self, lanes: int, start_s: float, fixed_s: float, costs: Sequence[float]) -> None:
        self.lanes, self.start_s, self.fixed_s, self.costs = lanes, start_s, fixed_s, costs

    def work_s(self, start: int, end: int) -> float:
        return self.fixed_s + sum(self.costs[start:end])

    def run_s(self, n: int) -> float:
        n = min(n, len(self.costs))
        edges = [len(self.costs) * k // n for k in range(n + 1)]
        free = [self.start_s] * self.lanes
        for start, end in zip(edges, edges[1:], strict=False):
            heapq.heapreplace(free, free[0] + self.work_s(start, end))
        return max(one for one in free if one > self.start_s)

    def probe(self) -> list[Sample]:
        total = len(self.costs)
        samples = []
        for number, (share, place) in enumerate([(256, 0.1), (256, 0.9), (256, 0.3), (256, 0.7), *LARGE]):
            size = total // share
            start = round(place * total - size / 2)
            wall_s, first = self.work_s(start, start + size), number < 2
            samples.append(Sample(size, place, wall_s + first * self.start_s, wall_s, first))
        return samples


LARGE = [(64, (i + 0.5) / 8) for i in range(8)]


@pytest.mark.parametrize("lanes", [1, 2, 5, 16])
@pytest.mark.parametrize("fixed_s", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("heavy", [None, 0, 7])
def test_the_number_chosen_is_about_the_best_of_a_simulated_engine(
    lanes: int, fixed_s: float, heavy: int | None
) -> None:
    costs = [0.02 if heavy is not None and at // 512 == heavy else 0.005 for at in range(4096)]
    engine = Simulated(lanes, 1.0, fixed_s, costs)
    total = Slice(len(costs), len(costs), 1)
    rates = fit(engine.probe())
    wish = Wish(deadline_s=1e9)
    best, looked_at = search(total, lambda n: even(total, n), rates, Lanes(lanes), wish, lambda one: 0.0)
    truth = min(engine.run_s(n) for n in [*range(1, 200), *range(200, 2000, 100)])
    assert engine.run_s(best.n_chunks) <= 1.15 * truth
    for one in looked_at:
        assert one.makespan_s == pytest.approx(engine.run_s(one.n_chunks), rel=0.25)


def test_what_is_chosen_was_predicted_from_a_real_plan() -> None:
    # Cut in eight it looks even, but one record is most of the source: a real plan shows it, and eight are no gain.
    total = Slice(800, 800, 1)
    asked: list[int] = []

    def cut(n: int) -> list[Slice]:
        asked.append(n)
        return [Slice(600, 600, 1), *even(Slice(200, 200, 1), n - 1)] if n > 1 else [total]

    rates = Rates(Line(1.0, 0.01))
    best, looked_at = search(total, cut, rates, Lanes(8), Wish(deadline_s=100), lambda one: 0.0)
    assert best.n_chunks in asked and best.makespan_s == pytest.approx(7.0)
    assert best.n_chunks == 2, "more chunks do not make the large one shorter"
