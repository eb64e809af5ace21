from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from cbtool import runner
from cbtool.contracts import Limits
from cbtool.errors import FormatError, TaskFailed, TimeLimit, TryAgain, Unavailable, WorkerDied
from cbtool.runner import Event, Outcome, run_tasks


class Fake:
    """A backend that ends tasks as they say, at once, or never."""

    limits = Limits(concurrency=4)

    def __init__(self) -> None:
        self.submitted = 0
        self.most = 0
        self.open: set[Future[dict[str, Any]]] = set()
        self.cancelled = 0

    def submit(self, task: Mapping[str, Any]) -> Future[dict[str, Any]]:
        self.submitted += 1
        future: Future[dict[str, Any]] = Future()
        future.set_running_or_notify_cancel()
        self.open.add(future)
        self.most = max(self.most, len(self.open))
        answer = task["answers"].pop(0) if task["answers"] else {}
        if answer != "never":
            self.open.discard(future)
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result({"result": answer, "spent": {"wall_s": 1.5}})
        return future

    def cancel(self, future: Future[dict[str, Any]]) -> None:
        self.cancelled += 1
        self.open.discard(future)
        if not future.done():
            future.set_exception(WorkerDied("it was killed"))

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_S", 0.001)


def run(*answers: Any, **options: Any) -> tuple[Outcome, list[str]]:
    events: list[Event] = []
    (outcome,) = run_tasks([{"answers": list(answers)}], Fake(), on_event=events.append, **options)
    return outcome, [event.kind for event in events]


@pytest.mark.parametrize("kind", [Unavailable, TryAgain, WorkerDied])
def test_what_may_pass_is_tried_again(kind: type[Exception]) -> None:
    outcome, events = run(kind("x"), kind("x"), {"n": 1})
    assert (outcome.result, outcome.attempts) == ({"n": 1}, 3)
    assert events == ["start", "retry", "start", "retry", "start", "done"]


def test_it_gives_up_after_two_retries() -> None:
    outcome, events = run(*[Unavailable("x")] * 5)
    assert isinstance(outcome.error, Unavailable)
    assert outcome.attempts == 3 and events[-1] == "failed"


@pytest.mark.parametrize("options, attempts", [({}, 1), ({"retries": 1}, 2), ({"retries": 0}, 1)])
def test_a_failing_command_is_tried_again_only_on_request(options: dict[str, Any], attempts: int) -> None:
    outcome, _ = run(*[TaskFailed("exit status 1")] * 5, **options)
    assert outcome.attempts == attempts


def test_bad_input_is_never_tried_again() -> None:
    outcome, _ = run(FormatError("bad"), {"n": 1}, retries=5)
    assert isinstance(outcome.error, FormatError) and outcome.attempts == 1


def test_a_failing_task_fails_alone() -> None:
    tasks = [{"answers": [FormatError("bad") if n == 5 else {"n": n}]} for n in range(20)]
    outcomes = sorted(run_tasks(tasks, Fake()), key=lambda one: one.number)
    assert [one.number for one in outcomes] == list(range(20))
    assert [one.number for one in outcomes if one.error] == [5]


def test_a_task_over_its_time_is_cancelled_and_tried_again() -> None:
    outcome, events = run("never", "never", {"n": 1}, timeout_s=0.05)
    assert outcome.result == {"n": 1} and outcome.attempts == 3
    outcome, _ = run("never", timeout_s=0.05, retries=0)
    assert isinstance(outcome.error, TimeLimit) and "0.05 s" in str(outcome.error)


def test_no_tasks_at_all() -> None:
    assert list(run_tasks([], Fake())) == []


def test_few_tasks_are_taken_ahead() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"answers": [{}]}

    backend = Fake()
    outcomes = run_tasks(endless(), backend)
    for _ in range(100):
        next(outcomes)
    outcomes.close()
    assert taken <= 100 + 2 * Fake.limits.concurrency
    assert backend.most <= Fake.limits.concurrency


def test_what_runs_is_cancelled_when_the_caller_leaves() -> None:
    backend = Fake()
    outcomes = run_tasks([{"answers": [{}]}, *[{"answers": ["never"]}] * 3], backend)
    next(outcomes)
    outcomes.close()
    assert backend.cancelled == 3 and not backend.open


def test_backoff_grows_to_a_cap_with_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_S", 0.5)
    assert 0.25 <= runner.backoff_s(1) <= 0.5
    assert 1.0 <= runner.backoff_s(3) <= 2.0
    assert max(runner.backoff_s(n) for n in range(1, 5000)) <= runner.BACKOFF_CAP_S
    assert len({runner.backoff_s(3) for _ in range(10)}) > 1


def test_a_retry_does_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_S", 1.0)
    began = time.monotonic()
    tasks: list[dict[str, Any]] = [{"answers": [TryAgain("x"), {}]}, *({"answers": [{}]} for _ in range(50))]
    outcomes = run_tasks(tasks, Fake())
    assert [next(outcomes).number for _ in range(50)] and time.monotonic() - began < 0.5
    assert next(outcomes).number == 0


def test_an_outcome_says_what_its_last_attempt_took() -> None:
    outcome, _ = run(Unavailable("x"), {"n": 1})
    assert outcome.spent == {"wall_s": 1.5}
    outcome, _ = run(FormatError("x"))
    assert outcome.spent == {}


def test_a_run_that_is_to_stop_lets_what_runs_end_and_begins_nothing() -> None:
    backend, began = Fake(), []
    tasks = iter([{"answers": [{"n": n}]} for n in range(20)])
    outcomes = run_tasks(
        tasks, backend, on_event=lambda event: began.append(event.kind), is_stopping=lambda: len(began) > 6
    )
    ended = []
    with pytest.raises(KeyboardInterrupt):
        for outcome in outcomes:
            ended.append(outcome.number)
    assert ended == list(range(began.count("start"))) and 4 <= len(ended) < 20
    assert backend.cancelled == 0


def test_a_run_that_is_to_stop_does_not_wait_for_another_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_S", 60.0)
    stop: list[bool] = []
    tasks: list[dict[str, Any]] = [{"answers": [TryAgain("x"), {}]}]
    with pytest.raises(KeyboardInterrupt):
        list(run_tasks(tasks, Fake(), on_event=lambda event: stop.append(True), is_stopping=lambda: len(stop) > 1))


def test_a_retry_that_is_due_while_all_places_are_taken_is_waited_for_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow(Fake):
        limits = Limits(concurrency=2)

    looked = 0
    patience = runner._Runner._patience

    def counted(self: Any) -> float | None:
        nonlocal looked
        looked += 1
        return patience(self)

    monkeypatch.setattr(runner._Runner, "_patience", counted)
    backend = Narrow()
    tasks: list[dict[str, Any]] = [
        {"answers": [TryAgain("x"), {}]},
        {"answers": ["never"] * 2},
        {"answers": ["never"] * 2},
    ]
    done = {one.number: one for one in run_tasks(tasks, backend, timeout_s=0.4, retries=1)}
    assert done[0].attempts == 2 and looked < 50
    assert isinstance(done[1].error, TimeLimit)


def test_a_run_told_to_stop_when_all_is_done_is_whole() -> None:
    done: list[Outcome] = []
    for outcome in run_tasks([{"answers": [{}]}] * 3, Fake(), is_stopping=lambda: len(done) == 2):
        done.append(outcome)
    assert len(done) == 3
