"""A number of chunks is measured, predicted, chosen and explained, on engines whose tasks take what they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from cbtool.choice.choosing import Wish
from cbtool.choice.chosen import Asked, Chosen, choose_plan
from cbtool.choice.explaining import Against, explain
from cbtool.choice.model import makespan_s
from cbtool.choice.prices import load
from cbtool.choice.probing import measured_by, places_of, probe
from cbtool.chunk import Chunk
from cbtool.contracts import Frame, Limits
from cbtool.destination import open_destination
from cbtool.errors import MissingInput, TaskFailed, UsageError
from cbtool.events import JobEvent
from cbtool.job import Engine, Work, run_job
from cbtool.plan import Plan
from tests.inprocess import plan_of

LINES = 40_000
LINE = b"one line of a text that is cut\n"
PRICES = 'dated = "2031-02-03"\n[here]\nusd_per_gb_s = 0.01\nusd_per_call = 0.001\nusd_per_get = 0.0001\n'


class Simulated:
    """An engine on which a task takes *fixed_s*, and what each of its lines takes, in no time at all."""

    def __init__(
        self, limits: Limits, fixed_s: float = 0.5, line_s: float = 0.002, heavy: range = range(0), start_s: float = 1.0
    ) -> None:
        self.limits, self.fixed_s, self.line_s, self.heavy, self.start_s = limits, fixed_s, line_s, heavy, start_s
        self.chunks: list[Chunk] = []
        self.failing = -1

    def wall_s(self, chunk: Chunk) -> float:
        start = sum(source.ranges[0][0] for source in chunk.sources)
        lines = range(start // len(LINE), (start + chunk.n_bytes) // len(LINE))
        slow = len(range(max(lines.start, self.heavy.start), min(lines.stop, self.heavy.stop)))
        return self.fixed_s + self.line_s * (len(lines) + 3 * slow)

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        chunk = Chunk.from_line(task["chunk"])
        self.chunks.append(chunk)
        spent = {"wall_s": self.wall_s(chunk), "cpu_s": 0.0, "peak_bytes": 10**7 + 5 * chunk.n_bytes, "requests": 2}
        spent |= {"read_bytes": chunk.n_bytes, "read_s": chunk.n_bytes / 1e6, "written_bytes": 7, "write_s": 0.007}
        if len(self.chunks) <= self.limits.concurrency:
            spent["start_s"] = self.start_s
        future: Future[Frame] = Future()
        if len(self.chunks) == self.failing:
            error = {"kind": "TaskFailed", "message": "exit status 9", "facts": {"status": 9}}
            future.set_result({"error": error, "spent": spent})
        else:
            future.set_result({"result": {}, "spent": spent})
        return future

    def cancel(self, future: Future[Frame]) -> None:
        raise AssertionError("nothing here takes time")

    def close(self) -> None:
        pass

    def makespan_s(self, plan: Plan) -> float:
        return makespan_s([self.wall_s(chunk) for chunk in plan], self.limits.concurrency, 0.0, 0.0, None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "some.txt"
    path.write_bytes(LINE * LINES)
    return path


@pytest.fixture
def prices(tmp_path: Path) -> str:
    path = tmp_path / "own.toml"
    path.write_text(PRICES)
    return str(path)


WORK = Work("command", {"command": ["true"], "ext": "", "ok": [0]}, {"urls": []})


def chosen(
    source: Path, engine: Simulated, wish: Wish, prices: str | None = None, like: str | None = None, **how: Any
) -> Chosen:
    place = source.parent / "place"
    asked = Asked(wish, load(prices), like, cores=None)
    return choose_plan(lambda n: plan_of([str(source)], chunks=n), WORK, Engine(engine, **how), str(place), asked)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("heavy", [range(0), range(30_000, 40_000), range(5_000)])
def test_the_choice_is_about_the_best_that_the_engine_can_do(source: Path, lanes: int, heavy: range) -> None:
    engine = Simulated(Limits(concurrency=lanes), heavy=heavy)
    found = chosen(source, engine, Wish(deadline_s=1e6))
    plans = {n: plan_of([str(source)], chunks=n) for n in (1, 2, 3, 4, 6, 7, 8, 10, 14, 16, 21, 28, 42, 64, 128)}
    best = min(engine.makespan_s(plan) for plan in plans.values())
    assert engine.makespan_s(found.plan) <= 1.15 * best
    by_number = {one.n_chunks: one.makespan_s for one in found.looked_at}
    for n in (1, 2, 4, 8, 16, 64):
        assert by_number[n] == pytest.approx(engine.makespan_s(plans[n]), rel=0.25)
    assert len(found.plan) == found.best.n_chunks


def test_the_fastest_within_a_budget_that_falls(source: Path, prices: str) -> None:
    limits = Limits(concurrency=4, memory_bytes=2**30, price="here")
    rich = chosen(source, Simulated(limits), Wish(budget_usd=10), prices)
    assert rich.best.cost_usd is not None and rich.wish.spent_usd > 0
    cheapest = min(one.cost_usd or 0.0 for one in rich.looked_at)
    between = (cheapest + rich.best.cost_usd) / 2 + rich.wish.spent_usd
    poor = chosen(source, Simulated(limits), Wish(budget_usd=between), prices)
    assert poor.best.cost_usd is not None and poor.best.cost_usd + poor.wish.spent_usd <= between
    assert poor.best.makespan_s > rich.best.makespan_s
    with pytest.raises(UsageError, match="the cheapest is 1 chunks"):
        chosen(source, Simulated(limits), Wish(budget_usd=cheapest), prices)


def test_the_cheapest_within_a_deadline_that_falls(source: Path, prices: str) -> None:
    limits = Limits(concurrency=4, memory_bytes=2**30, price="here")
    calm = chosen(source, Simulated(limits), Wish(deadline_s=1e6), prices).best
    hasty = chosen(source, Simulated(limits), Wish(deadline_s=calm.makespan_s * 0.6), prices).best
    assert hasty.makespan_s <= calm.makespan_s * 0.6
    assert (hasty.cost_usd or 0) > (calm.cost_usd or 0) and hasty.n_chunks > calm.n_chunks
    with pytest.raises(UsageError, match="the fastest is"):
        chosen(source, Simulated(limits), Wish(deadline_s=1), prices)


def test_chunks_are_as_small_as_the_engine_and_the_user_want_them(source: Path) -> None:
    roomy = chosen(source, Simulated(Limits(concurrency=1), fixed_s=5.0), Wish(deadline_s=1e6)).best
    assert roomy.n_chunks == 1
    # A chunk takes ten megabytes and five times its bytes.
    limits = Limits(concurrency=1, memory_bytes=12_000_000)
    small = chosen(source, Simulated(limits, fixed_s=5.0), Wish(deadline_s=1e6)).best
    assert small.peak_bytes <= 12_000_000 and small.n_chunks == pytest.approx(5 * LINES * len(LINE) / 2e6, abs=1)
    quick = chosen(source, Simulated(Limits(concurrency=1, time_s=30)), Wish(deadline_s=1e6)).best
    assert quick.longest_s <= 30 and quick.n_chunks > 2
    given = chosen(source, Simulated(Limits(concurrency=1)), Wish(deadline_s=1e6), timeout_s=20.0).best
    assert given.longest_s <= 20
    with pytest.raises(UsageError, match="fits what the engine allows a task"):
        chosen(source, Simulated(Limits(memory_bytes=9_000_000)), Wish(deadline_s=1e6))


def test_a_probe_is_of_few_small_chunks_and_of_two_lanes_where_each_is_a_machine(source: Path) -> None:
    here, away = (Simulated(Limits(concurrency=n), line_s=0.004) for n in (100, 2))
    samples = probe(lambda n: plan_of([str(source)], chunks=n), WORK, Engine(here), str(source.parent / "here"))
    assert len(samples) == len(here.chunks) == 24 and len({chunk.chunk for chunk in here.chunks[-8:]}) == 8
    samples = probe(lambda n: plan_of([str(source)], chunks=n), WORK, Engine(away), str(source.parent / "away"))
    assert [one.first for one in samples[:3]] == [True, True, False]
    assert sum(chunk.n_bytes for chunk in away.chunks) < 0.15 * source.stat().st_size
    assert len({one.weight for one in samples}) > 1, "one size does not tell what is fixed"


def test_a_command_that_fails_on_a_chunk_fails_the_choice(source: Path) -> None:
    engine = Simulated(Limits(concurrency=2))
    engine.failing = 3
    with pytest.raises(TaskFailed, match="exit status 9"):
        chosen(source, engine, Wish(deadline_s=1e6))


def run_before(source: Path, engine: Simulated, destination: Path, n: int) -> Plan:
    plan = plan_of([str(source)], chunks=n)
    run_job(plan, WORK, open_destination(str(destination)), Engine(engine))
    return plan


def test_an_earlier_run_says_what_tasks_take(source: Path, tmp_path: Path) -> None:
    limits = Limits(concurrency=2)
    run_before(source, Simulated(limits, heavy=range(20_000)), tmp_path / "before", 32)
    samples, weight = measured_by(open_destination(str(tmp_path / "before")))
    assert len(samples) == 32 and weight == source.stat().st_size
    engine = Simulated(limits, heavy=range(20_000))
    found = chosen(source, engine, Wish(deadline_s=1e6), like=str(tmp_path / "before"))
    assert engine.chunks, "its chunks are all alike, so that some of other sizes are tried"
    times = [times for _, times in found.rates.pace]
    assert times[0] == pytest.approx(4 * times[-1], rel=0.15), "where the work lies is known"


def test_a_run_of_chunks_that_differ_needs_no_probe(source: Path, tmp_path: Path) -> None:
    limits = Limits(concurrency=2)
    other = tmp_path / "other.txt"
    other.write_bytes((LINE * 50)[:-1] + LINE * 10_000 + b"z" * 300_000 + b"\n" + LINE * 3_000)
    run_before(other, Simulated(limits, heavy=range(500)), tmp_path / "before", 60)
    engine = Simulated(limits)
    found = chosen(source, engine, Wish(deadline_s=1e6), like=str(tmp_path / "before"))
    assert engine.chunks == [] and found.rates.pace == ((1.0, 1.0),), "other sources: where work lay there is not here"


def test_what_no_run_has_measured_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no run has begun there"):
        chosen(source, Simulated(Limits()), Wish(deadline_s=9), like=str(tmp_path / "nowhere"))


def test_the_explanation_has_every_number_of_the_model(source: Path, prices: str) -> None:
    limits = Limits(concurrency=3, memory_bytes=2 * 10**9, time_s=900, price="here")
    found = chosen(source, Simulated(limits, heavy=range(10_000)), Wish(10.0, 5000.0), prices)
    lines = list(explain(found))
    text, rates, best = "\n".join(lines), found.rates, found.best
    assert lines[0] == f"{best.n_chunks} chunks: the fastest within $10 and within 5000 s"
    for name, number in [
        ("work rate", 1 / rates.task.slope),
        ("fixed per task", rates.task.fixed),
        ("overhead per task", rates.overhead_s),
        ("start of a lane", rates.start_s),
        ("lanes", 3),
    ]:
        said = re.search(rf"^  {name} +([0-9.e+-]+)", text, re.MULTILINE)
        assert said is not None and float(said[1]) == pytest.approx(number, rel=1e-3), name
    assert re.search(r"read rate +1 MB/s", text) and re.search(r"write rate +1 kB/s", text)
    assert re.search(r"limits of a task +memory 2 GB, time 900 s", text)
    assert re.search(r"price +here, prices of 2031-02-03", text)
    assert re.search(r"pace +0\.\d+ to [12]\.\d+ times the mean", text)
    row = next(line for line in lines if line.endswith("chosen")).split()
    assert row[0] == str(best.n_chunks) and f"{best.makespan_s:.3g}" in row and f"{best.cost_usd:.6f}" in row


def test_what_is_kept_with_a_run_is_json_of_the_prediction(source: Path, prices: str) -> None:
    limits = Limits(concurrency=2, memory_bytes=2**30, price="here")
    fields = chosen(source, Simulated(limits), Wish(budget_usd=10), prices).fields()
    assert {"chunks", "makespan_s", "cost_usd", "limit_gb_s", "requests", "writes", "peak_bytes"} <= set(fields)
    assert (fields["budget_usd"], fields["deadline_s"], fields["prices_of"]) == (10, None, "2031-02-03")


def test_what_came_is_held_against_what_was_predicted() -> None:
    moments = iter([10.0, 12.0, 14.5])
    against = Against({"chunks": 2, "makespan_s": 5.0, "cost_usd": 0.25}, clock=lambda: next(moments))
    for kind in ("begin", "start", "start", "done", "done"):
        against(JobEvent(kind))
    assert against.line() == "predicted 5 s, $0.25 for 2 chunks; took 4.5 s"
    nothing = Against({"chunks": 2, "makespan_s": 5.0, "cost_usd": 0.0})
    assert nothing.line() == "predicted 5 s for 2 chunks; nothing was left to do"


def test_places_lie_where_the_weights_do(source: Path) -> None:
    places = places_of(plan_of([str(source)], chunks=4))
    assert [places[number] for number in range(4)] == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=1e-3)
