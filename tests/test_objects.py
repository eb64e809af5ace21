"""Objects in buckets: pinned ranges counted one by one, faults, credentials, and exclusive names."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbtool import retry, uploads
from cbtool.destination import Destination, open_destination
from cbtool.errors import (
    CannotWrite,
    CbtoolError,
    ConfigError,
    FormatError,
    MissingInput,
    NotAllowed,
    StaleError,
    Unavailable,
    UsageError,
)
from cbtool.objects import ObjectSource
from cbtool.output import open_output
from cbtool.source import Source, open_source
from cbtool.stores import place
from tests.conftest import EVERY_S3, S3
from tests.processes import at_the_same_time
from tests.servers import Fault, Web

S3_SERVERS = EVERY_S3
DATA = os.urandom(3_000_000)


@pytest.fixture
def uri(s3: S3) -> str:
    return s3.put("dir/f.bin", DATA)


def open_f(uri: str, web: Web) -> Source:
    source = open_source(uri)
    web.log.clear()
    return source


def test_is_opened_by_a_head(flaky_s3: Web, uri: str) -> None:
    with open_source(uri) as source:
        assert (source.uri, source.size, source.portable, source.note) == (uri, len(DATA), True, None)
        assert source.version.startswith("etag:") and '"' not in source.version
        source.check()
    assert [one.method for one in flaky_s3.log] == ["HEAD", "HEAD"]


def test_a_read_is_one_pinned_request(flaky_s3: Web, uri: str) -> None:
    source = open_f(uri, flaky_s3)
    assert source.read(10, 100) == DATA[10:110]
    (asked,) = flaky_s3.log
    assert asked.headers["range"] == "bytes=10-109"
    assert asked.headers["if-match"] == f'"{source.version[5:]}"'
    assert (source.meter.requests, source.meter.bytes) == (1, 100)


def test_a_stream_is_one_request_in_blocks(flaky_s3: Web, uri: str) -> None:
    source = open_f(uri, flaky_s3)
    blocks = list(source.stream(5, 2_500_000))
    assert b"".join(blocks) == DATA[5:2_500_005]
    assert len(blocks) > 1
    assert max(map(len, blocks)) < 2 * 1024 * 1024
    assert (flaky_s3.count(), source.meter.requests, source.meter.bytes) == (1, 1, 2_500_000)


def test_many_ranges_are_read_at_once_and_each_is_pinned(flaky_s3: Web, uri: str) -> None:
    source = open_f(uri, flaky_s3)
    ranges = [(2_000_000, 10), (0, 10), (100, 10), (1_000_000, 10), (2_000_005, 10)]
    assert source.read_many(ranges) == [DATA[a : a + n] for a, n in ranges]
    assert (flaky_s3.count(), source.meter.requests, source.meter.bytes) == (3, 3, 110 + 10 + 15)
    assert all(one.headers["if-match"] == f'"{source.version[5:]}"' for one in flaky_s3.log)


def test_a_planned_source_is_asked_for_nothing_before_it_is_read(flaky_s3: Web, uri: str) -> None:
    version = open_f(uri, flaky_s3).version
    source = open_source(uri, version=version, size=len(DATA))
    assert flaky_s3.log == []
    assert source.read(1, 5) == DATA[1:6]
    assert flaky_s3.count() == len(flaky_s3.log) == 1
    with pytest.raises(StaleError):
        open_source(uri, version="etag:other", size=len(DATA)).read(1, 5)
    with pytest.raises(StaleError):
        open_source(uri, version="etag:other")


def test_a_version_id_is_part_of_the_version(s3: S3) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    source = open_source(s3.put("f", b"same"))
    assert ";version:" in source.version
    assert source.read(0, 4) == b"same"
    assert open_source(source.uri, version=source.version, size=4).read(0, 4) == b"same"
    s3.put("f", b"same")
    with pytest.raises(StaleError):
        source.read(0, 4)


def test_a_changed_object_is_never_read(flaky_s3: Web, s3: S3, uri: str) -> None:
    source = open_source(uri)
    flaky_s3.faults.append(Fault("short", 2_500_000))
    stream = source.stream(0, len(DATA))
    next(stream)
    s3.put("dir/f.bin", bytes(len(DATA)))
    for read in (lambda: source.read(0, 10), lambda: list(stream), lambda: source.read_many([(0, 1)]), source.check):
        with pytest.raises(StaleError, match="it has changed") as caught:
            read()
        assert caught.value.exit_code == 4


def test_a_server_that_ignores_if_match_is_seen_through(flaky_s3: Web, s3: S3, uri: str) -> None:
    source = open_source(uri)
    s3.put("dir/f.bin", bytes(len(DATA)))
    source._etag = None  # type: ignore[attr-defined]
    with pytest.raises(StaleError, match="it has changed"):
        source.read(0, 10)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_statuses_that_pass_are_asked_again(flaky_s3: Web, uri: str, status: int) -> None:
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.extend([Fault("status", status=status)] * 3)
    assert source.read(0, 10) == DATA[:10]
    assert (flaky_s3.count(), source.meter.requests, source.meter.bytes) == (4, 4, 10)


def test_a_service_that_stays_away_is_69(flaky_s3: Web, uri: str) -> None:
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.extend([Fault("status", status=503)] * 10)
    with pytest.raises(Unavailable, match="6 tries failed: it answered 503") as caught:
        source.read(0, 10)
    assert (flaky_s3.count(), caught.value.exit_code) == (6, 69)


def test_a_service_that_is_not_there_is_69(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="it cannot be connected to"):
        open_source("s3://bucket/key")


@pytest.mark.parametrize("kind", ["short", "reset"])
def test_a_broken_stream_goes_on_from_where_it_stopped(flaky_s3: Web, uri: str, kind: str) -> None:
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.append(Fault(kind, 2_200_000))
    assert b"".join(source.stream(100, 2_900_000)) == DATA[100:2_900_100]
    first, second = flaky_s3.log
    assert first.headers["range"] == "bytes=100-2900099"
    at = int(second.headers["range"].removeprefix("bytes=").removesuffix("-2900099"))
    assert 100 < at <= 2_200_100 if kind == "short" else 100 <= at <= 2_200_100
    assert second.headers["if-match"] == first.headers["if-match"]
    assert (source.meter.requests, source.meter.bytes) == (2, 2_900_000)


@pytest.mark.parametrize("kind", ["short", "reset"])
def test_a_connection_that_is_closed_before_the_answer_is_asked_again(flaky_s3: Web, uri: str, kind: str) -> None:
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.append(Fault(kind, -1))
    assert source.read(0, 10) == DATA[:10]
    assert flaky_s3.count() == 2


@pytest.mark.parametrize("n", [-1, 500])
def test_a_stall_is_given_up_and_asked_again(flaky_s3: Web, uri: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "STALL_S", 1.0)
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.append(Fault("stall", n))
    assert source.read(0, 1000) == DATA[:1000]
    assert flaky_s3.count() == 2


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (403, NotAllowed, 77),
        (404, MissingInput, 66),
        (416, StaleError, 4),
        (301, ConfigError, 78),
        (418, Unavailable, 69),
    ],
)
def test_statuses_have_their_errors(flaky_s3: Web, uri: str, status: int, kind: type[CbtoolError], code: int) -> None:
    source = open_f(uri, flaky_s3)
    flaky_s3.faults.append(Fault("status", status=status))
    with pytest.raises(kind) as caught:
        source.read(0, 10)
    assert (caught.value.exit_code, flaky_s3.count()) == (code, 1)
    assert "SKTEST" not in repr((caught.value, caught.value.facts)) and "\n" not in str(caught.value)


def test_a_missing_key_and_a_missing_bucket_are_told_apart(s3: S3) -> None:
    with pytest.raises(MissingInput, match=f"^s3://{s3.bucket}/no/such: no such object$") as caught:
        open_source(f"s3://{s3.bucket}/no/such")
    assert caught.value.exit_code == 66
    with pytest.raises(MissingInput, match="^s3://no-such-bucket: no such bucket$"):
        open_source("s3://no-such-bucket/key")


@pytest.mark.parametrize("key", ["a b", "a#b?c", "a%20b", "ü~*", "a+b=&c"])
def test_keys_are_taken_as_they_are(s3: S3, key: str) -> None:
    assert open_source(s3.put(key, b"x")).read(0, 1) == b"x"


BAD_PLACES = ["s3://", "s3:///key", "s3://b//key", "s3://b/a/../k", "s3://AK:SK@b/key", "s3://b c/k", "s3://b/a\n"]


@pytest.mark.parametrize("bad", [*BAD_PLACES, "ftp://b/k"])
def test_what_is_no_place_is_refused(bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(bad)
    assert "SK" not in str(caught.value)


def test_an_empty_object_is_read(s3: S3) -> None:
    source = open_source(s3.put("f", b""))
    assert (source.size, source.read(0, 0), list(source.stream(0, 0))) == (0, b"", [])


def test_credentials_of_the_environment_need_no_boto3(s3: S3) -> None:
    uri = s3.put("f", b"data")
    code = (
        "import sys; from cbtool.source import open_source; from cbtool.destination import open_destination\n"
        f"assert open_source({uri!r}).read(0, 4) == b'data'\n"
        f"assert open_destination('s3://{s3.bucket}/out').create('a', [b'x'])\n"
        "assert not {'boto3', 'numpy', 'rich'} & set(sys.modules), sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_profile_gives_credentials_region_and_endpoint(
    flaky_s3: Web, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"[profile lab]\naws_access_key_id = AKTEST\naws_secret_access_key = SKTESTSKTEST\nregion = eu-west-3\n"
        f"endpoint_url = {flaky_s3.url}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert open_source(uri).read(0, 10) == DATA[:10]
    for asked in flaky_s3.log:
        assert "AKTEST/" in asked.headers["authorization"]
        assert "/eu-west-3/s3/" in asked.headers["authorization"]


def test_a_profile_that_is_not_there_is_77(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none-such")
    with pytest.raises(NotAllowed, match="none-such"):
        open_source("s3://bucket/key")


@pytest.mark.parametrize("how", ["no credentials", "AWS_SKIP_SIGNATURE", "AWS_NO_SIGN_REQUEST"])
def test_anonymous_where_asked_for_or_without_credentials(
    flaky_s3: Web, uri: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how.startswith("AWS_"):
        monkeypatch.setenv(how, "1")
    else:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    flaky_s3.faults.append(Fault("status", status=403))
    with pytest.raises(NotAllowed) as caught:
        open_source(uri)
    assert caught.value.hint and "without credentials" in caught.value.hint
    assert all("authorization" not in one.headers for one in flaky_s3.log)


def test_a_session_of_the_users_own_is_used_and_stays_in_its_process(
    flaky_s3: Web, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    session = boto3.Session("AKTEST", "SKTESTSKTEST", region_name="eu-west-3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKOTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another")
    source = open_source(uri, session=session)
    assert source.read(0, 10) == DATA[:10]
    assert not source.portable
    assert all("AKTEST/" in one.headers["authorization"] for one in flaky_s3.log)
    assert all("x-amz-security-token" not in one.headers for one in flaky_s3.log)
    with pytest.raises(UsageError, match="for s3:// only"):
        open_source("http://127.0.0.1/f", session=session)


@pytest.mark.parametrize("endpoint", ["not an url", "http://", "ftp://host", "http://me:hush@host"])
def test_a_bad_endpoint_is_78(credentials: None, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigError, match="^AWS_ENDPOINT_URL: not a URL$") as caught:
        open_source("s3://bucket/key")
    assert caught.value.exit_code == 78


def test_a_setting_with_a_line_break_is_78_and_is_not_shown(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush\n")
    with pytest.raises(ConfigError, match="^AWS_SESSION_TOKEN: holds a line break"):
        open_source("s3://bucket/key")


def test_use_after_a_fork_is_refused_and_does_not_hang(s3: S3) -> None:
    uri = s3.put("f", b"data")
    code = (
        "import os, sys; from cbtool.source import open_source\n"
        f"open_source({uri!r}).read(0, 4)\n"
        "child = os.fork()\n"
        "if not child:\n"
        f"  try: open_source({uri!r})\n"
        "  except RuntimeError: os._exit(7)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 7


@pytest.fixture
def out(s3: S3) -> Destination:
    return open_destination(f"s3://{s3.bucket}/out/")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let outputs above 1 MiB go the way of large ones (parts have 5 MiB at least)."""
    monkeypatch.setattr(uploads, "PART_BYTES", 1024 * 1024)


BIG = [os.urandom(700_000)] * 20


@pytest.mark.parametrize("blocks", [[], [b"on", b"e"], BIG], ids=["empty", "small", "big"])
def test_create_takes_a_free_name_only(out: Destination, s3: S3, blocks: list[bytes], small_parts: None) -> None:
    assert out.create("a/b", iter(blocks))
    assert not out.create("a/b", [b"other"])
    assert s3.get("out/a/b") == b"".join(blocks) == out.read("a/b")
    assert s3.uploads() == 0


@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
def test_of_many_that_race_one_wins(out: Destination, s3: S3, big: bool, small_parts: None) -> None:
    start = threading.Barrier(16)
    won: list[int] = []

    def blocks(i: int) -> Iterator[bytes]:
        start.wait()
        yield b"%x" % i * (1_500_000 if big else 1)

    def one(i: int) -> None:
        if out.create("a", blocks(i)):
            won.append(i)

    at_the_same_time(one)
    assert [s3.get("out/a")[:1]] == [b"%x" % i for i in won]


@pytest.mark.parametrize("method", ["create", "replace"])
@pytest.mark.parametrize("size", [10, 20_000_000], ids=["small", "big"])
def test_nothing_appears_when_the_blocks_fail(out: Destination, s3: S3, method: str, size: int) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(0, size, 1_000_000):
            yield bytes(min(size, 1_000_000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        getattr(out, method)("a", blocks())
    assert (s3.keys(), s3.uploads()) == ([], 0)


def test_a_file_missing_on_this_machine_is_not_put_down_to_the_bucket(out: Destination, tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield bytes(9_000_000)
        yield (tmp_path / "no").read_bytes()

    with pytest.raises(FileNotFoundError, match="no"):
        out.replace("a", blocks())


@pytest.mark.parametrize("blocks", [[], [b"one"], BIG], ids=["empty", "small", "big"])
def test_replace_replaces(out: Destination, s3: S3, blocks: list[bytes], small_parts: None) -> None:
    out.replace("a", [b"old"])
    uploads.PART_BYTES = 5 * 1024 * 1024
    out.replace("a", iter(blocks))
    assert s3.get("out/a") == b"".join(blocks)
    assert s3.uploads() == 0


@pytest.mark.parametrize("size", [10, 1_500_000], ids=["small", "big"])
def test_a_put_whose_answer_was_lost_is_known_as_ours(flaky_s3: Web, s3: S3, size: int, small_parts: None) -> None:
    out = open_destination(f"s3://{s3.bucket}/out")
    flaky_s3.faults.extend([None, Fault("short", -1)])
    assert out.create("a", [b"x" * size])
    assert [one.method for one in flaky_s3.log] == ["HEAD", "PUT", "PUT", "HEAD"]
    assert s3.get("out/a") == b"x" * size


@pytest.mark.parametrize("size", [10, 1_500_000, 12_000_000], ids=["small", "big", "parts"])
@pytest.mark.parametrize("method", ["create", "replace"])
def test_writes_are_tried_again(flaky_s3: Web, s3: S3, method: str, size: int, small_parts: None) -> None:
    out = open_destination(f"s3://{s3.bucket}/out")
    uploads.PART_BYTES = 5 * 1024 * 1024 if method == "replace" else uploads.PART_BYTES
    flaky_s3.faults.extend([None, Fault("status", status=503), None, Fault("status", status=500)])
    getattr(out, method)("a", [b"x" * 1_000_000] * (size // 1_000_000) + [b"y" * (size % 1_000_000)])
    assert len(s3.get("out/a")) == size


@pytest.mark.parametrize("method", ["create", "replace", "open_output"])
def test_memory_does_not_grow_with_what_is_written(s3: S3, method: str) -> None:
    """80 MB are written and read back by a process of their own, for the server is in this one."""
    code = (
        "from cbtool.source import open_source\n"
        "from cbtool.destination import open_destination; from cbtool.output import open_output\n"
        f"uri, method, block = 's3://{s3.bucket}/out', {method!r}, bytes(1_000_000)\n"
        "if method == 'open_output':\n"
        "  with open_output(uri + '/a') as file: file.writelines(block for _ in range(80))\n"
        "else: getattr(open_destination(uri), method)('a', (block for _ in range(80)))\n"
        "source = open_source(uri + '/a')\n"
        "assert sum(map(len, source.stream(0, source.size))) == 80_000_000\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) < 90 * 1024


def test_lists_and_deletes(out: Destination, s3: S3) -> None:
    for name in ("b", "a/b", "a.c", ".cbtool/key"):
        out.create(name, [b"12"])
    s3.put("outer", b"not below")
    assert list(out.names()) == [(".cbtool/key", 2), ("a.c", 2), ("a/b", 2), ("b", 2)]
    assert list(out.names("a")) == [("a.c", 2), ("a/b", 2)]
    assert list(out.names("a/")) == [("a/b", 2)]
    out.delete("a/b")
    out.delete("a/b")
    assert out.read("a/b") is None
    assert list(out.names("a")) == [("a.c", 2)]
    assert out.locate("a.c") == f"s3://{s3.bucket}/out/a.c"


def test_a_bucket_itself_may_be_the_destination(s3: S3) -> None:
    out = open_destination(f"s3://{s3.bucket}")
    assert out.create("a/b", [b"12"])
    assert (list(out.names()), out.locate("a/b")) == ([("a/b", 2)], f"s3://{s3.bucket}/a/b")


def test_unsafe_names_are_refused(out: Destination) -> None:
    with pytest.raises(FormatError):
        out.create("../a", [b""])


def test_a_bucket_that_is_not_there_is_73(s3: S3) -> None:
    out = open_destination("s3://no-such-bucket/out")
    for write in (lambda: out.create("a", [b"x"]), lambda: out.replace("a", [b"x"])):
        with pytest.raises(CannotWrite, match="no such bucket") as caught:
            write()
        assert caught.value.exit_code == 73


def test_no_permission_to_write_is_77(flaky_s3: Web, s3: S3) -> None:
    out = open_destination(f"s3://{s3.bucket}/out")
    flaky_s3.faults.extend([None, Fault("status", status=403)])
    with pytest.raises(NotAllowed) as caught:
        out.create("a", [b"x"])
    assert caught.value.exit_code == 77


@pytest.mark.parametrize("size", [0, 10, 20_000_000])
def test_a_single_output_appears_when_it_is_whole(s3: S3, size: int) -> None:
    with open_output(f"s3://{s3.bucket}/out.bin") as file:
        file.writelines([b"x" * (size // 10)] * 10)
        assert s3.keys() == []
    assert s3.get("out.bin") == b"x" * (size // 10 * 10)


def test_a_single_output_that_fails_leaves_nothing(s3: S3) -> None:
    with pytest.raises(KeyboardInterrupt), open_output(f"s3://{s3.bucket}/out.bin") as file:
        file.write(bytes(20_000_000))
        raise KeyboardInterrupt
    assert (s3.keys(), s3.uploads()) == ([], 0)


def test_a_single_output_needs_a_name_and_a_bucket(s3: S3) -> None:
    with pytest.raises(UsageError, match="names no object"), open_output(f"s3://{s3.bucket}/"):
        pass
    with pytest.raises(CannotWrite, match="no such bucket"), open_output("s3://no-such-bucket/a") as file:
        file.write(b"x")


def test_errors_survive_pickling(s3: S3) -> None:
    with pytest.raises(MissingInput) as caught:
        ObjectSource(f"s3://{s3.bucket}/no")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
