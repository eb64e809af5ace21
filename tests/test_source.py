"""Files on this machine and files that a user has open, and which source a URI leads to."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import hypothesis
import pytest
from hypothesis import strategies as st

from cbtool.errors import FormatError, MissingInput, NotAllowed, StaleError, UsageError
from cbtool.given import GivenFile
from cbtool.source import COALESCE_CAP_BYTES, COALESCE_GAP_BYTES, Source, coalesce, open_source
from tests.conftest import S3

DATA = os.urandom(2_500_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "f").write_bytes(DATA)
    return tmp_path / "f"


@pytest.fixture(params=["path", "uri", "file", "smart_open", "s3"])
def source(request: pytest.FixtureRequest, path: Path, s3: S3) -> Any:
    """The same bytes by every way that needs no fault."""
    if request.param in ("path", "uri"):
        with open_source(f"{'file://' if request.param == 'uri' else ''}{path}") as source:
            yield source
    elif request.param == "file":
        with open(path, "rb") as file, open_source(file) as source:
            yield source
    elif request.param == "s3":
        yield open_source(s3.put("f", DATA))
    else:
        import smart_open

        with smart_open.open(s3.put("f", DATA), "rb", transport_params={"client": s3.client}) as given:
            yield open_source(given)


def test_reads_exactly_and_counts(source: Source) -> None:
    assert source.size == len(DATA)
    assert source.read(10, 100) == DATA[10:110]
    assert b"".join(source.stream(5, 2_400_000)) == DATA[5:2_400_005]
    assert (source.meter.requests, source.meter.bytes) == (2, 2_400_100)
    assert source.read_many([(2_000_000, 10), (0, 10), (100, 10)]) == [
        DATA[2_000_000:2_000_010],
        DATA[:10],
        DATA[100:110],
    ]
    assert (source.meter.requests, source.meter.bytes) == (4, 2_400_100 + 110 + 10)
    source.check()


def test_refuses_what_lies_behind_the_end(source: Source) -> None:
    with pytest.raises(StaleError) as caught:
        source.read(len(DATA) - 5, 6)
    assert caught.value.exit_code == 4
    with pytest.raises(StaleError):
        list(source.stream(len(DATA) - 5, 6))
    if source.uri.startswith("s3:"):
        with pytest.raises(StaleError):
            source.read(-5, 10)


def test_the_version_is_the_same_when_opened_again_and_another_when_changed(path: Path) -> None:
    version = open_source(str(path)).version
    assert open_source(str(path), version=version, size=len(DATA)).version == version
    path.write_bytes(DATA[:-1] + b"\0")
    with pytest.raises(StaleError, match="it has changed since it was planned"):
        open_source(str(path), version=version)


@pytest.mark.parametrize("uri", ["s3://bucket/key", "http://127.0.0.1:1/f", "/dev/null"])
@pytest.mark.parametrize("version", ["etag:a\r\nX-Evil: 1", "etag:é", "etag:\udcff"])
def test_a_version_that_cannot_be_sent_is_refused(uri: str, version: str) -> None:
    with pytest.raises(FormatError, match="a version that no object has"):
        open_source(uri, version=version, size=5)


def test_a_local_file_that_changes_under_the_reader_is_seen(path: Path) -> None:
    with open_source(str(path)) as source:
        with open(path, "r+b") as file:
            file.write(b"changed")
        with pytest.raises(StaleError, match="it changed while it was read"):
            source.check()


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, why in ((tmp_path, "is a folder"), (tmp_path / "fifo", "not a regular file")):
        with pytest.raises(UsageError, match=why):
            open_source(str(path))


def test_what_is_not_there_is_66_and_what_is_denied_is_77(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingInput, match="no such file"):
        open_source(str(tmp_path / "no"))

    def denied(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(NotAllowed, match="permission denied"):
        open_source(str(path))


def test_a_given_file_stays_in_its_process_and_is_left_open(path: Path) -> None:
    with open(path, "rb") as file:
        with open_source(file) as source:
            assert isinstance(source, GivenFile)
            assert (source.uri, source.portable) == (f"given:{path}", False)
        assert not file.closed


def test_a_given_file_that_changes_is_refused() -> None:
    file = io.BytesIO(DATA)
    source = open_source(file)
    file.truncate(1000)
    with pytest.raises(StaleError):
        source.read(500, 1000)
    with pytest.raises(StaleError):
        source.check()


class Pipe(io.RawIOBase):
    def readable(self) -> bool:
        return True


@pytest.mark.parametrize(
    "file", [io.StringIO("text"), Pipe(), object(), io.BufferedWriter(io.FileIO("/dev/null", "w"))]
)
def test_a_given_file_must_be_seekable_and_binary(file: BinaryIO) -> None:
    with pytest.raises(UsageError, match="not a seekable file"):
        open_source(file)


RANGES = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**6)), max_size=20)


@hypothesis.given(RANGES)
def test_coalescing_serves_each_range_once(ranges: list[tuple[int, int]]) -> None:
    groups = coalesce(ranges)
    assert sorted(i for members in groups.values() for i in members) == list(range(len(ranges)))
    for (start, length), members in groups.items():
        assert length <= max(COALESCE_CAP_BYTES, max(ranges[i][1] for i in members))
        for i in members:
            assert start <= ranges[i][0] and ranges[i][0] + ranges[i][1] <= start + length
    starts = sorted(groups)
    for (a, n), (b, m) in zip(starts, starts[1:], strict=False):
        assert b - (a + n) > COALESCE_GAP_BYTES or b + m - a > COALESCE_CAP_BYTES
