from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cbtool import reach, session
from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.contracts import EngineSettings, Limits
from cbtool.destination import open_destination
from cbtool.errors import ConfigError, MissingInput, NotAllowed, StaleError, Unavailable, UsageError, WorkerDied
from cbtool.job import Engine, Work, call_on_chunks, packed, run_job
from cbtool.plan import Plan
from cbtool.reach import check_places, probe
from cbtool.session import make_plan
from cbtool.sorting.keys import Key
from cbtool.sorting.shuffle import Route
from cbtool.sorting.sort import sort
from tests.conftest import S3
from tests.inprocess import Inline, refused
from tests.servers import Web


class Far(Inline):
    """An engine whose workers do not see this machine's files."""

    limits = Limits(remote=True)
    submitted = 0

    def submit(self, task: Any) -> Any:
        self.submitted += 1
        return super().submit(task)


def lines(s3: S3, chunks: int = 3) -> Plan:
    return make_plan([s3.put("some.txt", b"a line\n" * 100)], Options(chunks=chunks))


WRITE = Work("write")


def test_a_source_on_this_machine_is_refused_before_anything_starts(tmp_path: Path, s3: S3) -> None:
    (tmp_path / "some.txt").write_text("a\nb\n")
    plan = make_plan([str(tmp_path / "some.txt")], Options(chunks=2))
    far = Far()
    with pytest.raises(UsageError, match=r"some.txt: lies on this machine") as caught:
        run_job(plan, WRITE, open_destination(f"s3://{s3.bucket}/out"), Engine(far))
    assert caught.value.hint and "object storage" in caught.value.hint
    with pytest.raises(UsageError, match="lies on this machine"):
        call_on_chunks(plan, len, Engine(far))  # type: ignore[arg-type]
    assert far.submitted == 0 and "out" not in "".join(s3.keys())


def test_a_folder_of_this_machine_is_no_destination(tmp_path: Path, s3: S3) -> None:
    with pytest.raises(UsageError, match="a folder on this machine"):
        run_job(lines(s3), WRITE, open_destination(str(tmp_path / "out")), Engine(Far()))
    assert not (tmp_path / "out").exists()
    check_places(lines(s3), open_destination(f"s3://{s3.bucket}/out"))


def test_a_remote_run_looks_first_and_leaves_no_mark(s3: S3) -> None:
    far = Far()
    plan = lines(s3)
    run_job(plan, WRITE, open_destination(f"s3://{s3.bucket}/out"), Engine(far)).check()
    assert far.submitted == 1 + len(plan)
    assert not [key for key in s3.keys() if "probe" in key]


def test_an_index_is_made_by_the_engine_that_is_named(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    far = Far()
    monkeypatch.setattr(session, "load", lambda kind, name: lambda settings: far)
    s3.put("some.txt.gz", gzip.compress(b"a line\n" * 1000))
    (tmp_path / "some.txt.gz").write_bytes(s3.get("some.txt.gz"))
    uri = f"s3://{s3.bucket}/some.txt.gz"
    with session.opened([uri, str(tmp_path / "some.txt.gz")]) as (there, here):
        passes = session.indexer(2, name="far", settings=EngineSettings(2))
        assert [source for source, _ in passes([there], "text")] == [there]
        assert far.submitted == 1
        with pytest.raises(UsageError, match="lies on this machine"):
            list(passes([here], "text"))


def test_what_a_worker_lacks_is_said_before_the_run(s3: S3) -> None:
    far = Far()
    plan, out = lines(s3), open_destination(f"s3://{s3.bucket}/out")
    work = Work("command", {"command": ["no-such-command", "-x"], "ok": [0]})
    with pytest.raises(UsageError, match="no-such-command: no such command on the worker"):
        run_job(plan, work, out, Engine(far))
    assert far.submitted == 1
    with pytest.raises(ConfigError, match="no_such_module"):
        probe(far, {"modules": ["no_such_module"]})
    with pytest.raises(ConfigError, match="the worker has python"):
        probe(far, {"versions": {"python": "2.7"}})


def test_a_function_that_needs_a_missing_module_is_said_before_the_run(s3: S3, tmp_path: Path) -> None:
    import sys

    (tmp_path / "only_here.py").write_text("def count(chunk):\n    return 1\n")
    sys.path.insert(0, str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    function = packed(only_here.count)
    sys.path.remove(str(tmp_path))
    del sys.modules["only_here"]
    with pytest.raises(ConfigError, match="only_here") as caught:
        probe(Far(), {"function": function})
    assert caught.value.facts["missing"] == "only_here"


def test_a_source_that_changed_or_is_gone_is_met_by_the_probe(s3: S3) -> None:
    plan = lines(s3)
    s3.put("some.txt", b"another\n" * 100)
    with pytest.raises(StaleError):
        probe(Far(), {}, plan[0])
    s3.client.delete_object(Bucket=s3.bucket, Key="some.txt")
    with pytest.raises(MissingInput):
        probe(Far(), {}, plan[0])


def test_a_place_where_the_worker_may_not_write_is_met_by_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = open_destination(str(tmp_path / "out"))

    def denied(*_: Any) -> None:
        raise NotAllowed("denied")

    monkeypatch.setattr(type(out), "replace", denied)
    with pytest.raises(NotAllowed):
        probe(Far(), {}, destination=out)


def test_a_signed_url_that_is_given_again_goes_to_the_probe(web: Web, s3: S3) -> None:
    web.files["/some.txt"] = b"a line\n" * 100
    url = f"{web.url}/some.txt?signature=1"
    plan = Plan(Chunk.from_line(one.to_line()) for one in make_plan([url], Options(chunks=2)))
    web.log.clear()
    work = Work("write", unkeyed={"urls": [url]})
    run_job(plan, work, open_destination(f"s3://{s3.bucket}/signed"), Engine(Far())).check()
    assert {one.path for one in web.log} == {"/some.txt?signature=1"}


def test_an_engine_that_does_not_answer_is_69(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Far):
        def submit(self, task: Any) -> Any:
            return Future()

        def cancel(self, future: Any) -> None:
            future.set_exception(WorkerDied("ended"))

    monkeypatch.setattr(reach, "PROBE_S", 0.05)
    monkeypatch.setattr("cbtool.runner.BACKOFF_S", 0.001)
    with pytest.raises(Unavailable, match="no worker of the engine answered in 0.05 s"):
        probe(Silent(), {})


def test_a_sort_that_its_workers_cannot_do_reads_and_writes_nothing(tmp_path: Path, s3: S3) -> None:
    route = Route(lines(s3), Key(), 2)
    far = Far()
    with pytest.raises(UsageError, match="a folder on this machine"):
        sort(route, open_destination(str(tmp_path / "out")), Engine(far), memory_bytes=2**28, stem="x", suffix="")
    assert not (tmp_path / "out").exists() and far.submitted == 0


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_at_all_are_refused(workers: int, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("a\n")
    with pytest.raises(UsageError, match="at least 1"):
        EngineSettings(workers)
    assert "it must be at least 1" in refused(2, "run", tmp_path / "some.txt", "-j", str(workers), "--", "wc", "-l")


def test_options_that_exclude_each_other_are_refused_before_anything(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("a\n")
    words = ["run", str(tmp_path / "some.txt"), "-o", str(tmp_path / "out")]
    refused(2, *words, "--timeout", "5", "--tasks-per-call", "4", "--", "wc", "-l")
    refused(2, *words, "--scratch", "s3://bucket/tmp", "--", "wc", "-l")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError):
        Engine(Far(), timeout_s=1.0, tasks_per_call=2)


def test_an_unversioned_http_source_is_no_local_one(s3: S3) -> None:
    chunk = lines(s3)[0]
    far = replace(chunk, sources=tuple(replace(one, uri="https://host/some.txt") for one in chunk.sources))
    check_places([far], None)
