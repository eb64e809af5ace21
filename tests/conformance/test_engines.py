"""What every engine must do, whatever carries its tasks: one suite, one fixture an engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cbtool as api
from cbtool.asked import Options
from cbtool.contracts import Backend, EngineSettings
from cbtool.errors import ChunksFailed, ConfigError, FormatError, TaskFailed, TimeLimit, WorkerDied
from cbtool.job import Engine, Work, run_job
from cbtool.plan import Plan
from cbtool.reach import probe
from cbtool.runner import Outcome, run_tasks
from cbtool.session import engine as open_engine
from cbtool.session import make_plan
from tests.conformance.conftest import Store
from tests.conformance.engines import N_WORKERS, Ready
from tests.inprocess import environment, process
from tests.processes import ENVIRONMENT, until

Reached = tuple[Ready, Store]
HERE = "tests.backends.worker_targets:"
LINES = "".join(f"{n} line of text\n" for n in range(2000))


def task(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": HERE + call, **fields}


def outcomes(backend: Backend, tasks: list[dict[str, Any]], **how: Any) -> list[Outcome]:
    return sorted(run_tasks(tasks, backend, **how), key=lambda one: one.number)


def test_results_come_back_with_what_they_took(backend: Backend) -> None:
    found = outcomes(backend, [task("echo", n=n) for n in range(20)])
    assert [one.result for one in found] == [{"n": n} for n in range(20)]
    for one in found:
        assert one.spent["wall_s"] >= 0 and one.spent["cpu_s"] >= 0 and one.spent["peak_bytes"] > 1_000_000
        assert one.spent["worker"] and one.spent["began"] > 1_700_000_000
    assert any("start_s" in one.spent for one in found)


def test_errors_of_ours_keep_their_class_and_facts(backend: Backend) -> None:
    (found,) = outcomes(backend, [task("bad_format")])
    assert isinstance(found.error, FormatError)
    assert (str(found.error), found.error.hint, found.error.facts) == ("x.gz: bad", "unpack it", {"offset": 7})


@pytest.mark.parametrize("call, name", [("wrong", "ZeroDivisionError"), ("leave", "SystemExit")])
def test_other_errors_travel_with_name_and_traceback_and_fail_alone(backend: Backend, call: str, name: str) -> None:
    found = outcomes(backend, [task("echo", n=1), task(call), task("echo", n=2)])
    error = found[1].error
    assert isinstance(error, TaskFailed) and str(error).startswith(name)
    assert f"in {call}" in str(error.facts["traceback"])
    assert [found[0].result, found[2].result] == [{"n": 1}, {"n": 2}]


def test_a_worker_killed_fails_its_task_only(backend: Backend) -> None:
    found = outcomes(backend, [task("die" if n == 3 else "echo", n=n) for n in range(12)], retries=0)
    assert [one.number for one in found if one.error] == [3]
    assert isinstance(found[3].error, WorkerDied)


def test_a_worker_killed_once_costs_an_attempt(backend: Backend, tmp_path: Path) -> None:
    found = outcomes(backend, [task("die_once", mark=str(tmp_path / "mark")), *(task("echo", n=n) for n in range(4))])
    assert found[0].result == {"n": 1} and found[0].attempts == 2
    assert [one.result for one in found[1:]] == [{"n": n} for n in range(4)]


def test_a_task_out_of_memory_fails_alone(backend: Backend) -> None:
    found = outcomes(backend, [task("echo", n=0), task("hoard", limit=1 << 30), task("echo", n=2)], retries=0)
    assert isinstance(found[1].error, (TaskFailed, WorkerDied)) and "emory" in f"{found[1].error} {found[1].error.hint}"
    assert [found[0].result, found[2].result] == [{"n": 0}, {"n": 2}]


def test_a_task_over_its_time_fails_alone(reached: Reached) -> None:
    ready, _ = reached
    settings = EngineSettings(N_WORKERS, ready.settings.config, ready.settings.scheduler, timeout_s=ready.limit_s)
    with open_engine(ready.name, settings) as backend:
        # What the engine takes to start is no time of a task.
        outcomes(backend, [task("echo", n=n) for n in range(2 * N_WORKERS)])
        tasks = [task("echo", n=0), task("slow", seconds=60), task("echo", n=2)]
        found = outcomes(backend, tasks, retries=0, timeout_s=ready.limit_s)
    assert isinstance(found[1].error, TimeLimit)
    assert [found[0].result, found[2].result] == [{"n": 0}, {"n": 2}]


def test_five_thousand_tiny_tasks(reached: Reached) -> None:
    """As chunks of a plan, so that an engine whose calls cost much gets them in batches."""
    ready, store = reached
    plan = _plan(store, chunks=5000, text="".join(f"{n:04}\n" for n in range(5000)))
    assert api.run(plan, lambda chunk: chunk.chunk, backend=ready.name, **_how(ready)) == list(range(5000))


def test_large_frames(backend: Backend) -> None:
    limit = backend.limits.payload_bytes or 30_000_000
    size = min(20_000_000, limit * 3)
    (found,) = outcomes(backend, [task("large", size=size, text="y" * (size // 4))])
    assert found.result is not None and len(found.result["text"]) == size and found.result["got"] == size // 4


def test_two_hundred_megabytes_go_by_the_destination(reached: Reached) -> None:
    ready, store = reached
    plan = _plan(store, chunks=2)
    work = Work("command", {"command": ["head -c 200000000 /dev/zero"], "ext": ".bin", "ok": [0]})
    with open_engine(ready.name, ready.settings) as backend:
        report = run_job(plan, work, store.destination("out"), Engine(backend, name=ready.name))
    report.check()
    assert {size for name, size in store.destination("out").names("some")} == {200_000_000}


def test_a_missing_package_is_said_before_the_run_starts(backend: Backend) -> None:
    with pytest.raises(ConfigError, match="no_such_package"):
        probe(backend, {"modules": ["no_such_package"]})


def test_the_versions_on_the_workers_are_ours(backend: Backend) -> None:
    from cbtool.backends.probe import versions

    found = probe(backend, {})
    assert {name: found[name] for name in versions()} == versions()
    with pytest.raises(ConfigError, match="the worker has cbtool .*, this side 0.0.0"):
        probe(backend, {"versions": {"cbtool": "0.0.0"}})


def test_a_function_of_the_users_own_runs_and_fails_alone(reached: Reached) -> None:
    ready, store = reached
    plan = _plan(store, chunks=4)

    def lines(chunk: api.Chunk) -> int:
        if chunk.chunk == 2:
            raise KeyError("not this one")
        return len(chunk.open().readlines())

    with pytest.raises(ChunksFailed) as caught:
        api.run(plan, lines, backend=ready.name, **_how(ready))
    results = caught.value.facts["results"]
    assert isinstance(results, dict) and sorted(results) == [0, 1, 3] and all(results.values())
    assert "KeyError" in str(caught.value)


def test_a_shuffle_and_a_sort_run_on_every_engine(reached: Reached) -> None:
    ready, store = reached
    plan = _plan(store, chunks=3)
    lines = sorted(LINES.encode().splitlines(keepends=True))
    made = api.shuffle(plan, lambda records: records, to=store.at("routed"), parts=4, backend=ready.name, **_how(ready))
    routed = [sorted(chunk.open().readlines()) for chunk in made]
    assert len(routed) > 1 and [line for part in routed for line in part] == lines
    words = ["sort", store.at("some.txt"), "-n", "3", "-o", store.at("sorted"), "--backend", ready.name, "-q"]
    done = process(*words, "-j", str(N_WORKERS), *ready.words, env={**environment(), **ready.environment})
    assert done.returncode == 0, done.stderr
    place = store.destination("sorted")
    assert b"".join(place.read(name) or b"" for name, _ in place.names("some")) == b"".join(lines)


# --- through the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_call", ["1", "auto"])
def test_ctrl_c_first_lets_what_runs_end(reached: Reached, tmp_path: Path, per_call: str) -> None:
    ready, store = reached
    command = "touch {work}/began-{chunk}; until [ -e {work}/go ]; do sleep .05; done; cat {in}"
    with _begin(ready, store, tmp_path, command, per_call) as process:
        until(lambda: len(list(tmp_path.glob("began-*"))) == N_WORKERS, 60)
        _interrupt(process)
        (tmp_path / "go").touch()
        assert process.stderr and process.stderr.read()
        assert process.wait(60) == 130
    made = [name for name, _ in store.destination("out").names("some")]
    assert N_WORKERS <= len(made) < 12 and len(made) == len(list(tmp_path.glob("began-*")))


def test_ctrl_c_twice_ends_it_now(reached: Reached, tmp_path: Path) -> None:
    ready, store = reached
    with _begin(ready, store, tmp_path, "touch {work}/began-{chunk}; sleep 20; cat {in}") as process:
        until(lambda: len(list(tmp_path.glob("began-*"))) == N_WORKERS, 60)
        _interrupt(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr and process.stderr.read()
        assert process.wait(15) == 130
    assert [name for name, _ in store.destination("out").names("some")] == []


def test_a_killed_driver_is_resumed_to_the_same_bytes(reached: Reached, tmp_path: Path) -> None:
    ready, store = reached
    command = "echo x >> {work}/ran-{chunk}; sleep 0.2; cat {in}"
    with _begin(ready, store, tmp_path, command) as process:
        until(lambda: len(list(store.destination("out").names("some"))) >= 3, 60)
        process.kill()
    if not ready.ends_tasks:
        until(lambda: len(list(store.destination("out").names("some"))) >= 3)
    finished = {name for name, _ in store.destination("out").names("some")}
    with _begin(ready, store, tmp_path, command) as again:
        assert again.stderr
        said = again.stderr.read().decode()
        assert again.wait(90) == 0, said
    made = store.destination("out")
    assert b"".join(made.read(name) or b"" for name, _ in made.names("some")).decode() == LINES
    for name in finished:
        assert (tmp_path / f"ran-{int(name.rpartition('-')[2])}").read_text() == "x\n", "finished work was done again"
    assert _status(store)["done"] == list(range(12))


def _plan(store: Store, *, chunks: int, text: str = LINES) -> Plan:
    return make_plan([store.put("some.txt", text.encode())], Options(chunks=chunks))


def _how(ready: Ready) -> dict[str, Any]:
    settings = ready.settings
    return {"workers": settings.workers, "engine_config": settings.config, "scheduler": settings.scheduler}


def _begin(ready: Ready, store: Store, tmp_path: Path, command: str, per_call: str = "1") -> subprocess.Popen[bytes]:
    """Start a run of twelve chunks; ``{work}`` in *command* is a folder that it may write to."""
    if "some.txt" not in store.names():
        store.put("some.txt", LINES.encode())
    words = [
        "run",
        store.at("some.txt"),
        "-n",
        "12",
        "-o",
        store.at("out"),
        "--backend",
        ready.name,
        "-j",
        str(N_WORKERS),
    ]
    words += [*ready.words, "--tasks-per-call", per_call, "--", command.replace("{work}", str(tmp_path))]
    return subprocess.Popen(
        [sys.executable, "-m", "cbtool", *words],
        env={**ENVIRONMENT, **{k: v for k, v in os.environ.items() if k.startswith("AWS_")}, **ready.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C, and wait until it is heard."""
    process.send_signal(signal.SIGINT)
    assert process.stderr
    while b"stopping" not in (line := process.stderr.readline()):
        assert line, "it ended"


def _status(store: Store) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "cbtool", "status", store.at("out"), "--json"], stdout=subprocess.PIPE, timeout=60
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
