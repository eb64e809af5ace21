from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends import lanes
from cbtool.backends.on_dask import cluster as dask_cluster
from cbtool.backends.on_dask.engine import Dask
from cbtool.contracts import EngineSettings
from cbtool.errors import ConfigError, Unavailable, WorkerDied
from cbtool.registry import load
from cbtool.runner import Event, run_tasks
from tests.clusters import Cluster, dask_processes
from tests.conformance.engines import dask_scheduler
from tests.inprocess import refused
from tests.processes import ROOT, alive, begin, cbtool, session_of, until

HERE = "tests.backends.worker_targets:"
LINES = "".join(f"{n} line\n" for n in range(100))


def task(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": HERE + call, **fields}


def spinning(backend: Dask, path: Path) -> tuple[Future[Any], list[int]]:
    """Begin a task that starts others; return it, and the numbers of the worker, its child, and its command."""
    future = backend.submit(task("spin", file=str(path)))
    until(path.exists, 60)
    return future, [int(word) for word in path.read_text().split()]


@pytest.fixture
def own() -> Iterator[Dask]:
    backend = Dask(EngineSettings(2))
    yield backend
    backend.close()


@pytest.fixture
def shared() -> Iterator[Dask]:
    backend = Dask(EngineSettings(2, scheduler=dask_scheduler()))
    yield backend
    backend.close()


@pytest.fixture(params=["own", "shared"])
def either(request: pytest.FixtureRequest) -> Dask:
    found: Dask = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of two workers of a thread each, for tests that break it."""
    with dask_processes(tmp_path / "cluster", [1, 1], {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as one:
        yield one


def test_cancel_ends_the_task_and_all_that_it_started(either: Dask, tmp_path: Path) -> None:
    future, pids = spinning(either, tmp_path / "pids")
    assert alive(pids) == pids
    either.cancel(future)
    assert future.exception(timeout=10) is not None
    until(lambda: not alive(pids))
    assert either.submit(task("echo", n=2)).result(timeout=30)["result"] == {"n": 2}


def test_close_ends_what_runs_and_its_interpreters(either: Dask, tmp_path: Path) -> None:
    idle = either.submit(task("pid")).result(timeout=30)["result"]["pid"]
    future, pids = spinning(either, tmp_path / "pids")
    either.close()
    assert future.exception(timeout=10) is not None
    until(lambda: not alive([idle, *pids]))


def test_tasks_do_not_share_a_process_with_one_another_nor_with_the_dask_worker(shared: Dask) -> None:
    futures = [shared.submit(task("slow", seconds=0.5)) for _ in range(2)]
    workers = {one.result(timeout=30)["spent"]["worker"] for one in futures}
    assert len(workers) == 2
    found = shared.submit(task("pid")).result(timeout=30)["result"]
    assert found["pid"] != found["parent"] != os.getpid()


def test_interpreters_of_a_driver_that_does_not_come_back_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "IDLE_S", 0.05)
    text = lanes.carry('{"call": "' + HERE + 'pid"}', "somebody", 1, lambda: True)
    until(lambda: "somebody" not in lanes._drivers)
    assert '"pid"' in text


def test_a_dask_worker_killed_costs_an_attempt(cluster: Cluster, tmp_path: Path) -> None:
    backend = Dask(EngineSettings(2, scheduler=cluster.address))
    tasks = [task("kill_parent_once", mark=str(tmp_path / "mark")), *(task("echo", n=n) for n in range(12))]
    retried: list[Event] = []
    found = sorted(run_tasks(tasks, backend, on_event=lambda event: retried.append(event)), key=lambda one: one.number)
    assert [one.result for one in found] == [{"n": 1}, *({"n": n} for n in range(12))]
    errors = {event.number: event.error for event in retried if event.kind == "retry"}
    assert isinstance(errors[0], WorkerDied) and "was lost with the task" in str(errors[0])
    backend.close()


def test_a_scheduler_that_goes_away_is_unavailable(cluster: Cluster, tmp_path: Path) -> None:
    backend = Dask(EngineSettings(2, scheduler=cluster.address))
    future, pids = spinning(backend, tmp_path / "pids")
    cluster.scheduler.kill()
    error = future.exception(timeout=30)
    assert isinstance(error, Unavailable) and str(error) == f"{cluster.address}: the scheduler is gone"
    until(lambda: not alive(pids))
    assert isinstance(backend.submit(task("echo", n=1)).exception(timeout=30), Unavailable)
    backend.close()


def test_a_driver_killed_leaves_nothing_to_run_on_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(LINES)
    command = "echo $$ > pid-{chunk}; sleep 300"
    words = ["run", "some.txt", "-n", "2", "-j", "2", "--backend", "dask", "--scheduler", dask_scheduler(), "--"]
    driver = begin(*words, command.replace("pid-", f"{tmp_path}/pid-"), cwd=tmp_path)
    until(lambda: all((tmp_path / f"pid-{n}").exists() for n in range(2)), 60)
    pids = [int((tmp_path / f"pid-{n}").read_text() or 0) for n in range(2)]
    driver.kill()
    driver.wait()
    until(lambda: not alive(pids))


def test_a_driver_killed_leaves_no_process_and_no_file_of_its_own_cluster(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(LINES)
    words = ["run", "some.txt", "-n", "2", "-j", "2", "-o", "out", "--backend", "dask", "--"]
    driver = begin(*words, f"touch {tmp_path}/began-{{chunk}}; sleep 300", cwd=tmp_path)
    until(lambda: len(list(tmp_path.glob("began-*"))) == 2, 60)
    driver.kill()
    driver.wait()
    until(lambda: not session_of(driver.pid))
    assert not list((tmp_path / "tmp").rglob("*dask*"))


def test_a_run_says_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(LINES)
    words = ["run", "some.txt", "-n", "4", "-j", "2", "-o", "out", "--backend", "dask", "--"]
    done = cbtool(*words, "cat", cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert line.startswith("cbtool: 4 of 4 chunks done")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out", "some.txt", "tmp"]
    assert not list((tmp_path / "tmp").iterdir())


def test_a_cluster_of_this_process_opens_no_port() -> None:
    before = _listening()
    backend = Dask(EngineSettings(2))
    backend.submit(task("echo", n=1)).result(timeout=30)
    opened = _listening() - before
    backend.close()
    assert opened == set()


def _listening() -> set[str]:
    """Return the sockets of this process that listen."""
    mine = {os.readlink(one.path) for one in os.scandir("/proc/self/fd") if os.path.islink(one.path)}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return mine & {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


@pytest.mark.parametrize(
    "address, status, said",
    [
        ("tcp://127.0.0.1:1", 69, "tcp://127.0.0.1:1: no Dask scheduler answers there"),
        ("tcp://127.0.0.1:port", 2, "--scheduler tcp://127.0.0.1:port: "),
        ("gopher://127.0.0.1:1", 2, "--scheduler gopher://127.0.0.1:1: unknown address scheme 'gopher'"),
    ],
)
def test_a_scheduler_that_is_not_there_is_one_line(
    address: str, status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 1.0)
    (tmp_path / "some.txt").write_text(LINES)
    words = ["-n", "2", "--backend", "dask", "--scheduler", address, "--", "cat"]
    assert refused(status, "run", tmp_path / "some.txt", *words).startswith(f"cbtool: error: {said}")


def test_something_else_at_the_address_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match="no Dask scheduler answers there"):
            Dask(EngineSettings(2, scheduler=address))


def test_a_worker_is_no_scheduler() -> None:
    from distributed import Client

    with Client(dask_scheduler(), set_as_default=False) as client:
        (worker,) = client.nthreads()
    with pytest.raises(Unavailable, match=f"{worker}: a Dask Worker answers there"):
        Dask(EngineSettings(2, scheduler=worker))


def test_a_cluster_without_workers_is_taken_only_by_who_says_how_many_come(tmp_path: Path) -> None:
    with dask_processes(tmp_path / "cluster", []) as cluster:
        with pytest.raises(Unavailable, match="the cluster has no workers"):
            Dask(EngineSettings(scheduler=cluster.address))
        backend = Dask(EngineSettings(3, scheduler=cluster.address))
        assert backend.limits.concurrency == 3 and backend.limits.remote
        backend.close()


def test_the_number_of_tasks_at_once_is_that_of_the_threads(tmp_path: Path) -> None:
    backend = Dask(EngineSettings(scheduler=dask_scheduler()))
    assert backend.limits.concurrency == 2 and not backend.limits.remote
    backend.close()


@pytest.mark.parametrize("package", ["distributed", "python", "cbtool"])
def test_a_cluster_of_other_versions_is_refused(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dask_cluster.ours
    monkeypatch.setattr(dask_cluster, "ours", lambda name: "0.0.1" if name == package else real(name))
    with pytest.raises(ConfigError, match=f"(the scheduler|worker tcp://.*) has {package} .*, this side 0.0.1"):
        Dask(EngineSettings(2, scheduler=dask_scheduler()))


def test_workers_without_cbtool_are_refused(tmp_path: Path) -> None:
    """Another version of a package that both sides have, and that does not matter, is no warning."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m\nreal = m.version\n"
        "def version(name):\n    if name == 'cbtool': raise m.PackageNotFoundError(name)\n    return real(name)\n"
        "m.version = version\n"
        "import msgpack; msgpack.__version__ = '0.0.1'\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with dask_processes(tmp_path / "cluster", [1], {"PYTHONPATH": path}) as cluster:
        with pytest.raises(ConfigError, match="lacks a package: cbtool"):
            Dask(EngineSettings(2, scheduler=cluster.address))


@pytest.mark.parametrize(
    "text, said", [(None, "cannot be read: no such file"), ("a: [", "no YAML"), ("12", "holds no settings of Dask")]
)
def test_a_bad_file_of_settings_is_said(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "dask.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        Dask(EngineSettings(2, str(file)))


def test_a_file_of_settings_is_heeded_and_forgotten_again(tmp_path: Path) -> None:
    import dask

    name = "distributed.comm.timeouts.connect"
    before = dask.config.get(name)
    file = tmp_path / "dask.yaml"
    file.write_text("distributed: {comm: {timeouts: {connect: 17s}}}")
    backend = Dask(EngineSettings(1, str(file)))
    assert dask.config.get(name) == "17s" and dask.config.get("distributed.comm.timeouts.tcp")
    backend.close()
    assert dask.config.get(name) == before


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("cbtool.backends.on_dask.engine")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError) as caught:
        load("backends", "dask")
    assert caught.value.hint == "install it: pip install 'cbtool[dask]'"
