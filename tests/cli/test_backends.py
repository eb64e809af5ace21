"""``cbtool backends``: the list, what it sets up, and what it finds when it looks whether an engine works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cbtool import checking
from cbtool.backends import probe
from cbtool.backends.local import Local
from cbtool.contracts import EngineSettings, Limits
from cbtool.extras import installed, named
from tests.conftest import S3
from tests.inprocess import Inline, command, refused


def test_the_list_says_what_is_ready() -> None:
    rows = [json.loads(line) for line in command("backends", "--json").stdout.splitlines()]
    assert {row["name"]: row["state"] for row in rows}.items() >= {"local": "ready", "lithops": "ready"}.items()


def test_check_has_workers_answer_and_measures(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("a line\n")
    words = ("--source", tmp_path / "some.txt", "-o", tmp_path / "out", "--tasks", "5", "-j", "2", "--json")
    found = json.loads(command("backends", "check", "local", *words).stdout)
    assert {name: found[name] for name in probe.versions()} == probe.versions()
    assert (found["backend"], found["tasks"], found["concurrency"], found["remote"]) == ("local", 5, 2, False)
    assert min(found["open_s"], found["first_s"], found["warm_s"], found["task_s"]) >= 0
    assert found["batched_s"] is None, "calls of this engine cost nothing that sharing them would save"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_check_measures_shared_calls_where_calls_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Inline):
        limits = Limits(overhead_s=0.1, memory_bytes=2**31, time_s=900)
        calls: list[int] = []

        def __init__(self, settings: EngineSettings) -> None:
            pass

        def submit(self, task: Any) -> Any:
            self.calls.append(len(task.get("tasks", [task])))
            return super().submit(task)

    monkeypatch.setattr("cbtool.session.load", lambda kind, name: Slow)
    found = checking.check("slow", EngineSettings(), n_tasks=6)
    # The first of the shared ones goes alone, to see what fits into the engine's time limit.
    assert Slow.calls == [1, 1, *[1] * 6, 1, 5]
    assert found["batched_s"] > 0 and (found["memory_bytes"], found["time_s"]) == (2**31, 900)


def test_check_of_a_worker_with_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "versions", lambda: {"cbtool": "9.9.9", "python": "3.11"})
    assert "the worker has cbtool 0.1.0, this side 9.9.9" in refused(78, "backends", "check", "local")


def test_check_of_places_that_workers_do_not_reach(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such" in refused(66, "backends", "check", "local", "--source", tmp_path / "none.txt")
    refused(73, "backends", "check", "local", "-o", "s3://no-such-bucket-at-all/out/")
    (tmp_path / "some.txt").write_text("a line\n")

    class Away(Local):
        def __init__(self, settings: EngineSettings) -> None:
            super().__init__(settings)
            self.limits = Limits(remote=True)

    monkeypatch.setattr("cbtool.session.load", lambda kind, name: Away)
    assert "lies on this machine" in refused(2, "backends", "check", "away", "--source", tmp_path / "some.txt")
    assert "a folder on this machine" in refused(2, "backends", "check", "away", "-o", tmp_path)


def test_setup_writes_a_dockerfile_and_says_what_is_next(tmp_path: Path) -> None:
    config = tmp_path / "lithops.yaml"
    config.write_text("lithops: {backend: k8s, storage: aws_s3}\n")
    done = command("backends", "setup", "lithops", "-o", tmp_path / "image", "--engine-config", config)
    assert done.exit_code == 0 and done.stdout == ""
    assert len(re.findall(r'"cbtool\[[a-z,]*lithops', (tmp_path / "image" / "Dockerfile").read_text())) == 1
    assert "Dockerfile is written; next:" in done.stderr and "lithops runtime build -b k8s" in done.stderr
    silent = command("backends", "setup", "lithops", "-o", tmp_path / "image", "--extras", "raster,imzml", "-q")
    assert silent.stderr == "" and "cbtool[imzml,lithops,raster]" in (tmp_path / "image" / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "status, words, said",
    [
        (2, ("mend",), "setup or check?"),
        (2, ("check",), "which?"),
        (2, ("check", "nosuch"), "no backend is called 'nosuch'"),
        (2, ("setup", "lithops"), "where to?"),
        (2, ("setup", "local", "-o", "image/"), "local: its workers need no image"),
        (2, ("setup", "lithops", "-o", "image/", "--extras", "nosuch"), "no extra is called 'nosuch'"),
        (78, ("check", "lithops", "--engine-config", "none.yaml"), "none.yaml: no such file"),
        (78, ("setup", "lithops", "-o", "image/", "--engine-config", "none.yaml"), "none.yaml: no such file"),
        (73, ("setup", "lithops", "-o", "/proc/image/"), "/proc/image"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(status, "backends", *words)
    assert list(tmp_path.iterdir()) == []


def test_extras_are_those_that_workers_may_need() -> None:
    assert {"raster", "lidar", "imzml"} <= set(named())
    assert not {"all", "dask", "lambda", "lithops"} & set(named())
    assert set(installed()) <= set(named())
