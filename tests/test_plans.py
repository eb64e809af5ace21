"""Plans, chunks, indexes and settings: round trips, and what is not one."""

from __future__ import annotations

import json
import os
import struct
import threading
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbtool import sidecar, split
from cbtool.chunk import Chunk
from cbtool.detect import detect
from cbtool.errors import ConfigError, FormatError, UsageError
from cbtool.index import MAGIC, Index, dump, load
from cbtool.plan import complete, read_chunks
from cbtool.runner import opened
from cbtool.settings import defaults
from cbtool.source import open_source
from fixtures import make
from tests.inprocess import Inline, contents, differences, plan_of, refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def chunk(tmp_path: Path) -> Chunk:
    (tmp_path / "a.fastq.gz").write_bytes(make.many_blocks(make.strict()))
    found: Chunk = plan_of([str(tmp_path / "a.fastq.gz")], chunks=4)[1]
    return found


# --- chunks ----------------------------------------------------------------------------------------------------------


def test_a_line_is_read_as_it_was_written(chunk: Chunk) -> None:
    assert Chunk.from_line(chunk.to_line()) == chunk
    assert Chunk.from_line(chunk.to_line()).to_line() == chunk.to_line()


@settings(max_examples=50, deadline=None)
@given(extra=st.dictionaries(st.text(min_size=1, max_size=6).map(lambda name: "x-" + name), JSON, max_size=4))
def test_unknown_fields_are_kept(extra: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "kept.txt"
    path.write_bytes(b"a\nb\n")
    line = json.loads(plan_of([str(path)], chunks=2)[0].to_line()) | extra
    again = json.loads(Chunk.from_line(json.dumps(line)).to_line())
    assert again == line


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=80), JSON.map(lambda one: json.dumps(one).encode())))
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        Chunk.from_line(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"v":1,"x":' * 50_000, '{"v":1' + "0" * 5000 + "}", "x" * 2_000_000])
def test_lines_made_to_break_a_parser_are_refused(line: str) -> None:
    with pytest.raises(FormatError):
        Chunk.from_line(line)


@pytest.mark.parametrize("depth", [100, 900, 990, 2000, 50_000])
def test_a_deep_recipe_is_an_error_or_a_chunk(depth: int, chunk: Chunk) -> None:
    deep = chunk.to_line().replace('"recipe":{', '"recipe":{"x":' + "[" * depth + "]" * depth + ",", 1)
    with pytest.raises(FormatError):
        Chunk.from_line(deep)


@pytest.mark.parametrize("version", [0, 2, 99, -1, "1", None, 1.0, True])
def test_another_version_is_refused(version: object, chunk: Chunk) -> None:
    line = json.loads(chunk.to_line()) | {"v": version}
    with pytest.raises(FormatError, match="version"):
        Chunk.from_line(json.dumps(line))


def test_a_plan_of_very_many_files_can_be_read_again(tmp_path: Path) -> None:
    paths = []
    for number in range(4000):
        paths.append(str(tmp_path / f"one_of_very_many_files_{number:05}.txt"))
        Path(paths[-1]).write_bytes(b"a\n")
    plan = plan_of(paths, chunks=1)
    assert complete(read_chunks(plan.lines(), "plan"), "plan")[0] == plan[0]


# --- plans -----------------------------------------------------------------------------------------------------------


def test_a_plan_is_whole_or_refused(chunk: Chunk) -> None:
    of = [replace(chunk, chunk=number, of=3) for number in range(3)]
    assert [one.chunk for one in complete([of[2], of[0], of[1]], "x")] == [0, 1, 2]
    assert len(complete(of[:2], "x", some=True)) == 2
    foreign = replace(of[2], plan="0" * 32)
    for wrong in ([], of[:2], [*of, of[0]], [*of[:2], foreign]):
        with pytest.raises(FormatError) as caught:
            complete(wrong, "x")
        assert caught.value.exit_code == 65
    with pytest.raises(FormatError):
        complete([*of, of[0]], "x", some=True)


# --- splitting -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**15), st.integers(1, 500))
def test_even_cuts_are_even(total: int, n: int) -> None:
    edges = [0, *split.even(total, n), total]
    sizes = np.diff(edges)
    assert len(sizes) == min(n, total) and sizes.min() >= 1 and sizes.max() - sizes.min() <= 1


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_chunks_of_a_size_are_no_larger(total: int, size: int) -> None:
    n = split.count_for_size(total, size)
    assert -(-total // n) <= size and (n == 1 or -(-total // (n - 1)) > size)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.lists(st.integers(0, 1000), max_size=9))
def test_a_cut_is_at_the_nearest_place(steps: list[int], targets: list[int]) -> None:
    places = np.cumsum(steps).astype(np.int64)
    for found, target in zip(split.line(places, targets), targets, strict=True):
        assert abs(int(places[found]) - target) == np.abs(places - target).min()


# --- indexes ---------------------------------------------------------------------------------------------------------


INDEX = Index(
    "text",
    "etag:x",
    5,
    {"how": {"encoding": "ascii-compatible"}},
    {"at": np.arange(0, 90_000, 7), "crc": np.arange(9, dtype=np.uint32), "few": np.zeros(0, np.uint8)},
)


def test_an_index_is_read_as_it_was_written() -> None:
    again = load(dump(INDEX))
    assert (again.format, again.version, again.size, again.facts) == ("text", "etag:x", 5, INDEX.facts)
    assert all((again.arrays[name] == array).all() for name, array in INDEX.arrays.items())
    assert dump(again) == dump(INDEX)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_index_with_a_bit_flipped_or_cut_short_is_refused(data: st.DataObject) -> None:
    whole = bytearray(dump(INDEX))
    if data.draw(st.booleans()):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    with pytest.raises(FormatError):
        load(bytes(whole))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_no_index(data: bytes, marked: bool) -> None:
    with pytest.raises(FormatError):
        load(MAGIC + data if marked else data)


def sealed(header: bytes, members: bytes = b"", length: int | None = None) -> bytes:
    body = MAGIC + struct.pack("<Q", len(header) if length is None else length) + header + members
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize(
    "members",
    [
        [["at", "int64", 10**12, 30]],
        [["at", "int64", 2**62, 30]],
        [["at", "int64", -1, 30]],
        [["at", "int64", 3, 10**15]],
        [["at", "int64", 3, -5]],
        [["at", "object", 3, 30]],
        [["at", "float64", 1, 30]],
        [["at", "int64", 10**7, 30]],
        [["at", "int64", "3", 30]],
        [["at"]],
        "at",
        None,
        {"at": 1},
        [[["at"], "int64", 1, 30]],
    ],
)
def test_numbers_that_somebody_wrote_into_an_index_fill_no_memory(members: Any) -> None:
    header = json.dumps({"format": "x", "version": "y", "size": 1, "facts": {}, "members": members}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load(sealed(header, zlib.compress(bytes(8000))[:30].ljust(30, b"\0")))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b"", b"[]", b"null", b"{}", b'{"format":1}', b"\xff", b"[" * 100_000])
def test_headers_of_an_index_that_are_none_are_refused(header: bytes) -> None:
    for length in (None, 0, 2**63, 2**64 - 1, len(header) + 1):
        with pytest.raises(FormatError):
            load(sealed(header, length=length))


# --- sidecars --------------------------------------------------------------------------------------------------------


def gzipped(folder: Path, data: bytes | None = None) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "a.txt.gz"
    path.write_bytes(make.many_blocks(data if data is not None else make.lf()))
    return str(path)


def test_an_index_lies_beside_its_source_or_where_it_is_asked_to(tmp_path: Path) -> None:
    path = gzipped(tmp_path / "in")
    plan_of([path], chunks=2)
    assert Path(path + ".cbi").exists()
    plan_of([path], chunks=2, index_to=str(tmp_path / "not" / "there yet"))
    (there,) = (tmp_path / "not" / "there yet").iterdir()
    assert there.read_bytes() == Path(path + ".cbi").read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_the_folder_is_read_only_the_index_goes_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = gzipped(tmp_path / "in")
    (tmp_path / "in").chmod(0o555)
    plan_of([path], chunks=2)
    assert list((tmp_path / "cache" / "cbtool").glob("*.cbi"))


def test_what_cannot_be_written_beside_the_source_goes_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cbtool.errors import NotAllowed
    from cbtool.output import open_output as real

    def refusing(place: str) -> Any:
        if place.startswith(str(tmp_path / "in")):
            raise NotAllowed("read-only")
        return real(place)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sidecar, "open_output", refusing)
    path = gzipped(tmp_path / "in")
    plan_of([path], chunks=2)
    assert not Path(path + ".cbi").exists()
    with open_source(path) as source:
        assert sidecar.find(source, None)[1].startswith(str(tmp_path / "cache"))
        assert (tmp_path / "cache" / "cbtool").stat().st_mode & 0o077 == 0


def test_a_stale_index_is_made_again(tmp_path: Path) -> None:
    path = gzipped(tmp_path / "in")
    before = plan_of([path], chunks=3)
    gzipped(tmp_path / "in", make.crlf())
    with open_source(path) as source:
        assert sidecar.find(source, None) == (None, "stale")
    after = plan_of([path], chunks=3)
    assert after.id != before.id and b"".join(contents(one)[0] for one in after) == make.crlf()


@pytest.mark.parametrize("damage", [b"", b"cbtool", b"cbtool\x01\n" + bytes(100)])
def test_a_damaged_index_is_made_again(damage: bytes, tmp_path: Path) -> None:
    path = gzipped(tmp_path / "in")
    plan_of([path], chunks=3)
    whole = Path(path + ".cbi").read_bytes()
    Path(path + ".cbi").write_bytes(damage or whole[:-3])
    assert differences(plan_of([path], chunks=3)) == [None]
    assert Path(path + ".cbi").read_bytes() == whole


def test_a_file_of_somebody_else_in_the_place_of_an_index_is_left_alone(tmp_path: Path) -> None:
    path = gzipped(tmp_path / "in")
    Path(path + ".cbi").write_bytes(b"a picture of the comic book")
    refused(65, "partition", path)
    refused(65, "index", path, "--force")
    assert Path(path + ".cbi").read_bytes() == b"a picture of the comic book"


def test_an_index_of_a_wrong_kind_does_not_end_in_a_traceback(tmp_path: Path) -> None:
    """The index says of itself that it is of this source, and holds what this cbtool would never write."""
    path = gzipped(tmp_path / "in")
    with open_source(path) as source:
        forgeries: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({}, {}),
            ({"how": 1}, {"offset": np.zeros(1, np.int64)}),
            ({"how": {"encoding": "ascii-compatible"}}, {name: np.zeros(0, np.int64) for name in ("offset", "start")}),
        ]
        for facts, arrays in forgeries:
            forged = Index("text.gz", source.version, source.size, facts, arrays)
            Path(path + ".cbi").write_bytes(dump(forged))
            refused(65, "partition", path)
            refused(65, "info", path)


def test_two_who_index_at_once_leave_one_whole_index(tmp_path: Path) -> None:
    path = gzipped(tmp_path / "in")
    plans: list[str] = []
    threads = [threading.Thread(target=lambda: plans.append(plan_of([path], chunks=5).id)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 4 and len(set(plans)) == 1
    assert sorted(one.name for one in (tmp_path / "in").iterdir()) == ["a.txt.gz", "a.txt.gz.cbi"]


# --- formats and settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, data, found",
    [
        ("a.fastq", b"@a\nAC\n+\nII\n", "fastq"),
        ("a.fq.gz", make.member(b"@a\nAC\n+\nII\n"), "fastq"),
        ("a.txt", b"@a\nAC\n+\nII\n", "text"),
        ("A.FQ.BGZ", make.bgzf(b"@a\nAC\n+\nII\n"), "fastq"),
        ("unnamed", b"@a\nAC\n+\nII\n", "fastq"),
        ("unnamed", b"@a comment\nand words\n", "text"),
        ("unnamed.gz", make.member(b"words\n"), "text"),
        ("a.fastq", b"no reads\n", None),
        ("a.txt", b"\x7fELF\0\0", None),
        ("unnamed", b"\0\1\2", None),
    ],
)
def test_a_format_is_found_by_content_and_held_against_the_name(
    name: str, data: bytes, found: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with open_source(str(tmp_path / name)) as source:
        if found is None:
            with pytest.raises(FormatError):
                detect(source)
        else:
            assert detect(source) == found
        assert detect(source, "text") == "text"
        with pytest.raises(UsageError, match="no format is called"):
            detect(source, "nonsense")


@pytest.mark.parametrize(
    "text",
    [
        "endpoint = 'http://x'",
        "command = 'rm'",
        "workers = 'many'",
        "workers = true",
        "quiet = 1",
        "workers = [1]",
        "workers = ",
        "\0",
        "chunks = 1.5",
        "[run]\nworkers = 1",
    ],
)
def test_a_settings_file_sets_nothing_else(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        defaults(str(tmp_path / "c.toml"))
    assert caught.value.exit_code == 78 and "\n" not in str(caught.value)


def test_settings_of_the_folder_win_over_those_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home" / "cbtool").mkdir(parents=True)
    (tmp_path / "home" / "cbtool" / "cbtool.toml").write_text("workers = 3\nchunks = 5\nindex-to = 'cache'\n")
    (tmp_path / "cbtool.toml").write_text("workers = 4\n")
    assert defaults(None) == {"workers": 4, "chunks": "5", "index_to": "cache"}


def test_the_inline_engine_passes_on_errors() -> None:
    _, error, _ = opened(Inline().submit({"call": "cbtool.stagers.verify:stage", "chunk": "{}"}))
    assert isinstance(error, FormatError)
