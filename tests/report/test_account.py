from __future__ import annotations

import pytest

from cbtool.report.account import comparisons, totals
from cbtool.report.run_facts import facts, rows, shown
from tests.runs import Cents, died, driver, planned, record, told

CHUNKS = [planned(k, 3) for k in range(3)]
RECORDS = [
    record(0, 0.0, 4.0, "host/1", spent={"start_s": 1.0, "cpu_s": 3.0}),
    died(1, 0.0, 2.0),
    record(1, 3.0, 2.0, "host/2", attempt=2),
    record(2, 5.0, 4.0, "host/1", ended="failed", error="exit status 1: no", exit_status=1, stderr="oh\nno\n"),
]


def test_totals_are_those_that_a_hand_adds_up() -> None:
    sums = totals(told(RECORDS, CHUNKS))
    assert (sums["attempts"], sums["workers"]) == (4, 2)
    # From one second before the first task, when its worker started, to the end of the last task at nine.
    assert sums["elapsed_s"] == 10.0
    assert (sums["wall_s"], sums["start_s"], sums["untold_s"], sums["wait_s"]) == (12.0, 1.0, 2.0, 1.5)
    assert (sums["read_s"], sums["work_s"], sums["write_s"]) == (2.5, 5.0, 2.5)
    assert (sums["read_bytes"], sums["requests"], sums["written_bytes"], sums["writes"]) == (3_000_000, 6, 1_500_000, 3)
    assert sums["cpu_s"] == 3.0 + 1.0 + 2.0
    assert (sums["peak_bytes"], sums["peak_gb_s"]) == (2**30, 10.0)
    assert sums["limit_gb_s"] is None and sums["cost_usd"] is None


def test_cost_is_by_the_memory_limit_where_there_is_one() -> None:
    lambda_ = driver(limits={"memory_bytes": 2**31, "price": "lambda"})
    sums = totals(told(RECORDS, CHUNKS, drivers=[lambda_], prices=Cents()))
    assert sums["limit_gb_s"] == 24.0
    # A cent for each of 24 GB-s, 4 calls, 6 requests to read and 3 to write.
    assert sums["cost_usd"] == pytest.approx(0.37)


def test_what_is_local_costs_nothing_and_what_nobody_knows_is_not_guessed() -> None:
    assert totals(told(RECORDS, CHUNKS, drivers=[driver(limits={"price": None})], prices=Cents()))["cost_usd"] == 0
    assert totals(told(RECORDS, CHUNKS, drivers=[], prices=Cents()))["cost_usd"] is None
    assert totals(told(RECORDS, CHUNKS, drivers=[driver(limits={"price": "x"})]))["cost_usd"] is None


def test_each_attempt_is_billed_by_the_driver_that_made_it() -> None:
    drivers = [driver(-1, 2.5, limits={"price": "lambda", "memory_bytes": 2**30}), driver(2.6, 20, limits={})]
    of = told(RECORDS, CHUNKS, drivers=drivers, prices=Cents())
    # Of the first driver are chunk 0 and the attempt that died: 4 + 2 GB-s, 2 calls, 2 gets, 1 put.
    assert totals(of)["cost_usd"] == pytest.approx(0.11)


def test_facts_hold_failures_stragglers_and_a_fit() -> None:
    chunks = [planned(k, 8, weight=(k + 1) * 100) for k in range(8)]
    records = [record(k, 0.0, 0.5 + (k + 1) * 0.1) for k in range(8)]
    found = facts(told(records, chunks))
    assert (found["done"], found["failed"], found["retries"]) == (8, 0, 0)
    assert found["fit"]["base_s"] == pytest.approx(0.5) and found["fit"]["s_per_weight"] == pytest.approx(0.001)
    assert found["fit"]["r2"] == pytest.approx(1.0) and found["stragglers"] == []
    found = facts(told([*records[:7], record(7, 0.0, 30.0)], chunks))
    assert [one["chunk"] for one in found["stragglers"]] == [7]
    failed = facts(told(RECORDS, CHUNKS))["failures"]
    assert failed == [{"chunk": 2, "attempt": 1, "error": "exit status 1: no", "exit_status": 1, "stderr": "oh\nno\n"}]


def test_weights_that_are_alike_give_no_fit() -> None:
    chunks = [planned(k, 4, weight=1000 + k) for k in range(4)]
    assert told([record(k, 0.0, 1.0 + k) for k in range(4)], chunks).fit is None
    chunks = [planned(k, 4, weight=1000 * (k + 1)) for k in range(4)]
    assert told([record(k, 0.0, 1.0 + k) for k in range(4)], chunks).fit is not None


def test_a_failure_that_was_done_later_is_none() -> None:
    again = [*RECORDS, record(2, 50.0, 1.0, attempt=1)]
    assert facts(told(again, CHUNKS))["failures"] == []


def test_a_failed_chunk_whose_output_is_there_is_done() -> None:
    records = [{**RECORDS[3], "ended": "failed"}, record(2, 1.0, 1.0)]
    assert told(records, CHUNKS).failures == []


def test_predicted_is_held_against_what_the_same_driver_did() -> None:
    first = driver(-1, 2.5, ended="stopped", predicted={"chunks": 3, "makespan_s": 9})
    second = driver(2.6, 12.6, predicted={"chunks": 2, "makespan_s": 8, "cpu_s": 6, "mood": "good", "unheard_of": 1})
    found = {one.name: one for one in comparisons(told(RECORDS, CHUNKS, drivers=[first, second]))}
    assert sorted(found) == ["chunks", "cpu_s", "makespan_s"]
    assert (found["chunks"].actual, found["makespan_s"].actual, found["cpu_s"].actual) == (1, 10.0, 3.0)
    assert found["makespan_s"].off == pytest.approx(-0.2)


def test_a_driver_that_has_not_ended_is_not_compared() -> None:
    assert comparisons(told(RECORDS, CHUNKS, drivers=[driver(ended=None, predicted={"chunks": 3})])) == []


def test_rows_say_what_became_of_every_chunk() -> None:
    found = rows(told(RECORDS, [*CHUNKS, planned(3, 4)]))
    assert [(row["chunk"], row["state"], row["attempts"]) for row in found] == [
        (0, "done", 1),
        (1, "done", 2),
        (2, "failed", 1),
        (3, "to come", 0),
    ]
    assert found[0]["wall_s"] == 4.0 and found[3]["wall_s"] is None


def test_what_people_are_shown_of_a_run() -> None:
    said = shown(told(RECORDS, CHUNKS, drivers=[driver()], prices=Cents()))
    assert (said["elapsed"], said["cost"], said["peak GB-s"], said["backends"]) == ("10 s", "$0.00", "10", "local")
    assert said["chunk_2"] == "failed: exit status 1: no" and said["stragglers"] == "none"
