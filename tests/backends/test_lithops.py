"""Lithops on this machine: what it leaves behind, what becomes of its workers, what it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends.on_lithops.engine import Lithops
from cbtool.contracts import EngineSettings
from cbtool.errors import ConfigError, TimeLimit, Unavailable, WorkerDied
from cbtool.registry import load
from cbtool.runner import opened
from tests.conftest import S3
from tests.processes import ENVIRONMENT, alive, until

HERE = "tests.backends.worker_targets:"
BEGIN_S = 60.0
"""An interpreter that imports Lithops takes long to start where there is much to do."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a folder for temporary files, which nothing else uses; and no configuration."""
    for name in ("LITHOPS_CONFIG", "LITHOPS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in (("HOME", "home"), ("TMPDIR", "tmp")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def lithops(home: Path) -> Iterator[Lithops]:
    backend = Lithops(EngineSettings(workers=2))
    yield backend
    backend.close()


def task(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": HERE + call, **fields}


def begun(path: Path) -> list[int]:
    until(path.exists, BEGIN_S)
    return [int(word) for word in path.read_text().split()]


def processes_of(folder: Path) -> list[int]:
    """Return the processes that were started with something in *folder* in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if str(folder).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return alive(found)


def test_nothing_is_left_behind(home: Path) -> None:
    backend = Lithops(EngineSettings(workers=2))
    try:
        result, error, spent = opened(_ended(backend, task("folder")))
        assert processes_of(home), "its processes would not be seen"
    finally:
        backend.close()
    assert result == {"folder": str(home / "tmp")}, "a task's temporary files go where the user's go"
    assert error is None and spent["start_s"] > 0
    assert [str(path) for path in home.rglob("*") if path.is_file()] == []
    assert list((home / "tmp").iterdir()) == list((home / "home").iterdir()) == []
    assert processes_of(home) == []


def _ended(backend: Lithops, one: dict[str, Any]) -> Any:
    future = backend.submit(one)
    future.exception(timeout=BEGIN_S)
    return future


def test_a_cancelled_task_ends_with_all_that_it_started(lithops: Lithops, home: Path) -> None:
    future = lithops.submit(task("spin", file=str(home / "pids")))
    pids = begun(home / "pids")
    lithops.cancel(future)
    assert isinstance(future.exception(timeout=20), WorkerDied)
    until(lambda: not alive(pids))


def test_a_task_that_does_not_listen_is_ended_all_the_same(lithops: Lithops, home: Path) -> None:
    future = lithops.submit(task("stuck", file=str(home / "here")))
    until((home / "here").exists, BEGIN_S)
    lithops.cancel(future)
    assert isinstance(future.exception(timeout=20), WorkerDied)


def test_what_a_killed_worker_started_is_ended(lithops: Lithops, home: Path) -> None:
    future = lithops.submit(task("spin", file=str(home / "pids")))
    pids = begun(home / "pids")
    os.kill(pids[0], signal.SIGKILL)
    error = future.exception(timeout=20)
    assert isinstance(error, WorkerDied) and "SIGKILL" in str(error)
    until(lambda: not alive(pids))


def test_a_worker_killed_with_lithops_own_process_of_it_is_seen(lithops: Lithops, home: Path) -> None:
    future = lithops.submit(task("spin", file=str(home / "pids")))
    pids = begun(home / "pids")
    os.killpg(os.getsid(pids[0]), signal.SIGKILL)
    assert isinstance(future.exception(timeout=20), WorkerDied)
    until(lambda: not alive(pids))


def test_tasks_end_when_the_process_between_is_killed(lithops: Lithops, home: Path) -> None:
    future = lithops.submit(task("spin", file=str(home / "pids")))
    pids = begun(home / "pids")
    lithops.process.kill()
    error = future.exception(timeout=20)
    assert isinstance(error, WorkerDied) and "speaks to Lithops" in str(error)
    assert isinstance(lithops.submit(task("echo", n=1)).exception(timeout=5), Unavailable)
    # A child that a task left to itself is nobody's now.
    os.kill(pids[1], signal.SIGKILL)
    until(lambda: not alive(pids))


def test_all_ends_when_the_driver_is_killed(home: Path) -> None:
    script = (
        "from cbtool.backends.on_lithops.engine import Lithops; from cbtool.contracts import EngineSettings\n"
        "import time\n"
        f"Lithops(EngineSettings(2)).submit({task('spin', file=str(home / 'pids'))!r}); time.sleep(300)"
    )
    environment = {**ENVIRONMENT, "HOME": str(home / "home"), "TMPDIR": str(home / "tmp")}
    driver = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    try:
        pids = begun(home / "pids")
    finally:
        driver.kill()
        driver.wait()
    until(lambda: not alive(pids))
    until(lambda: not processes_of(home) and not list((home / "tmp").iterdir()), 30)


def test_a_time_limit_of_lithops_own_is_told_and_kept(home: Path) -> None:
    config = home / "config"
    config.write_text("lithops: {backend: localhost, execution_timeout: 1}\n")
    backend = Lithops(EngineSettings(1, config=str(config)))
    try:
        assert backend.limits.time_s == 1
        _, error, _ = opened(_ended(backend, task("slow", seconds=60)))
    finally:
        backend.close()
    assert isinstance(error, TimeLimit) and "maximum time of 1 seconds" in str(error)


def test_its_storage_may_be_elsewhere_and_is_left_empty(home: Path, s3: S3) -> None:
    config = home / "config"
    config.write_text(
        "lithops: {backend: localhost, storage: aws_s3, monitoring_interval: 0.1}\n"
        "aws: {region: us-east-1, access_key_id: AKTEST, secret_access_key: SKTESTSKTEST}\n"
        f"aws_s3: {{storage_bucket: {s3.bucket}}}\n"
    )
    backend = Lithops(EngineSettings(1, config=str(config)))
    try:
        future = _ended(backend, task("large", size=1_000_000, text="y"))
        assert any(key.startswith("lithops.jobs/") for key in s3.keys())
    finally:
        backend.close()
    assert len(future.result()["result"]["text"]) == 1_000_000
    assert s3.keys() == []


@pytest.mark.parametrize(
    "config, said",
    [
        ("lithops: {backend: nosuch, storage: aws_s3}\naws: {region: us-east-1}\n", "nosuch"),
        ("lithops: {backend: aws_lambda, storage: aws_s3}\naws: {region: us-east-1}\n", "aws_lambda"),
        ("lithops: {backend: localhost, storage: aws_s3}\n", "credentials"),
        ("lithops: {backend: localhost}\nlocalhost: {runtime: /no/python}\n", "/no/python"),
        ("lithops: {backend: code_engine, storage: aws_s3}\naws: {region: us-east-1}\n", "lithops"),
    ],
)
def test_a_configuration_that_lithops_refuses_is_said_in_one_line(
    home: Path, no_credentials: None, config: str, said: str
) -> None:
    (home / "config").write_text(config)
    with pytest.raises(ConfigError, match=said) as caught:
        Lithops(EngineSettings(config=str(home / "config")))
    assert "\n" not in str(caught.value) and caught.value.hint
    assert list((home / "tmp").iterdir()) == []


def test_without_lithops_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cbtool.backends.on_lithops.engine", raising=False)
    monkeypatch.setitem(sys.modules, "lithops", None)
    with pytest.raises(ConfigError, match="No module named 'lithops'") as caught:
        load("backends", "lithops")
    assert caught.value.hint == "install it: pip install 'cbtool[lithops]'"
