from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings
from cbtool.errors import WorkerDied
from tests.processes import ENVIRONMENT, alive, session_of, until

TARGETS = Path(__file__).parent
HERE = "worker_targets:"


@pytest.fixture(autouse=True)
def targets_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TARGETS))


@pytest.fixture
def local() -> Iterator[Local]:
    backend = Local(EngineSettings(workers=2))
    yield backend
    backend.close()


def task(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": HERE + call, **fields}


def test_workers_are_other_processes_and_children_of_this_one(local: Local) -> None:
    found = local.submit(task("pid")).result(timeout=10)["result"]
    assert found["pid"] != os.getpid()
    assert found["parent"] == os.getpid()


def test_what_a_task_prints_is_no_frame(local: Local) -> None:
    assert local.submit(task("chatter")).result(timeout=10)["result"] == {"n": 1}


def test_a_worker_killed_while_idle_is_replaced(local: Local) -> None:
    pid = local.submit(task("pid")).result(timeout=10)["result"]["pid"]
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    # Until all its threads are gone: before that it may look dead and is not reaped yet.
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    for n in range(4):
        assert local.submit(task("echo", n=n)).result(timeout=10)["result"] == {"n": n}


def started(backend: Local, path: Path) -> tuple[Any, list[int]]:
    future = backend.submit(task("spin", file=str(path)))
    until(path.exists)
    return future, [int(word) for word in path.read_text().split()]


def test_cancel_ends_the_task_and_all_that_it_started(local: Local, tmp_path: Path) -> None:
    future, pids = started(local, tmp_path / "pids")
    until(lambda: len(session_processes(pids[2])) == 3)
    below = session_processes(pids[2])
    assert alive(pids) == pids
    local.cancel(future)
    assert isinstance(future.exception(timeout=10), WorkerDied)
    until(lambda: not alive([*pids, *below]))
    assert local.submit(task("echo", n=2)).result(timeout=10)["result"] == {"n": 2}


def test_the_group_of_a_killed_workers_command_is_ended(local: Local, tmp_path: Path) -> None:
    future, pids = started(local, tmp_path / "pids")
    below = session_processes(pids[2])
    os.kill(pids[0], signal.SIGKILL)
    assert isinstance(future.exception(timeout=10), WorkerDied)
    until(lambda: not alive([*pids, *below]))


def test_a_task_that_does_not_listen_is_ended(local: Local, tmp_path: Path) -> None:
    future = local.submit(task("stuck", file=str(tmp_path / "there")))
    until((tmp_path / "there").exists)
    local.cancel(future)
    assert isinstance(future.exception(timeout=10), WorkerDied)


def test_close_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    backend = Local(EngineSettings(workers=2))
    future, pids = started(backend, tmp_path / "pids")
    waiting = [backend.submit(task("echo", n=n)) for n in range(3)]
    backend.close()
    assert isinstance(future.exception(timeout=1), WorkerDied)
    assert all(one.done() for one in waiting)
    until(lambda: not alive(pids))
    assert threading.active_count() == before


def session_processes(group: int) -> list[int]:
    """Return the processes of a group."""
    return [pid for pid in session_of(os.getsid(0)) if group_of(pid) == group]


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


SCRIPT = """
from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings
from cbtool.stagers.function import pack, unpack
LIMIT = 40
def double(chunk):
    return LIMIT + chunk.chunk
backend = Local(EngineSettings(workers=2))
from cbtool.job import Engine, call_on_chunks
from cbtool.chunk import Chunk, PartOf, SourceRanges
chunks = [
    Chunk("p", n, 3, "text", True, f"x-{n}.txt", (SourceRanges("x", "v", 1, ((0, 1),)),), (PartOf("x.txt", (0,)),),
          None, 1, "bytes", None, None, 1, 1, {})
    for n in range(3)
]
print(call_on_chunks(chunks, double, Engine(backend)))
backend.close()
"""


@pytest.mark.parametrize("way", ["script", "stdin", "exec"])
def test_functions_work_without_a_main_guard(way: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    notebook = f"namespace = {{'__name__': '__main__'}}; exec({SCRIPT!r}, namespace)"
    words = {"script": [str(script)], "stdin": ["-"], "exec": ["-c", notebook]}[way]
    done = subprocess.run(
        [sys.executable, *words], input=SCRIPT, text=True, capture_output=True, env=ENVIRONMENT, timeout=60
    )
    assert done.stdout == "[40, 41, 42]\n", done.stderr


def test_workers_and_their_commands_die_with_a_killed_driver(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.append({str(TARGETS)!r})
from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings
backend = Local(EngineSettings(workers=1))
backend.submit({{"call": "{HERE}spin", "file": {str(tmp_path / "pids")!r}}}).result()
"""
    driver = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT)
    until((tmp_path / "pids").exists)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    below = session_processes(pids[2])
    assert alive(pids) == pids
    driver.kill()
    driver.wait()
    until(lambda: not alive([*pids, *below]))


def test_a_driver_that_forgets_to_close_still_ends(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.append({str(TARGETS)!r})
from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings
print(Local(EngineSettings(workers=1)).submit({{"call": "{HERE}pid"}}).result()["result"]["pid"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=20
    )
    assert done.returncode == 0
    until(lambda: not alive([int(done.stdout)]))
