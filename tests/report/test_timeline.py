from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.report.timeline import Axis, attempts, axis, lanes, stragglers
from tests.runs import T0, died, record


def test_an_attempt_is_stacked_of_what_its_worker_spent() -> None:
    (one,) = attempts([record(3, 10.0, 4.0, spent={"start_s": 0.5})])
    assert (one.began, one.end, one.appeared) == (T0 + 10, T0 + 14, T0 + 9.5)
    assert one.parts == {"start": 0.5, "read": 1.0, "work": 2.0, "write": 1.0, "untold": 0.0}


def test_an_attempt_whose_worker_died_tells_nothing_but_its_time() -> None:
    (one,) = attempts([died(3, 10.0, 2.0)])
    assert (one.began, one.end, one.worker) == (T0 + 10, T0 + 12, None)
    assert one.parts == {"start": 0.0, "read": 0.0, "work": 0.0, "write": 0.0, "untold": 2.0}


def test_reads_that_overlap_each_other_do_not_make_a_bar_longer() -> None:
    (one,) = attempts([record(0, 0.0, 2.0, spent={"read_s": 5.0, "write_s": 1.0})])
    assert one.parts["read"] == 2.0 and one.parts["write"] == 0.0 and one.end == T0 + 2


@pytest.mark.parametrize("skew, began", [(3600.0, 10.25), (-3600.0, 9.75)])
def test_a_worker_whose_clock_is_wrong_is_drawn_while_its_task_was_out(skew: float, began: float) -> None:
    (one,) = attempts([record(0, 10.0, 4.0, spent={"began": T0 + 10 + skew})])
    assert one.began == pytest.approx(T0 + began)


def test_records_without_a_time_are_in_no_picture() -> None:
    assert attempts([{"chunk": 1, "ended": "done"}, {"chunk": 2, "ended": "done", "at": "soon"}]) == []


def test_each_worker_has_a_lane_and_one_that_follows_another_takes_its_place() -> None:
    rows = lanes(
        attempts(
            [
                record(0, 0.0, 2.0, "a"),
                record(1, 0.0, 1.0, "b"),
                record(2, 1.5, 2.0, "b"),
                record(3, 2.0, 1.0, "a"),
                record(4, 4.0, 1.0, "c"),
                died(5, 4.5, 0.5),
            ]
        )
    )
    assert [[one.chunk for one in row.attempts] for row in rows] == [[0, 3, 4], [1, 2, 5]]
    assert [row.workers for row in rows] == [["a", "c"], ["b"]]


def test_a_worker_that_comes_back_later_keeps_its_lane() -> None:
    rows = lanes(attempts([record(0, 0.0, 1.0, "a"), record(1, 1.0, 1.0, "b"), record(2, 2.0, 1.0, "a")]))
    assert [row.workers for row in rows] == [["a"], ["b"]]


times = st.floats(0, 1000)


@given(st.lists(st.tuples(times, st.floats(0.001, 50), st.sampled_from("abc")), max_size=40))
def test_bars_in_a_lane_never_overlap_and_none_is_lost(given_: list[tuple[float, float, str]]) -> None:
    rows = lanes(attempts([record(k, *one) for k, one in enumerate(given_)]))
    assert sorted(one.chunk for row in rows for one in row.attempts) == list(range(len(given_)))
    for row in rows:
        for before, after in zip(row.attempts, row.attempts[1:], strict=False):
            assert before.end <= after.appeared + 0.0051


def test_the_night_between_two_runs_is_cut_out() -> None:
    shown = axis(attempts([record(0, 0.0, 10.0), record(1, 10.5, 9.5), record(2, 8000.0, 5.0)]))
    assert shown.stretches == [(T0, T0 + 20), (T0 + 8000, T0 + 8005)]
    assert shown.seconds == 25 and shown.pauses == [(20.0, 7980.0)]
    assert [shown.place(T0 + moment) for moment in (-5, 0, 12, 500, 8000, 8005, 9000)] == [0, 0, 12, 20, 20, 25, 25]


def test_no_attempts_take_no_time() -> None:
    assert axis([]) == Axis([]) and axis([]).seconds == 0 and lanes([]) == []


def slow(*seconds: float, weights: dict[int, float] | None = None) -> list[tuple[int, float]]:
    done = attempts([record(k, 0.0, wall) for k, wall in enumerate(seconds)])
    weights = weights or {k: 100.0 for k in range(len(seconds))}
    return [(one.attempt.chunk, one.expected_s) for one in stragglers(done, weights)]


def test_stragglers_take_more_than_twice_what_is_to_be_expected() -> None:
    assert slow(1.0, 1.0, 1.0, 2.0, 5.0, 3.0) == [(4, 1.5)]
    assert slow(1.0, 1.0, 1.0, 1.0, 2.1, 4.0) == [(5, 1.0), (4, 1.0)]
    assert slow(1.0, 1.0, 9.0) == []


def test_a_heavy_chunk_may_take_its_time_and_a_light_one_its_share_of_what_all_cost() -> None:
    weights = {0: 100.0, 1: 100.0, 2: 100.0, 3: 1000.0, 4: 1.0}
    assert slow(1.0, 1.0, 1.0, 10.0, 1.0, weights=weights) == []
    assert slow(1.0, 1.0, 1.0, 21.0, 2.1, weights=weights) == [(3, 10.0), (4, 1.0)]


ODD: list[Any] = [None, True, "soon", -1, 0, 0.5, 2, 1e9, 10**30, 1e308, float("nan"), float("inf"), [], {}, {"a": 1}]
odd = st.sampled_from(ODD)
SPENT = ["worker", "began", "wall_s", "read_s", "write_s", "start_s", "read_bytes", "peak_bytes", "cpu_s"]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"chunk": st.integers(0, 5), "at": st.just(1e9) | odd, "ended": st.just("done") | odd},
            optional={name: odd for name in ("attempt", "submitted", "seconds", "error", "stderr")}
            | {"spent": odd | st.dictionaries(st.sampled_from(SPENT), odd)},
        ),
        max_size=6,
    )
)
def test_no_record_is_too_strange_to_be_drawn(records: list[dict[str, Any]]) -> None:
    from cbtool.report.report_html import run_page
    from tests.runs import planned, told

    run_page(told(records, [planned(k, 6) for k in range(6)]))
