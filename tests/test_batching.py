from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbtool.backends.worker import perform
from cbtool.batching import Batched
from cbtool.contracts import Frame, Limits
from cbtool.errors import FormatError, WorkerDied
from cbtool.runner import Event, _Runner, _Try, run_tasks

HERE = "tests.backends.worker_targets:"


class Calls:
    """An engine that does a call in a thread of its own, and remembers how many tasks each held."""

    def __init__(self, overhead_s: float = 0.0, payload_bytes: int | None = None, lanes: int = 2) -> None:
        self.limits = Limits(concurrency=lanes, overhead_s=overhead_s, payload_bytes=payload_bytes)
        self.sizes: list[int] = []
        self.open = self.most = 0
        self.cancelled: list[Future[Frame]] = []
        self._lock = threading.Lock()

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        future: Future[Frame] = Future()
        with self._lock:
            self.sizes.append(len(task.get("tasks", [task])))
            self.open += 1
            self.most = max(self.most, self.open)
        threading.Thread(target=self._do, args=(task, future), daemon=True).start()
        return future

    def _do(self, task: Mapping[str, Any], future: Future[Frame]) -> None:
        if any(one["call"].endswith("die") for one in task.get("tasks", [task])):
            end: Any = WorkerDied("it was killed")
        else:
            end = perform(task)
        with self._lock:
            self.open -= 1
        if isinstance(end, Exception):
            future.set_exception(end)
        else:
            future.set_result(end)

    def cancel(self, future: Future[Frame]) -> None:
        self.cancelled.append(future)

    def close(self) -> None:
        pass


def echoes(n: int) -> list[dict[str, Any]]:
    return [{"call": HERE + "echo", "n": k} for k in range(n)]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), per_call=st.integers(1, 20), lanes=st.integers(1, 4))
def test_each_task_ends_with_its_own_result(n: int, per_call: int, lanes: int) -> None:
    calls = Calls(lanes=lanes)
    found = sorted(run_tasks(echoes(n), Batched(calls, per_call, n)), key=lambda one: one.number)
    assert [one.result for one in found] == [{"n": k} for k in range(n)]
    assert all(one.spent["wall_s"] >= 0 for one in found)
    assert sum(calls.sizes) == n and max(calls.sizes) <= per_call
    assert calls.most <= lanes


@settings(max_examples=10, deadline=None)
@given(n=st.integers(20, 120), per_call=st.integers(2, 5))
def test_rests_are_sent_though_calls_end_while_more_is_awaited(n: int, per_call: int) -> None:
    """Tasks that trickle in, so that each moment of waiting meets the end of a call somewhere."""
    calls = Calls(lanes=1)
    batched = Batched(calls, per_call, n)
    futures = []
    for k, task in enumerate(echoes(n)):
        futures.append(batched.submit(task))
        if k % 7 == 0:
            futures[-1].result(timeout=20)
    assert [one.result(timeout=20)["result"] for one in futures] == [{"n": k} for k in range(n)]
    assert calls.most == 1


def test_a_number_given_is_used_until_the_last_ones_are_shared_out() -> None:
    calls = Calls()
    assert len(list(run_tasks(echoes(100), Batched(calls, 10, 100)))) == 100
    assert calls.sizes[:6] == [10] * 6 and len(calls.sizes) <= 20


def test_auto_begins_with_single_tasks_and_then_makes_calls_that_are_worth_it() -> None:
    calls = Calls(overhead_s=0.5)
    batched = Batched(calls, None, 400)
    assert batched.size() == 1
    assert len(list(run_tasks(echoes(400), batched))) == 400
    assert calls.sizes[0] == 1
    assert max(calls.sizes) > 50 and len(calls.sizes) < 100


def test_auto_is_one_where_tasks_take_long_against_a_call() -> None:
    batched = Batched(Calls(overhead_s=0.01), None, 1000)
    batched._seconds, batched._measured = 40.0, 4
    assert batched.size() == 1
    batched._seconds = 0.04
    assert batched.size() == math.ceil(10 * 0.01 / 0.01)


def test_a_task_that_fails_fails_alone_and_keeps_its_class() -> None:
    tasks = [*echoes(5), {"call": HERE + "bad_format"}, *echoes(4)]
    found = sorted(run_tasks(tasks, Batched(Calls(), 5, 10)), key=lambda one: one.number)
    assert [one.number for one in found if one.error] == [5]
    assert isinstance(found[5].error, FormatError)


def test_a_task_that_kills_its_worker_is_tried_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbtool.runner.BACKOFF_S", 0.001)
    calls = Calls()
    tasks = [*echoes(7), {"call": HERE + "die"}, *echoes(4)]
    found = sorted(run_tasks(tasks, Batched(calls, 4, 12), retries=1), key=lambda one: one.number)
    assert [one.number for one in found if one.error] == [7]
    assert isinstance(found[7].error, WorkerDied) and found[7].attempts == 2
    assert sum(calls.sizes) > 12


def test_a_call_is_no_larger_than_half_of_what_the_engine_takes() -> None:
    calls = Calls(payload_bytes=10_000, lanes=1)
    tasks = [{"call": HERE + "echo", "n": k, "text": "x" * 1500} for k in range(12)]
    assert len(list(run_tasks(tasks, Batched(calls, 12, 12)))) == 12
    assert max(calls.sizes) == 3


def test_a_call_that_comes_to_nothing_is_no_attempt_of_its_tasks() -> None:
    calls = Calls()
    tasks = [*echoes(7), {"call": HERE + "die"}, *echoes(4)]
    found = sorted(run_tasks(tasks, Batched(calls, 4, 12), retries=0), key=lambda one: one.number)
    assert [one.number for one in found if one.error] == [7]
    assert {one.attempts for one in found} == {1}


def test_a_run_that_is_to_stop_gives_back_what_is_in_no_call() -> None:
    calls = Calls(overhead_s=1.0)
    events: list[Event] = []
    stopping: list[bool] = []
    batched = Batched(calls, None, 200, lambda: bool(stopping))
    outcomes = run_tasks(echoes(200), batched, on_event=events.append, is_stopping=lambda: bool(stopping))
    done = [next(outcomes)]
    stopping.append(True)
    before = sum(calls.sizes)
    with pytest.raises(KeyboardInterrupt):
        for outcome in outcomes:
            done.append(outcome)
    assert sum(calls.sizes) == before == len(done) < 200
    kinds = [event.kind for event in events]
    assert kinds.count("start") == len(done) + kinds.count("withdrawn")


def test_to_cancel_all_begins_nothing_more_and_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine whose calls end as soon as they are cancelled, so that places come free."""
    calls = Calls()
    monkeypatch.setattr(calls, "_do", lambda task, future: None)
    monkeypatch.setattr(calls, "cancel", lambda future: future.set_exception(WorkerDied("it was ended")))
    batched = Batched(calls, 5, 20)
    futures = [batched.submit(task) for task in echoes(20)]
    assert calls.sizes == [5, 5] and [one.running() for one in futures].count(True) == 10
    runner = _Runner(batched, 0, None, lambda event: None, lambda: False)
    runner.running = {future: _Try(n, {}) for n, future in enumerate(futures)}
    runner.cancel_all()
    assert calls.sizes == [5, 5]
    assert wait(futures, timeout=0).not_done == set()


def test_a_call_fits_into_half_of_the_engines_time_once_that_is_known() -> None:
    calls = Calls(overhead_s=60.0)
    calls.limits = Limits(concurrency=2, time_s=100.0, overhead_s=60.0)
    batched = Batched(calls, 50, 1000)
    assert batched.size() == 1
    batched._seconds, batched._measured = 20.0, 2
    assert batched.size() == 5


def test_a_waiting_task_is_cancelled_and_a_call_when_all_in_it_are() -> None:
    calls = Calls(lanes=1)
    batched = Batched(calls, 2, 6)
    gate = threading.Event()
    calls._do = lambda task, future: gate.wait(10)  # type: ignore[assignment]
    futures = [batched.submit(task) for task in echoes(4)]
    batched.cancel(futures[3])
    batched.cancel(futures[0])
    assert futures[3].cancelled() and calls.cancelled == []
    batched.cancel(futures[1])
    assert len(calls.cancelled) == 1
    gate.set()
    batched.close()
