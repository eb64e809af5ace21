from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cbtool import ledger as ledgers
from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.destination import Destination, Folder, open_destination
from cbtool.errors import CannotWrite, FormatError, MissingInput, TaskFailed, UsageError
from cbtool.events import JobEvent
from cbtool.job import Work, name_outputs, run_key
from cbtool.ledger import Ledger, RunKey
from tests.conftest import EVERY_S3, S3


def chunk(number: int, name: str | None = None) -> Chunk:
    name = name or f"x-{number:05}.txt"
    sources = (SourceRanges("x.txt", "v", 10, ((number, 1),)),)
    return Chunk(
        "plan1", number, 3, "text", True, name, sources, (PartOf(name, (0,)),), None, 1, "bytes", None, None, 1, 1, {}
    )


CHUNKS = [chunk(number) for number in range(3)]
MADE = [(one, [f"{one.stem}.out"]) for one in CHUNKS]
KEY = RunKey("plan1", 3, "command", {"command": ["wc", "-l"], "ext": ".out"})


@pytest.fixture(params=["folder", *EVERY_S3])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    if request.param == "folder":
        return open_destination(str(tmp_path / "dest"))
    s3: S3 = request.getfixturevalue("rgw" if request.param == "rgw" else "s3")
    return open_destination(f"s3://{s3.bucket}/dest")


def test_a_claim_is_written_first_and_found_again(destination: Destination) -> None:
    Ledger.claim(destination, KEY, MADE)
    run = json.loads(destination.read(ledgers.RUN) or b"")
    assert (run["plan"], run["chunks"], run["parameters"]["command"]) == ("plan1", 3, ["wc", "-l"])
    assert [json.loads(line) for line in (destination.read(ledgers.PLAN) or b"").splitlines()] == [
        json.loads(one.to_line()) for one in CHUNKS
    ]
    Ledger.claim(destination, KEY, MADE)


@pytest.mark.parametrize(
    "key, said",
    [
        (RunKey("plan2", 3, "command", KEY.parameters), "plan plan1 there, plan2 here"),
        (RunKey("plan1", 4, "command", KEY.parameters), "chunks 3 there, 4 here"),
        (RunKey("plan1", 3, "command", {**KEY.parameters, "command": ["wc", "-c"]}), "wc -l there, wc -c here"),
        (RunKey("plan1", 3, "write", {}), "task command there, write here"),
    ],
)
def test_another_run_is_refused_and_both_are_shown(destination: Destination, key: RunKey, said: str) -> None:
    Ledger.claim(destination, KEY, MADE)
    with pytest.raises(CannotWrite, match=said):
        Ledger.claim(destination, key, MADE)


def test_outputs_that_no_run_made_are_refused(destination: Destination) -> None:
    destination.create("x-00001.out", [b"mine"])
    with pytest.raises(CannotWrite, match="x-00001.out is there already"):
        Ledger.claim(destination, KEY, MADE)
    assert destination.read(ledgers.RUN) is None


def test_a_folder_that_no_run_made_is_refused(destination: Destination) -> None:
    destination.create("x-00001/mine.txt", [b"mine"])
    with pytest.raises(CannotWrite, match="x-00001/ is there already"):
        Ledger.claim(destination, KEY, [(one, [f"{one.stem}/"]) for one in CHUNKS])


def test_force_removes_just_what_the_old_ledger_names(destination: Destination) -> None:
    made = [(one, [f"{one.stem}.out", f"{one.stem}/"]) for one in CHUNKS]
    Ledger.claim(destination, KEY, made).record(chunk=0, ended="done")
    for name in ("x-00000.out", "x-00000/a.txt", "x-00000/b/c.txt", ledgers.proof("x-00000/"), "mine.out"):
        destination.create(name, [b"1"])
    other = RunKey("plan1", 3, "command", {"command": ["wc", "-c"], "ext": ".out"})
    Ledger.claim(destination, other, MADE, force=True)
    names = [name for name, _ in destination.names() if not name.startswith(ledgers.HOME)]
    assert names == ["mine.out"]
    assert list(ledgers.records(destination)) == []


def test_force_does_not_remove_what_no_ledger_names(destination: Destination) -> None:
    destination.create("x-00001.out", [b"mine"])
    with pytest.raises(CannotWrite):
        Ledger.claim(destination, KEY, MADE, force=True)


def test_a_chunk_is_done_if_all_its_outputs_are_there(destination: Destination) -> None:
    made = {0: ["a", "b"], 1: ["c"], 2: ["d/"], 3: ["e/"]}
    for name in ("a", "c", "d/file", "e/file", ledgers.proof("e/")):
        destination.create(name, [b""])
    assert ledgers.done(destination, made) == {1, 3}


def test_status_says_done_failed_and_to_come(destination: Destination) -> None:
    ledger = Ledger.claim(destination, KEY, MADE)
    destination.create("x-00000.out", [b"1"])
    ledger.record(chunk=0, attempt=1, ended="failed", error="at first")
    ledger.record(chunk=1, attempt=1, ended="retry", error="exit status 1")
    ledger.record(chunk=1, attempt=2, ended="failed", error="exit status 2")
    ledger.close()
    found = ledgers.status(destination)
    assert (found.done, found.to_come) == ([0], [2])
    assert found.failed[1]["error"] == "exit status 2"


def test_no_run_has_no_status(destination: Destination) -> None:
    with pytest.raises(MissingInput):
        ledgers.status(destination)


def test_records_on_object_storage_are_gathered(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "SEGMENT_RECORDS", 10)
    destination = open_destination(f"s3://{s3.bucket}/dest")
    two = [Ledger(destination), Ledger(destination)]
    for n in range(25):
        for ledger in two:
            ledger.record(chunk=n, ended="done")
    for ledger in two:
        ledger.close()
    assert len([key for key in s3.keys() if "attempts-" in key]) == 6
    assert sorted(record["chunk"] for record in ledgers.records(destination)) == sorted([*range(25)] * 2)


@pytest.mark.parametrize("destination", EVERY_S3, indirect=True)
def test_a_segment_holds_a_thousand_records_and_is_written_when_it_is_full(destination: Destination) -> None:
    ledger = Ledger(destination)
    for n in range(2500):
        ledger.record(chunk=n, ended="done")
    segments = [name for name, _ in destination.names(ledgers.SEGMENTS)]
    assert segments == [f"{ledgers.SEGMENTS}{n:05}.jsonl" for n in range(2)]
    assert [len((destination.read(name) or b"").splitlines()) for name in segments] == [1000, 1000]
    ledger.close()
    ledger.close()
    assert len(list(destination.names(ledgers.SEGMENTS))) == 3
    assert [record["chunk"] for record in ledgers.records(destination)] == [*range(2500)]


@pytest.mark.parametrize("destination", EVERY_S3, indirect=True)
def test_a_segment_is_written_when_its_first_record_is_old(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(destination)
    ledger.record(chunk=0, ended="done")
    assert list(destination.names(ledgers.SEGMENTS)) == []
    monkeypatch.setattr(ledgers, "SEGMENT_S", 0.0)
    ledger.record(chunk=1, ended="done")
    assert [record["chunk"] for record in ledgers.records(destination)] == [0, 1]


def test_a_record_cut_off_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    destination = Folder(str(tmp_path))
    ledger = Ledger.claim(destination, KEY, MADE)
    ledger.record(chunk=0, ended="done")
    with open(destination.locate(ledgers.ATTEMPTS), "a") as file:
        file.write('{"chunk": 1, "end')
    assert [record["chunk"] for record in ledgers.records(destination)] == [0]


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', "{"])
def test_a_damaged_ledger_is_one_clear_line(tmp_path: Path, content: str) -> None:
    destination = Folder(str(tmp_path))
    destination.create(ledgers.RUN, [content.encode()])
    with pytest.raises(FormatError, match="not a ledger"):
        Ledger.claim(destination, KEY, MADE)


def test_names_in_a_ledger_do_not_lead_out_of_the_destination(tmp_path: Path) -> None:
    destination = Folder(str(tmp_path / "dest"))
    (tmp_path / "precious").write_text("mine")
    Ledger.claim(destination, KEY, MADE)
    destination.replace(ledgers.OUTPUTS, [b'{"chunk": 0, "outputs": ["../precious"]}\n'])
    with pytest.raises(FormatError):
        Ledger.claim(destination, KEY, MADE, force=True)
    assert (tmp_path / "precious").exists()


def test_a_part_of_a_plan_adds_to_what_is_there(tmp_path: Path) -> None:
    destination = Folder(str(tmp_path))
    Ledger.claim(destination, KEY, MADE[:1])
    Ledger.claim(destination, KEY, MADE[1:])
    assert sorted(ledgers.outputs(destination)) == [0, 1, 2]


def test_the_key_of_some_chunks_is_that_of_all() -> None:
    work = Work("write")
    assert run_key(CHUNKS[:1], work) == run_key(CHUNKS, work)


def test_two_equal_output_names_are_refused() -> None:
    with pytest.raises(UsageError, match="would both write"):
        name_outputs([chunk(0, "same.txt"), chunk(1, "same.txt")], Work("write"))


def test_a_record_keeps_what_a_failed_command_said(tmp_path: Path) -> None:
    from cbtool.job import recorded
    from cbtool.runner import Outcome

    error = TaskFailed("exit status 4: no", exit_status=4, stderr="oh\nno\n")
    record: dict[str, Any] = recorded(JobEvent("failed", CHUNKS[1], 2, Outcome(1, None, error, 2, 0.5), error))
    assert record["chunk"] == 1 and record["exit_status"] == 4 and record["stderr"] == "oh\nno\n"


def test_a_removed_destination_starts_anew(tmp_path: Path) -> None:
    claim: Callable[..., Ledger] = Ledger.claim
    claim(Folder(str(tmp_path / "d")), KEY, MADE)
    shutil.rmtree(tmp_path / "d")
    claim(Folder(str(tmp_path / "d")), RunKey("plan2", 3, "write", {}), MADE)


def test_a_record_that_cannot_be_kept_is_no_reason_to_stop(destination: Destination, monkeypatch: Any) -> None:
    ledger = Ledger.claim(destination, KEY, MADE)

    def full(*_: Any) -> None:
        raise CannotWrite("no space left")

    monkeypatch.setattr(ledgers._Segment, "add", full)
    ledger.record(chunk=1, attempt=1, ended="done")
    ledger.close()
    assert isinstance(ledger.trouble, CannotWrite)
