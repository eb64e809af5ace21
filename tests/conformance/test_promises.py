"""The promises of cbtool, each for every case and in every store. How a format joins them: `cases.py`."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cbtool import source as sources
from cbtool.chunk import Chunk, PartOf
from cbtool.destination import open_destination
from cbtool.errors import CbtoolError, FormatError, NotAllowed, StaleError
from cbtool.plan import Plan
from cbtool.reading import open_parts
from cbtool.source import open_source
from tests.conformance.cases import Case, Files, truth
from tests.conformance.conftest import Store
from tests.inprocess import command, contents, differences, environment, plan_of, process, refused
from tests.servers import Web

COUNTS = (1, 2, 3, 7, 64)


def made(case: Case, store: Store, **asked: Any) -> Plan:
    return plan_of([store.at(name) for name in case.files()], paired=case.paired, form=case.form, **asked)


def asked(case: Case, store: Store) -> Iterator[dict[str, Any]]:
    """Yield what a partition is asked for; less of it where every request takes time."""
    counts = COUNTS if store.kind == "folder" else (7,)
    if case.on_the_fly:
        yield from ({"chunks": n, "on_the_fly": True} for n in counts)
    yield from ({"chunks": n} for n in counts)
    for by in case.weights[1:] if store.kind == "folder" else ():
        yield {"chunks": 16, "by": by}
    yield {"records": 97}


# --- 1: nothing is lost, nothing is there twice ----------------------------------------------------------------------


def test_1_all_chunks_together_hold_every_record_once_and_in_order(case: Case, store: Store) -> None:
    files = case.files()
    store.put_all(files)
    wanted = truth(case, files)
    for question in asked(case, store):
        plan = made(case, store, **question)
        parts = [contents(chunk) for chunk in plan]
        found = [[case.split(data) for data in part] for part in parts]
        for part, records in enumerate(wanted):
            assert ordered(case, [r for one in found for r in one[part]]) == ordered(case, records), question
        for chunk, one in zip(plan, found, strict=True):
            assert chunk.of == len(plan) <= question.get("chunks", 1 << 30)
            if chunk.exact:
                assert chunk.records == sum(map(len, one)), question
            assert all(one) or not (chunk.exact or case.is_ordered), f"{question}: chunk {chunk.chunk} is empty"
        if plan[0].exact:
            _cores_tile(plan, len(wanted[0]))


def ordered(case: Case, records: list[bytes]) -> list[bytes]:
    """Return *records* as they may be compared: in their order, if the format keeps that."""
    return records if case.is_ordered else sorted(records)


def _cores_tile(plan: Plan, n_records: int) -> None:
    if plan[0].core and "box" in plan[0].core:
        assert sum(chunk.records or 0 for chunk in plan) == n_records
        return
    edges = [chunk.core["records"] for chunk in plan if chunk.core]
    assert [a for a, _ in edges] + [n_records] == [0] + [b for _, b in edges]


def test_1_verify_agrees(case: Case, store: Store) -> None:
    store.put_all(case.files())
    for question in [{"chunks": 7}, *([{"chunks": 5, "on_the_fly": True}] if case.on_the_fly else [])]:
        assert set(differences(made(case, store, **question))) == {None}


def removed(records: list[bytes]) -> list[bytes]:
    return records[1:]


def doubled(records: list[bytes]) -> list[bytes]:
    return [records[0], *records]


def changed(records: list[bytes]) -> list[bytes]:
    at = max(range(len(records)), key=lambda i: len(records[i]))
    one = bytearray(records[at])
    one[1] ^= 1
    return [*records[:at], bytes(one), *records[at + 1 :]]


def swapped(records: list[bytes]) -> list[bytes]:
    at = next(i for i in range(len(records) - 1) if records[i] != records[i + 1])
    return [*records[:at], records[at + 1], records[at], *records[at + 2 :]]


def twice_for_another(records: list[bytes]) -> list[bytes]:
    """Put a record in the place of another: the count is as it was."""
    at = next(i for i in range(len(records) - 1) if records[i] != records[i + 1])
    return [*records[:at], records[at + 1], *records[at + 1 :]]


def test_1_verify_fails_when_a_written_chunk_is_not_as_planned(placed: tuple[Case, Store]) -> None:
    case, store = placed
    store.put_all(case.files())
    plan = made(case, store, chunks=3)
    written = _write(plan, store.at("out"))
    assert set(differences(plan, store.at("out"))) == {None}
    name = written[-1]
    whole = store.get(f"out/{name}")
    for spoil in (removed, doubled, changed, *[swapped] * case.is_ordered, twice_for_another):
        store.put(f"out/{name}", case.join(spoil(case.split(whole))))
        assert any(differences(plan, store.at("out"))), spoil.__name__


def _write(plan: Plan, destination: str) -> list[str]:
    folder = open_destination(destination)
    parts = [part for chunk in plan for part in open_parts(chunk)]
    for chunk in plan:
        for part in open_parts(chunk):
            folder.create(part.name, part.blocks)
    return [part.name for part in parts]


def test_1_verify_ends_with_status_4(main_case: Case, store: Store, tmp_path: Path) -> None:
    store.put_all(main_case.files())
    plan = made(main_case, store, chunks=3)
    plan.save(str(tmp_path / "plan"))
    name = _write(plan, store.at("out"))[0]
    assert command("verify", tmp_path / "plan", store.at("out"), "-q", "-j1").exit_code == 0
    store.put(f"out/{name}", main_case.join(removed(main_case.split(store.get(f"out/{name}")))))
    refused(4, "verify", tmp_path / "plan", store.at("out"), "-q", "-j1", silent=False)


# --- 2: a chunk is a valid file --------------------------------------------------------------------------------------


def test_2_each_chunk_is_a_file_that_others_read(placed: tuple[Case, Store], tmp_path: Path) -> None:
    case, store = placed
    files = case.files()
    store.put_all(files)
    plan = made(case, store, chunks=7)
    paths = []
    for chunk in plan:
        for part, data in zip(chunk.parts, contents(chunk), strict=True):
            paths.append(tmp_path / part.name)
            paths[-1].write_bytes(data)
    assert len(set(paths)) == sum(len(chunk.parts) for chunk in plan)
    assert case.count(paths) == sum(map(len, truth(case, files)))


@pytest.mark.skipif(not shutil.which("samtools"), reason="samtools is not installed")
def test_2_samtools_imports_each_chunk(main_case: Case, tmp_path: Path) -> None:
    if "bases" not in main_case.weights:
        return
    store = Store("folder", str(tmp_path / "in"))
    store.put_all(main_case.files())
    counted = 0
    for chunk in made(main_case, store, chunks=5):
        for data in contents(chunk):
            (tmp_path / "one.fastq").write_bytes(data)
            importing = ["samtools", "import", "-u", "-0", str(tmp_path / "one.fastq"), "-o", str(tmp_path / "one.bam")]
            subprocess.run(importing, check=True, capture_output=True)
            counted += int(subprocess.check_output(["samtools", "view", "-c", tmp_path / "one.bam"]))
    assert counted == sum(map(len, truth(main_case, main_case.files())))


def test_2_samtools_imports_a_pair(tmp_path: Path) -> None:
    from tests.conformance.all_cases import CASES

    if not shutil.which("samtools"):
        pytest.skip("samtools is not installed")
    case = next(case for case in CASES if case.paired and case.main)
    store = Store("folder", str(tmp_path / "in"))
    store.put_all(case.files())
    for chunk in made(case, store, chunks=4):
        for number, data in enumerate(contents(chunk), 1):
            (tmp_path / f"{number}.fastq").write_bytes(data)
        importing = ["samtools", "import", "-u", "-1", str(tmp_path / "1.fastq"), "-2", str(tmp_path / "2.fastq")]
        subprocess.run([*importing, "-o", str(tmp_path / "both.bam")], check=True, capture_output=True)
        counted = subprocess.check_output(["samtools", "view", "-c", tmp_path / "both.bam"])
        assert int(counted) == chunk.records


# --- 3: few, exact reads ---------------------------------------------------------------------------------------------


def test_3_reading_takes_the_requests_and_bytes_that_the_chunk_says(
    placed: tuple[Case, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, store = placed
    opened: list[sources.Source] = []

    def noted(*args: Any, **more: Any) -> sources.Source:
        opened.append(open_source(*args, **more))
        return opened[-1]

    monkeypatch.setattr("cbtool.reading.open_source", noted)
    store.put_all(case.files())
    for question in [{"chunks": 64}, *([{"chunks": 64, "on_the_fly": True}] if case.on_the_fly else [])]:
        for chunk in made(case, store, **question):
            opened.clear()
            contents(Chunk.from_line(chunk.to_line()))
            took = sum(one.meter.requests for one in opened), sum(one.meter.bytes for one in opened)
            assert took == (chunk.requests, chunk.n_bytes), question
            assert {one.uri for one in opened} == {one.uri for one in chunk.sources}


def _unread(chunk: Chunk) -> list[str]:
    """Return the sources of which the line holds all that is needed: they are asked for their version alone."""
    return [one.uri for one in chunk.sources if not sum(length for _, length in one.ranges)]


def test_3_a_worker_asks_object_storage_for_its_pieces_and_for_nothing_else(case: Case, flaky_s3: Web, s3: Any) -> None:
    store = Store("s3", f"s3://{s3.bucket}", s3)
    store.put_all(case.files())
    plan = Plan(Chunk.from_line(chunk.to_line()) for chunk in made(case, store, chunks=16))
    for chunk in plan:
        flaky_s3.log.clear()
        contents(chunk)
        wanted = sorted(
            (uri.rpartition("/")[2], f"bytes={start}-{start + length - 1}")
            for uri, (start, length) in ((s.uri, r) for s in chunk.sources for r in s.ranges)
            if length
        )
        gets = [one for one in flaky_s3.log if one.method == "GET"]
        assert sorted((one.path.rpartition("/")[2], one.headers["range"]) for one in gets) == wanted
        assert [one.method for one in flaky_s3.log if one.method != "GET"] == ["HEAD"] * len(_unread(chunk))
        assert len(gets) == chunk.requests
        assert all("if-match" in one.headers for one in gets)


# --- 4: never stale --------------------------------------------------------------------------------------------------


def another(data: bytes) -> bytes:
    """Return data of the same size that differ in one byte."""
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


def test_4_a_changed_source_is_refused_when_a_chunk_is_read(case: Case, store: Store) -> None:
    files = case.files()
    store.put_all(files)
    plan = made(case, store, chunks=3)
    name = next(iter(files))
    for content in (another(files[name]), files[name] + b"\n", files[name][:-1]):
        _replace_quietly(store, name, content)
        for chunk in plan:
            if any(one.uri.endswith("/" + name) for one in chunk.sources):
                with pytest.raises(StaleError):
                    contents(chunk)


def _replace_quietly(store: Store, name: str, content: bytes) -> None:
    """Write into the file in place, and give it back its times."""
    if store.s3:
        store.put(name, content)
        return
    path = Path(store.top) / name
    times = path.stat()
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("verb", ["read", "write", "run", "verify"])
def test_4_a_changed_source_ends_with_status_4(verb: str, main_case: Case, store: Store, tmp_path: Path) -> None:
    files = main_case.files()
    store.put_all(files)
    made(main_case, store, chunks=2).save(str(tmp_path / "plan"))
    name = next(iter(files))
    _replace_quietly(store, name, another(files[name]))
    plan = str(tmp_path / "plan")
    if verb == "read":
        refused(4, "read", plan, "-k", "1")
        return
    if verb == "verify":
        refused(4, "verify", plan, "-q", "-j1")
        return
    result = command(verb, plan, "-o", store.at("out"), "-q", "-j1", *(["--", "wc", "-l"] if verb == "run" else []))
    assert result.exit_code in (3, 4) and "it has changed" in result.stderr
    assert store.names("out") == []


def test_4_the_index_of_a_changed_source_is_not_used(placed: tuple[Case, Store]) -> None:
    case, store = placed
    files = case.files()
    uris = store.put_all(files)
    before = made(case, store, records=50)
    name = list(files)[-1]
    kept = case.split(case.plain(files[name]))
    if case.paired:
        # Neither mate may lose a read: their names change.
        _replace_quietly(store, name, case.join(kept).replace(b"2:N:0", b"2:Y:0"))
    else:
        _replace_quietly(store, name, case.join(kept[:-1]))
    after = plan_of(uris, paired=case.paired, form=case.form, records=50)
    assert after.id != before.id
    found = [case.split(contents(chunk)[-1]) for chunk in after]
    assert sum(map(len, found)) == len(truth(case, files)[-1]) - (not case.paired)
    if case.paired:
        assert b"2:Y:0" in b"".join(contents(after[-1]))


# --- 5: same in, same out --------------------------------------------------------------------------------------------


def _small_blocks(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr("cbtool.source.STREAM_BLOCK_BYTES", n_bytes)
    monkeypatch.setattr("cbtool.objects.STREAM_BLOCK_BYTES", max(n_bytes, 1000))
    monkeypatch.setattr("cbtool.partitioners.gzip.inflate.FEED_BYTES", max(n_bytes, 64))
    monkeypatch.setattr("cbtool.partitioners.gzip.inflate.PIECE_BYTES", max(n_bytes, 64))


def test_5_chunks_do_not_depend_on_how_the_source_is_read(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("folder", str(tmp_path))
    uris = store.put_all(case.files())
    plan = made(case, store, chunks=5)
    before = [contents(chunk) for chunk in plan]
    _small_blocks(monkeypatch, 257 if len(case.name) % 2 else 64)
    assert [contents(chunk) for chunk in plan] == before
    again = plan_of(uris, paired=case.paired, form=case.form, chunks=5, index_to=str(tmp_path / "again"))
    assert list(again.lines()) == list(plan.lines())


def test_5_plans_do_not_depend_on_the_number_of_workers(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("folder", str(tmp_path))
    uris = store.put_all(case.files())
    # As if the sources were large: they are indexed in several parts.
    for module in ("plain", "gzip.container"):
        monkeypatch.setattr(f"cbtool.partitioners.{module}.PART_BYTES", 9_000)
    monkeypatch.setattr("cbtool.partitioners.plain.MARK_BYTES", 2_000)
    for name in ("LEAST_PLAIN", "LEAST_COMPRESSED"):
        monkeypatch.setattr(f"cbtool.partitioners.las.survey.{name}", 1_500)
    plans, indexes = set(), set()
    for workers in (1, 2, 3):
        where = tmp_path / f"index{workers}"
        plan = plan_of(
            uris,
            paired=case.paired,
            form=case.form,
            chunks=5,
            by=case.weights[-1],
            workers=workers,
            index_to=str(where),
        )
        plans.add(b"".join(plan.lines()))
        indexes.add(b"".join(path.read_bytes() for path in sorted(where.iterdir())))
        assert set(differences(plan)) == {None}
    assert len(indexes) == 1
    assert len(plans) == 1


def test_5_worker_processes_make_the_same_plan_as_this_one(main_case: Case, store: Store, tmp_path: Path) -> None:
    uris = store.put_all(main_case.files())
    here = made(main_case, store, records=100, index_to=str(tmp_path / "here"))
    said = ["--paired"] * main_case.paired + (["--as", main_case.form] if main_case.form else [])
    there = process("partition", *uris, *said, "--records", "100", "-j2", "--index-to", tmp_path / "there")
    assert there.returncode == 0, there.stderr
    assert there.stdout == b"".join(here.lines())


# --- 6: interrupt it anywhere ----------------------------------------------------------------------------------------


def test_6_what_is_killed_goes_on_where_it_was(main_case: Case, store: Store, tmp_path: Path) -> None:
    store.put_all(main_case.files())
    plan = made(main_case, store, chunks=64)
    plan.save(str(tmp_path / "plan"))
    wanted = {
        f"out/{part.name}": data for chunk in plan for part, data in zip(chunk.parts, contents(chunk), strict=True)
    }
    writing = [sys.executable, "-m", "cbtool", "write", str(tmp_path / "plan"), "-o", store.at("out"), "-j1", "-q"]
    driver = subprocess.Popen(
        writing, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment()
    )
    until = time.monotonic() + 15
    while not store.names("out") and time.monotonic() < until:
        time.sleep(0.005)
    driver.send_signal(signal.SIGKILL)
    driver.wait(10)
    there = store.names("out")
    assert {name: store.get(name) for name in there}.items() <= wanted.items(), "a part of a file has its name"
    before = {name: _stamp(store, name) for name in there}
    again = command("write", tmp_path / "plan", "-o", store.at("out"), "-j1", "--json", "-q")
    assert again.exit_code == 0, again.stderr
    assert {name: store.get(name) for name in store.names("out")} == wanted
    assert json.loads(again.stdout)["done"] == len(plan) > 20
    assert {name: _stamp(store, name) for name in there} == before, "finished work was done again"


def _stamp(store: Store, name: str) -> object:
    if store.s3:
        return store.s3.client.head_object(Bucket=store.s3.bucket, Key=name)["LastModified"]
    return (Path(store.top) / name).stat().st_ino


# --- 8: bad input ----------------------------------------------------------------------------------------------------


def outcome(case: Case, uris: Sequence[str], **more: Any) -> list[list[bytes]] | CbtoolError | None:
    """Return the records of all chunks of a plan that verify proves, or the error that one of the two ends with."""
    try:
        plan = plan_of(uris, paired=case.paired, form=case.form, chunks=4, **more)
        assert set(differences(plan)) == {None}
        found = [[case.split(data) for data in contents(chunk)] for chunk in plan]
    except CbtoolError as error:
        return error
    except case.unreadable:
        return None  # bytes that the reader of this case does not take; verify has found them equal
    return [[r for one in found for r in one[part]] for part in range(len(plan[0].parts))]


def test_8_a_truncated_source_is_refused_or_is_what_it_is(case: Case, tmp_path: Path) -> None:
    files = case.files()
    name = list(files)[-1]
    dice = random.Random(case.name)
    data = files[name]
    store = Store("folder", str(tmp_path))
    store.put_all(files)
    for at in {2, 9, 17, len(data) - 1, len(data) // 2, *(dice.randrange(len(data)) for _ in range(3))}:
        store.put(name, data[:at])
        _right_or_refused(case, store, {**files, name: data[:at]}, f"cut at {at}")


def test_8_a_corrupt_source_is_refused_or_is_what_it_is(case: Case, tmp_path: Path) -> None:
    files = case.files()
    name = list(files)[0]
    dice = random.Random(case.name)
    store = Store("folder", str(tmp_path))
    store.put_all(files)
    for _ in range(5):
        data = bytearray(files[name])
        for _ in range(dice.choice((1, 1, 20))):
            data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
        store.put(name, bytes(data))
        _right_or_refused(case, store, {**files, name: bytes(data)}, "changed bytes")


def _right_or_refused(case: Case, store: Store, files: Files, what: str) -> None:
    found = outcome(case, [store.at(name) for name in files])
    if isinstance(found, CbtoolError):
        assert found.exit_code in (2, 65), (what, repr(found))
        assert "\n" not in str(found), repr(str(found))
        return
    for name, data in files.items():
        if name.endswith(".gz") and data.startswith(b"\x1f\x8b"):
            tested = subprocess.run(["gzip", "-t"], input=data, capture_output=True)
            assert tested.returncode == 0 or b"trailing" in tested.stderr, (
                f"{name}, {what}: gzip says {tested.stderr!r}"
            )
    try:
        wanted = truth(case, files)
    except case.unreadable:
        return
    assert found is None or [ordered(case, one) for one in found] == [ordered(case, one) for one in wanted], what


VALUES: list[Any] = [None, -1, 1.5, True, "x", "../../x", "/etc/passwd", [], [[]], {}, {"x": []}, 10**30]


def hostile(chunk: Chunk) -> Iterator[dict[str, Any]]:
    """Yield plan lines of which one field was changed or taken out."""
    line = json.loads(chunk.to_line())
    for field in line:
        yield {name: value for name, value in line.items() if name != field}
        yield from ({**line, field: value} for value in VALUES)


def test_8_a_line_edited_by_hand_is_refused(main_case: Case, tmp_path: Path) -> None:
    store = Store("folder", str(tmp_path))
    store.put_all(main_case.files())
    chunk = made(main_case, store, chunks=3)[1]
    for line in hostile(chunk):
        try:
            assert Chunk.from_line(json.dumps(line)) == chunk, line  # as where a null is left out
        except FormatError as error:
            assert "\n" not in str(error), line


def _recipes(recipe: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield recipes with one field of a wrong type or value, as somebody could write who knows the check."""
    values: list[Any] = [
        None,
        -1,
        0,
        1.5,
        0.0,
        True,
        7,
        10**30,
        "x",
        "",
        [],
        [1],
        [1, 2],
        [8, True],
        [None],
        {},
        {"a": 1},
    ]
    for name in recipe:
        for value in values:
            yield f"{name} = {value!r}", {**recipe, name: value}
        yield f"no {name}", {key: value for key, value in recipe.items() if key != name}
    for number, piece in enumerate(recipe["pieces"]):
        for name in [*piece, "window", "tail", "more", "on"]:
            for value in values:
                pieces = [*recipe["pieces"][:number], {**piece, name: value}, *recipe["pieces"][number + 1 :]]
                yield f"pieces[{number}].{name} = {value!r}", {**recipe, "pieces": pieces}
            left = {key: value for key, value in piece.items() if key != name}
            yield f"pieces[{number}]: no {name}", {**recipe, "pieces": [left]}


def test_8_a_forged_recipe_gives_an_error_or_bytes_but_nothing_else(main_case: Case, tmp_path: Path) -> None:
    """Whoever writes a plan can have any bytes of the sources; not a traceback, a hang or a full memory."""
    store = Store("folder", str(tmp_path))
    store.put_all(main_case.files())
    plan = made(main_case, store, chunks=6)
    forged = 0
    for what, recipe in _recipes(dict(plan[1].recipe)):
        chunk = Chunk.from_line(replace(plan[1], recipe=recipe).to_line())
        try:
            contents(chunk)
        except CbtoolError as error:
            assert error.exit_code in (2, 65) and "\n" not in str(error), what
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        forged += 1
    assert forged > 50


@pytest.mark.parametrize("name", ["../x.txt", "a/b.txt", "/tmp/x.txt", "..", ".", "", ".hidden", "a b", "a\nb", "é"])
def test_8_no_name_leaves_the_destination(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    chunk = plan_of([str(tmp_path / "a.txt")], chunks=2)[0]
    for forged in (replace(chunk, name=name), replace(chunk, parts=(PartOf(name, (0,)),))):
        (tmp_path / "plan").write_text(forged.to_line())
        refused(65, "write", tmp_path / "plan", "-o", tmp_path / "out", "--some", "-q", "-j1")
        refused(65, "read", "-", stdin=forged.to_line())
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("../x.txt"))


def test_8_a_plan_of_a_newer_version_is_refused(main_case: Case, tmp_path: Path) -> None:
    store = Store("folder", str(tmp_path))
    store.put_all(main_case.files())
    for chunk in made(main_case, store, chunks=2):
        line = chunk.to_line().replace('"v":1', '"v":2', 1)
        assert "version 2" in refused(65, "read", "-", stdin=line)


def _missing(lines: list[str]) -> list[str]:
    return lines[1:]


def _repeated(lines: list[str]) -> list[str]:
    return [*lines, lines[1]]


def _cut_off(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1][:-20]]


@pytest.mark.parametrize("verb", ["write", "verify", "show", "run"])
def test_8_a_plan_that_is_not_whole_is_refused(verb: str, main_case: Case, tmp_path: Path) -> None:
    store = Store("folder", str(tmp_path))
    store.put_all(main_case.files())
    lines = [line.decode() for line in made(main_case, store, chunks=4).lines()]
    foreign = made(main_case, store, chunks=3)
    more = {"write": ["-o", str(tmp_path / "out")], "run": ["-o", str(tmp_path / "out"), "--", "wc"]}.get(verb, [])
    for spoilt in (_missing(lines), _repeated(lines), _cut_off(lines), [*lines[:3], foreign[0].to_line()]):
        (tmp_path / "plan").write_text("".join(spoilt))
        refused(65, verb, tmp_path / "plan", *more)
    assert not (tmp_path / "out").exists()


def test_8_what_cannot_be_a_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.fastq").touch()
    (tmp_path / "text.fastq").write_text("this is no FASTQ\n")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "unknown").write_bytes(b"\x7fELF\0\0\0")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo.txt")
    statuses = {
        "empty.fastq": 65,
        "text.fastq": 65,
        "picture.txt": 65,
        "unknown": 65,
        "folder": 2,
        "folder/": 66,
        "fifo.txt": 2,
        "missing.txt": 66,
        "*.nothing": 66,
        "@missing.list": 66,
        "s3:/": 66,
        "ftp://host/a.txt": 2,
    }
    for (name, status), verb in itertools.product(statuses.items(), ("partition", "info", "index")):
        source = name if name[0] == "@" or "://" in name else f"{tmp_path}/{name}"
        if verb == "partition" or name != "empty.fastq":
            refused(status, verb, source)


def test_8_a_source_that_may_not_be_read_is_refused() -> None:
    # Not in tmp_path: pytest's folders let no other user in, and root may read anything.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret.txt"
        path.write_bytes(b"a\n")
        path.chmod(0)
        Path(folder).chmod(0o755)
        if os.getuid() == 0:
            os.seteuid(65534)
        try:
            # Nothing more may be imported by that user, so the source is opened by itself.
            with pytest.raises(NotAllowed, match="permission denied"):
                open_source(str(path))
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
