"""Shuffle and sort as steps of tasks: what they make, what they leave, and what they refuse."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cbtool
from cbtool import ledger
from cbtool.destination import open_destination
from cbtool.errors import CannotWrite, ChunksFailed, FormatError, UsageError
from cbtool.events import JobEvent
from cbtool.job import Engine
from cbtool.ledger import RunKey
from cbtool.sorting.keys import Key
from cbtool.sorting.shuffle import Route, sample, shuffled
from cbtool.sorting.sort import sort
from cbtool.stagers.shuffle import STEP
from fixtures import make
from tests.conftest import S3
from tests.inprocess import Inline, contents, plan_of, verified

MEMORY = 200_000_000
WORDS = [b"", b"a", b"b\r", b"the quick brown fox", b"the quick brown dog", b"\xff", b"\t", b"7"]
LINES = st.lists(
    st.one_of(st.sampled_from(WORDS), st.binary(max_size=30).map(lambda b: b.translate(None, b"\n\0")))
).map(lambda lines: b"\n".join(lines))


def text_plan(folder: Path, *texts: bytes, chunks: int = 3, form: str = "text") -> cbtool.Plan:
    """Return a plan of *texts*, which are written as files of *folder*."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(str(folder / f"in{number}.txt"))
        Path(paths[-1]).write_bytes(text)
    return plan_of(paths, form=form, chunks=chunks)


def sorted_parts(route: Route, place: str, backend: Inline | None = None, suffix: str = ".txt") -> list[bytes]:
    """Sort in this process into *place*, and return its parts; nothing else may be left there."""
    report = sort(
        route, open_destination(place), Engine(backend or Inline()), memory_bytes=MEMORY, stem="in0", suffix=suffix
    )
    report.check()
    destination = open_destination(place)
    names = [name for name, _ in destination.names() if not name.startswith(".cbtool/")]
    assert names == [name for made in report.made.values() for name in made]
    assert not list(destination.names(STEP))
    return [destination.read(name) or b"" for name in names]


def in_lines(*texts: bytes) -> list[bytes]:
    return [line for text in texts for line in (text[:-1] if text.endswith(b"\n") else text).split(b"\n") if text]


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        LINES.filter(lambda text: b"\0" not in text[:64] and text[:1] not in (b"\xff", b"\xfe")), min_size=1
    ),
    chunks=st.integers(1, 7),
    parts=st.integers(1, 7),
    reverse=st.booleans(),
)
def test_any_lines_in_any_parts_are_sorted(texts: list[bytes], chunks: int, parts: int, reverse: bool) -> None:
    if not any(texts) or any(text.startswith(b"\x1f\x8b") for text in texts):  # those would be gzip
        return
    # Nothing is to outlive a crash here, and syncing takes longer than all else.
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):
        plan = text_plan(Path(folder), *texts, chunks=chunks)
        found = sorted_parts(Route(plan, Key(descending=reverse), parts), f"{folder}/out")
    assert all(found) and len(found) <= parts
    wanted = sorted(in_lines(*texts), reverse=reverse)
    assert b"".join(found) == b"".join(line + b"\n" for line in wanted)


FIELDS = "".join(f"{i * 7919 % 101}\t{'ab'[i % 2]}{i % 13}\t{i * 31 % 17 - 8}.{i % 4}\n" for i in range(4000))
LIKE_GNU = [
    ([], Key()),
    (["-r"], Key(descending=True)),
    (["-k2"], Key(fields=(2, None))),
    (["-k2,2"], Key(fields=(2, 2))),
    (["-k2,2", "-r"], Key(fields=(2, 2), descending=True)),
    (["-n"], Key(numeric=True)),
    (["-k3,3", "-n"], Key(fields=(3, 3), numeric=True)),
    (["-k3", "-n", "-r"], Key(fields=(3, None), numeric=True, descending=True)),
    (["-k9,9"], Key(fields=(9, 9))),
]


@pytest.mark.parametrize(("flags", "key"), LIKE_GNU, ids=[" ".join(flags) or "all" for flags, _ in LIKE_GNU])
def test_gnu_sort_agrees(flags: list[str], key: Key, tmp_path: Path) -> None:
    text = FIELDS.encode() + make.lf()[:20_000] + b"\n\n-1.50\t\n  3\t9\n-\n.5\n-.5\n00\n1.50\t\n"
    plan = text_plan(tmp_path, text, chunks=5)
    found = b"".join(sorted_parts(Route(plan, key, 4), str(tmp_path / "out")))
    judge = ["sort", "-s", "-t", "\t", *flags, str(tmp_path / "in0.txt")]
    assert found == subprocess.run(judge, env={**os.environ, "LC_ALL": "C"}, stdout=-1, check=True).stdout


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_compressed_sources_sort_into_a_folder_and_a_bucket(kind: str, tmp_path: Path, s3: S3) -> None:
    texts = {"a.txt.gz": gzip.compress(make.lf()[:90_000]), "b.txt": make.crlf()[:30_000], "c.txt": b"\nlast"}
    texts["d.txt.gz"] = make.bgzf(make.no_final_newline()[-40_000:])
    if kind == "s3":
        uris, place = [s3.put(name, data) for name, data in texts.items()], f"s3://{s3.bucket}/sorted"
    else:
        uris, place = [str(tmp_path / name) for name in texts], str(tmp_path / "sorted")
        for uri, data in zip(uris, texts.values(), strict=True):
            Path(uri).write_bytes(data)
    found = sorted_parts(Route(plan_of(uris, chunks=6), Key(), 5), place)
    plain = [gzip.decompress(data) if name.endswith(".gz") else data for name, data in texts.items()]
    assert b"".join(found) == b"".join(line + b"\n" for line in sorted(in_lines(*plain)))
    assert len(found) == 5 and max(map(len, found)) < 1.5 * sum(map(len, found)) / 5
    if kind == "s3":
        assert s3.uploads() == 0


def test_fixed_records_are_valid_by_count_order_and_hashes(tmp_path: Path) -> None:
    data: bytes = random.Random(1).randbytes(100 * 3000)
    plan = text_plan(tmp_path, data[: 100 * 1700], data[100 * 1700 :], chunks=4, form="fixed:100")
    found = sorted_parts(Route(plan, Key(span=(0, 10)), 3), str(tmp_path / "out"), suffix=".bin")
    records = [data[at : at + 100] for at in range(0, len(data), 100)]
    wanted = sorted(records, key=lambda record: record[:10])
    assert b"".join(found) == b"".join(wanted)
    Path(tmp_path / "joined").write_bytes(b"".join(found))
    before, after = verified(plan), verified(plan_of([str(tmp_path / "joined")], form="fixed:100", chunks=2))
    assert (before.records, before.total) == (after.records, after.total) == (3000, before.total)


def test_few_keys_make_fewer_parts_and_equal_keys_stay_in_order(tmp_path: Path) -> None:
    lines = [b"%d\t%d" % (i % 2, i) for i in range(5000)]
    plan = text_plan(tmp_path, b"\n".join(lines), chunks=4)
    found = sorted_parts(Route(plan, Key(fields=(1, 1)), 7), str(tmp_path / "out"))
    assert [len(in_lines(part)) for part in found] == [2500, 2500]
    assert in_lines(b"".join(found)) == sorted(lines, key=lambda line: line[:1])


def test_samples_are_the_same_every_time_and_small_reads(tmp_path: Path) -> None:
    data = b"".join(b"%08d\n" % (i * 7919 % 10**8) for i in range(200_000))
    plan = text_plan(tmp_path, data, chunks=3)
    route = Route(plan, Key(), 10, sampled=plan_of([str(tmp_path / "in0.txt")], chunks=20))
    first = sample(route)
    assert first == sample(route) == sorted(set(first)) and len(first) == 9
    found = sorted_parts(route, str(tmp_path / "out"))
    assert max(map(len, found)) < 1.2 * len(data) / 10


class Counted(Inline):
    """Counts what it is given, and refuses from some task on."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[str] = []
        self.stop_at = stop_at

    def submit(self, task):  # type: ignore[no-untyped-def]
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append(task["call"].partition(":")[0].rpartition(".")[2])
        return super().submit(task)


def test_wherever_it_is_stopped_the_next_run_does_the_rest(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    route = Route(plan, Key(), 3)
    wanted = sorted_parts(route, str(tmp_path / "undisturbed"))
    for stop_at in range(8):
        place = str(tmp_path / f"stopped-{stop_at}")
        first, second = Counted(stop_at), Counted()
        if stop_at < 7:
            with pytest.raises(KeyboardInterrupt):
                sorted_parts(route, place, first)
        else:
            sorted_parts(route, place, first)
        assert sorted_parts(route, place, second) == wanted
        assert first.calls + second.calls == ["shuffle"] * 4 + ["sort"] * 3
        assert sorted_parts(route, place, Counted(0)) == wanted


def test_the_ledger_speaks_of_the_step_that_is_under_way(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    place = open_destination(str(tmp_path / "out"))
    seen = []

    def look(event: JobEvent) -> None:
        if event.kind == "begin":
            status = ledger.status(place)
            seen.append((len(status.done), len(status.to_come), status.run["task"]))

    sort(Route(plan, Key(), 3), place, Engine(Inline(), on_event=look), memory_bytes=MEMORY, stem="in0", suffix=".txt")
    assert seen == [(0, 4, "sort"), (0, 3, "sort")]
    status = ledger.status(place)
    assert (status.done, status.to_come, status.failed) == ([0, 1, 2], [], {})
    assert {record["step"] for record in ledger.records(place)} == {"shuffle", "sort"}


def test_lost_runs_are_made_again_and_a_lost_part_is_found_out(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    route, place = Route(plan, Key(), 3), str(tmp_path / "out")
    wanted = sorted_parts(route, place)
    (tmp_path / "out" / "in0-00001.txt").unlink()
    backend = Counted()
    assert sorted_parts(route, place, backend) == wanted
    assert backend.calls == ["shuffle"] * 4 + ["sort"]
    (tmp_path / "out" / "in0-00001.txt").write_bytes(b"somebody else's")
    with pytest.raises(FormatError, match="15 bytes, not"):
        sorted_parts(route, place)


def test_a_destination_of_another_run_or_of_somebody_else_is_refused(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    place = str(tmp_path / "out")
    sorted_parts(Route(plan, Key(), 3), place)
    others = [
        (Route(plan, Key(descending=True), 3), "by .*false.* there, .*true"),
        (Route(plan, Key(), 4), "parts 3 there"),
    ]
    for route, said in others:
        with pytest.raises(CannotWrite, match=f"belongs to another run: {said}"):
            sorted_parts(route, place)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "in0-00000.txt").write_bytes(b"mine")
    with pytest.raises(CannotWrite, match="in0-00000.txt is there already"):
        sorted_parts(Route(plan, Key(), 3), str(tmp_path / "mine"))
    assert os.listdir(tmp_path / "mine") == ["in0-00000.txt"]


def test_what_cannot_be_shuffled_is_told_before_anything_is_begun(tmp_path: Path) -> None:
    (tmp_path / "utf16.txt").write_bytes(make.utf16_le())
    (tmp_path / "reads.fastq").write_bytes(make.strict())
    for mate, reads in enumerate(make.mates(20, seed=1, prefix="p"), 1):
        (tmp_path / f"p_{mate}.fastq").write_bytes(reads)
    mates = [str(tmp_path / f"p_{mate}.fastq") for mate in (1, 2)]
    refused = [
        (plan_of([str(tmp_path / "utf16.txt")], chunks=2), "utf-16"),
        (plan_of([str(tmp_path / "reads.fastq")], chunks=2), "need a key function"),
        (plan_of(mates, chunks=2, paired=True), "mates"),
    ]
    for plan, said in refused:
        with pytest.raises(UsageError, match=said):
            sorted_parts(Route(plan, Key(), 2), str(tmp_path / "out"))
    plan = text_plan(tmp_path, b"a\nb\n")
    with pytest.raises(UsageError, match="splitters must be sorted"):
        sorted_parts(Route(plan, Key(), 3, (b"b", b"a")), str(tmp_path / "out2"))


def test_a_failing_task_fails_the_run_and_says_so(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    (tmp_path / "in0.txt").write_bytes(make.lf()[:60_000])  # a new version
    with pytest.raises(ChunksFailed, match="4 of 4"):
        sorted_parts(Route(plan, Key(), 1), str(tmp_path / "out"))


def test_a_mark_of_utf8_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, b"\xef\xbb\xbfb\na\n" * 1, b"c\n", chunks=1)
    assert sorted_parts(Route(plan, Key(), 1), str(tmp_path / "out")) == [b"a\nb\nc\n"]


def test_runs_cut_at_other_splitters_are_not_mixed(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=2)
    route, place = Route(plan, Key(), 3), open_destination(str(tmp_path / "out"))
    run = RunKey(plan.id, 2, "shuffle", {})
    how = {"memory_bytes": MEMORY, "stem": "x", "suffix": ".txt"}
    assert shuffled(route, place, Engine(Inline()), run, **how)[1] is not None  # type: ignore[arg-type]
    place.replace(f"{STEP}splitters.json", [b"[]"])
    place.delete(f"{STEP}00001")
    with pytest.raises(FormatError, match="different splitters"):
        shuffled(route, place, Engine(Inline()), run, **how)  # type: ignore[arg-type]


def test_more_runs_than_a_plan_can_tell_of_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbtool.sorting.shuffle.MOST_RUNS", 3)
    with pytest.raises(UsageError, match="4 sorted runs are too many"):
        sorted_parts(Route(text_plan(tmp_path, make.lf(), chunks=4), Key(), 2), str(tmp_path / "out"))


def by_length(records: list[bytes]) -> list[int]:
    return [len(record.split(b"\n")[1]) for record in records]


def test_reads_are_routed_by_a_function_and_the_new_plan_is_a_plan_like_any_other(tmp_path: Path) -> None:
    reads = make.fastq_no_final_newline()
    (tmp_path / "reads.fastq").write_bytes(reads)
    plan = cbtool.partition(tmp_path / "reads.fastq", chunks=3)
    made = cbtool.shuffle(plan, by_length, [60, 90], to=tmp_path / "routed", workers=2)
    assert made.id != plan.id and [chunk.name for chunk in made] == [f"reads-0000{i}.fastq" for i in range(len(made))]
    found = [contents(chunk)[0].split(b"\n") for chunk in made]
    lengths = [{len(line) for line in lines[1::4]} for lines in found]
    assert len(made) > 1 and all(max(a) < min(b) for a, b in zip(lengths, lengths[1:], strict=False))
    records = sorted(tuple(lines[at : at + 4]) for lines in found for at in range(0, len(lines) - 1, 4))
    lines = reads.split(b"\n")
    assert records == sorted(tuple(lines[at : at + 4]) for at in range(0, len(lines), 4))
    assert sum(chunk.records or 0 for chunk in made) == len(records)
    made.save(str(tmp_path / "routed.plan"))
    assert cbtool.run(cbtool.read_plan(tmp_path / "routed.plan"), lambda chunk: chunk.open().read().count(b"\n")) == [
        4 * (chunk.records or 0) for chunk in made
    ]
    again = cbtool.shuffle(plan, by_length, [60, 90], to=tmp_path / "routed", workers=1)
    assert [chunk.to_line() for chunk in again] == [chunk.to_line() for chunk in made]
    with pytest.raises(CannotWrite, match="another run"):
        cbtool.shuffle(plan, by_length, [60], to=tmp_path / "routed")


def test_a_routed_chunk_says_what_it_reads(tmp_path: Path) -> None:
    plan = text_plan(tmp_path, make.lf()[:60_000], chunks=4)
    made = cbtool.shuffle(plan, Key(), to=tmp_path / "routed", parts=3, workers=1)
    lines = in_lines(make.lf()[:60_000])
    assert [chunk.core for chunk in made][0] == {"records": [0, made[0].records]}
    assert sum(chunk.n_bytes for chunk in made) == sum(len(line) + 1 for line in lines)
    for chunk in made:
        assert chunk.requests == len(chunk.sources) == 4 and chunk.exact
        assert len(contents(chunk)[0]) == chunk.n_bytes == chunk.weight
