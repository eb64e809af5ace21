from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbtool.asked import Options
from cbtool.backends.local import Local
from cbtool.chunk import Chunk
from cbtool.contracts import EngineSettings
from cbtool.destination import open_destination
from cbtool.errors import ChunksFailed, TaskFailed, UsageError
from cbtool.events import JobEvent
from cbtool.job import Engine, Work, call_on_chunks, packed, run_job
from cbtool.plan import Plan
from cbtool.reading import one_stream
from cbtool.session import make_plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "some.txt").write_text("".join(f"{n}\n" for n in range(3000)))
    return make_plan([str(tmp_path / "some.txt")], Options(chunks=3))


@pytest.fixture
def engine() -> Iterator[Engine]:
    backend = Local(EngineSettings(workers=2))
    yield Engine(backend)
    backend.close()


def test_results_come_in_the_order_of_the_chunks(plan: Plan, engine: Engine) -> None:
    def total(chunk: Chunk) -> tuple[int, int]:
        return chunk.chunk, sum(int(line) for line in b"".join(one_stream(chunk)).split())

    found = call_on_chunks(plan, total, engine)
    assert [number for number, _ in found] == [0, 1, 2]
    assert sum(value for _, value in found) == sum(range(3000))


def test_a_failing_call_fails_alone_and_the_rest_is_there(plan: Plan, engine: Engine) -> None:
    def picky(chunk: Chunk) -> int:
        if chunk.chunk == 1:
            raise KeyError("not this one")
        return chunk.chunk * 10

    with pytest.raises(ChunksFailed, match="1 of 3 chunks failed; chunk 1: KeyError: 'not this one'") as caught:
        call_on_chunks(plan, picky, engine)
    assert caught.value.facts["results"] == {0: 0, 2: 20}
    assert isinstance(caught.value.__cause__, TaskFailed)
    assert "in picky" in str(caught.value.__cause__.facts["traceback"])


def test_a_function_that_cannot_travel_is_refused(plan: Plan, engine: Engine) -> None:
    lock = threading.Lock()

    def locked(chunk: Chunk) -> bool:
        return lock.locked()

    with pytest.raises(UsageError, match="locked: cannot be sent to a worker"):
        call_on_chunks(plan, locked, engine)


def test_with_a_destination_what_it_returns_is_the_output(plan: Plan, engine: Engine, tmp_path: Path) -> None:
    def name(chunk: Chunk) -> object:
        return f"this is {chunk.name}" if chunk.chunk else 5

    events: list[JobEvent] = []
    how = Engine(engine.backend, on_event=events.append)
    work = Work("function", {"ext": ".name"}, unkeyed={"function": packed(name)})
    report = run_job(plan, work, open_destination(str(tmp_path / "out")), how)
    assert (tmp_path / "out" / "some-00002.name").read_text() == "this is some-00002.txt"
    assert list(report.failed) == [0] and report.done == 2
    assert "returned int" in str(report.failed[0])
    assert [event.kind for event in events].count("done") == 2
    with pytest.raises(ChunksFailed):
        report.check()


def test_a_job_runs_on_object_storage(plan: Plan, engine: Engine, s3: object) -> None:
    from tests.conftest import S3

    assert isinstance(s3, S3)
    destination = open_destination(f"s3://{s3.bucket}/out")
    report = run_job(
        plan, Work("command", {"command": ["tee {outdir}/a | wc -l > {out}"], "ext": ".n"}), destination, engine
    )
    report.check()
    assert sum(int(s3.get(f"out/some-{n:05}.n")) for n in range(3)) == 3000
    assert b"".join(s3.get(f"out/some-{n:05}/a") for n in range(3)).split()[-1] == b"2999"
    s3.client.delete_object(Bucket=s3.bucket, Key="out/some-00001.n")
    again = run_job(
        plan, Work("command", {"command": ["tee {outdir}/a | wc -l > {out}"], "ext": ".n"}), destination, engine
    )
    assert (again.kept, again.done) == (2, 1)
