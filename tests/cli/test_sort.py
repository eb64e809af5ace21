"""`cbtool sort` as people type it, and as processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cbtool.sorting.blocks import LEAST_BYTES
from tests.conftest import S3
from tests.inprocess import command, refused
from tests.processes import alive, begin, cbtool, session_of, until

TEXT = "".join(f"{i * 7919 % 10007} {'xyz'[i % 3]}\n" for i in range(20_000))
IN_ORDER = "".join(sorted(TEXT.splitlines(keepends=True)))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "some.txt").write_text(TEXT)
    return tmp_path


def parts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def everything(work: Path) -> list[str]:
    """Return all that lies in *work*."""
    return sorted(path.name for path in work.iterdir() if path.name not in ("tmp", "some.txt"))


def test_into_a_file_to_stdout_and_into_a_folder(work: Path) -> None:
    done = cbtool("sort", "some.txt", "-o", "out.txt", cwd=work)
    assert (work / "out.txt").read_text() == IN_ORDER and done.stdout == ""
    assert everything(work) == ["out.txt"]
    assert cbtool("sort", "some.txt", "-q", cwd=work).stdout == IN_ORDER
    assert everything(work) == ["out.txt"] and list((work / "tmp").iterdir()) == []
    said = cbtool("sort", "some.txt", "-n", "3", "-o", "many", "--name", "part", "--json", cwd=work).stdout
    found = parts(work / "many")
    assert json.loads(said)["outputs"] == list(found) == ["part-00000.txt", "part-00001.txt", "part-00002.txt"]
    assert "".join(found.values()) == IN_ORDER
    again = cbtool("sort", "some.txt", "-n", "3", "-o", "many", "--name", "part", cwd=work)
    assert "3 of 3 chunks done, 3 of them before" in again.stderr and parts(work / "many") == found
    assert "3 of 3 chunks done" in cbtool("status", "many", cwd=work).stdout


def test_a_file_is_replaced_and_its_own_source_may_be_it(work: Path) -> None:
    (work / "out.txt").write_text("old")
    command("sort", work / "some.txt", "-o", work / "out.txt", "-q", "-r")
    assert (work / "out.txt").read_text().splitlines() == IN_ORDER.splitlines()[::-1]
    command("sort", work / "out.txt", "-o", work / "out.txt", "-q")
    assert (work / "out.txt").read_text() == IN_ORDER


def test_the_same_bytes_whatever_the_workers_and_the_memory(work: Path) -> None:
    for place, words in (("a", ["-j", "1"]), ("b", ["-j", "3", "--memory", "2GB"])):
        cbtool("sort", "some.txt", "-n", "4", "-o", f"{place}/", *words, cwd=work)
    assert parts(work / "a") == parts(work / "b") and len(parts(work / "a")) == 4


def test_options_as_of_gnu_sort(work: Path) -> None:
    (work / "t.csv").write_text("b,10,x\na,9,y\nc,-1,x\nb,2,z\n")

    def found(*words: str) -> str:
        return command("sort", work / "t.csv", "-q", "-t", ",", "-o", work / "o", *words).stderr or (
            (work / "o").read_text().replace("\n", " ")
        )

    assert found("-k", "2,2", "--numeric") == "c,-1,x b,2,z a,9,y b,10,x "
    assert found("-k", "3") == "b,10,x c,-1,x a,9,y b,2,z "
    assert found("-k1,1", "-r") == "c,-1,x b,10,x b,2,z a,9,y "
    assert found("--key-bytes", "1:3") == "c,-1,x b,10,x b,2,z a,9,y "


def test_records_in_a_bucket(s3: S3) -> None:
    records = [os.urandom(20) for _ in range(2000)]
    uri = s3.put("in.bin", b"".join(records))
    command("sort", uri, "--record-size", "20", "--key-bytes", "2:6", "-n", "2", "-q", "-o", f"s3://{s3.bucket}/out/")
    names = [key for key in s3.keys() if key.startswith("out/in-")]
    assert names == ["out/in-00000.bin", "out/in-00001.bin"]
    wanted = sorted(records, key=lambda record: record[2:6])
    assert b"".join(map(s3.get, names)) == b"".join(wanted)
    assert not [key for key in s3.keys() if "shuffle" in key]
    command("sort", uri, "--record-size", "20", "--key-bytes", "2:6", "-q", "-o", f"s3://{s3.bucket}/one.bin")
    assert s3.get("one.bin") == b"".join(wanted)
    assert not [key for key in s3.keys() if "cbtool-sort" in key]


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (2, ["-k", "0"], "fields count from 1"),
        (2, ["-k", "x"], "-k x: not understood"),
        (2, ["-k", "3,2"], "nothing between"),
        (2, ["--key-bytes", "4:4"], "nothing between"),
        (2, ["--key-bytes", "4"], "not understood"),
        (2, ["-t", "ab"], "not one byte"),
        (2, ["--record-size", "10", "-k", "1"], "-k is for fields of lines"),
        (2, ["--record-size", "10", "--key-bytes", "8:12"], "not within a record"),
        (2, ["--record-size", "0"], "fixed:0"),
        (65, ["--record-size", "7"], "not whole records of 7"),
        (2, ["-n", "2", "--size", "1MB"], "exclude each other"),
        (2, ["--memory", "1MB"], "too little"),
        (2, ["--json"], "--json tells"),
        (2, ["--name", "a b", "-n", "2"], ""),
    ],
)
def test_what_makes_no_sense_is_refused(work: Path, status: int, words: list[str], said: str) -> None:
    if said:
        assert said in refused(status, "sort", work / "some.txt", "-o", work / "out", "-q", *words)
        assert everything(work) == []
    else:
        command("sort", work / "some.txt", "-o", work / "out", "-q", *words)
        assert everything(work) == ["out"] and list(parts(work / "out"))[0] == "a_b-00000.txt"


def test_sources_that_cannot_be_sorted(work: Path) -> None:
    (work / "empty.txt").write_bytes(b"")
    (work / "binary").write_bytes(b"\0\1\2" * 100)
    refused(65, "sort", work / "empty.txt", "-o", work / "out", "-q")
    refused(65, "sort", work / "binary", "-o", work / "out", "-q")
    refused(66, "sort", work / "none.txt", "-o", work / "out", "-q")
    refused(73, "sort", work / "some.txt", "-o", work / "some.txt" / "out", "-q")
    assert everything(work) == ["binary", "empty.txt"]


def test_killed_at_any_moment_the_same_command_does_the_rest(work: Path) -> None:
    (work / "big.txt").write_text(TEXT * 150)
    words = ("sort", "big.txt", "-n", "6", "-o", "out/", "-j", "2", "-q")
    shuffle = work / "out" / ".cbtool" / "shuffle"
    moments: list[Callable[[], bool]] = [
        lambda: (work / "out" / ".cbtool" / "run.json").exists(),
        lambda: any(path.name.isdecimal() for path in shuffle.glob("*")),
        lambda: any((work / "out").glob("big-*.txt")),
    ]
    for moment in moments:
        _kill_when(moment, words, work)
    cbtool(*words, cwd=work)
    found = parts(work / "out")
    assert "".join(found.values()) == "".join(sorted((TEXT * 150).splitlines(keepends=True)))
    assert len(found) == 6
    left = [path.name for path in (work / "out").rglob("*") if path.is_file() and "shuffle" in str(path)]
    assert left == []


def _kill_when(moment: Callable[[], bool], words: Sequence[str], work: Path) -> None:
    process = begin(*words, cwd=work)
    try:
        until(lambda: moment() or process.poll() is not None, 60)
    finally:
        process.kill()
        process.wait()
    until(lambda: not alive(session_of(process.pid)))


def test_interrupted_and_begun_again_into_a_file(work: Path) -> None:
    (work / "big.txt").write_text(TEXT * 100)
    words = ("sort", "big.txt", "-o", "out.txt", "-q")
    process = begin(*words, cwd=work)
    until(lambda: (work / "out.txt.cbtool-sort").exists() or process.poll() is not None, 60)
    process.send_signal(signal.SIGTERM)
    process.wait()
    until(lambda: not alive(session_of(process.pid)))
    cbtool(*words, cwd=work)
    assert (work / "out.txt").read_text() == "".join(sorted((TEXT * 100).splitlines(keepends=True)))
    assert everything(work) == ["big.txt", "out.txt"]


@pytest.mark.parametrize("kind", ["short", "same", "number"])
def test_memory_is_what_was_allowed(kind: str, tmp_path: Path) -> None:
    """Lines that are much shorter than what is kept of each, and keys that no splitter parts."""
    lines = {"short": b"%d\n", "same": b"%d\t" + b"x" * 60 + b"\n", "number": b"%d\n"}[kind]
    n_lines = 1_000_000
    text = b"".join(lines % (i * 7919 % 99_991) for i in range(n_lines))
    (tmp_path / "a.txt").write_bytes(text)
    words = {"short": [], "same": ["-k", "2,2"], "number": ["--numeric"]}[kind]
    memory = str(LEAST_BYTES)
    cbtool("sort", "a.txt", "-o", "out/", "-n", "2", "-j", "1", "--memory", memory, *words, cwd=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "out/.cbtool/attempts.jsonl").read_text().splitlines()]
    assert max(record.get("runs", 0) for record in records) >= 3
    assert max(record["spent"]["peak_bytes"] for record in records) < int(memory)
    gnu = ["sort", "-s", "-t", "\t", *{"short": [], "same": ["-k2,2"], "number": ["-n"]}[kind], "a.txt"]
    judge = subprocess.run(gnu, cwd=tmp_path, env={**os.environ, "LC_ALL": "C"}, stdout=-1, check=True).stdout
    assert b"".join(path.read_bytes() for path in sorted((tmp_path / "out").glob("*.txt"))) == judge
