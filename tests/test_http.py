"""Files on web servers: exact ranges, pinned versions, faults, and where credentials go."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cbtool import retry
from cbtool.errors import CbtoolError, MissingInput, NotAllowed, StaleError, Unavailable, UsageError
from cbtool.source import Source, open_source
from tests.servers import Fault, Web, serving

DATA = os.urandom(3_000_000)
RESET, SHORT = Fault("reset", 1000), Fault("short", 1000)


@pytest.fixture
def file(web: Web) -> Web:
    web.files["/f"] = DATA
    return web


@pytest.fixture
def other() -> Iterator[Web]:
    with serving(Web(files={"/g": DATA})) as one:
        yield one


def open_f(web: Web) -> Source:
    source = open_source(web.url + "/f")
    web.log.clear()
    return source


def test_is_opened_by_a_get_of_one_byte(file: Web) -> None:
    with open_source(file.url + "/f") as source:
        assert (source.uri, source.size, source.portable) == (file.url + "/f", len(DATA), True)
        assert source.version.startswith("etag:") and '"' not in source.version
        assert (source.note, source.resupply) == (None, False)
        assert (source.meter.requests, source.meter.bytes) == (0, 0)
    (asked,) = file.log
    assert (asked.method, asked.headers["range"], asked.headers["accept-encoding"]) == ("GET", "bytes=0-0", "identity")


def test_a_read_is_one_pinned_request(file: Web) -> None:
    source = open_f(file)
    assert source.read(10, 100) == DATA[10:110]
    (asked,) = file.log
    assert asked.headers["range"] == "bytes=10-109"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["if-match"] == f'"{source.version[5:]}"'
    assert (source.meter.requests, source.meter.bytes) == (1, 100)


def test_a_stream_is_one_request_in_blocks(file: Web) -> None:
    source = open_f(file)
    blocks = list(source.stream(5, 2_500_000))
    assert b"".join(blocks) == DATA[5:2_500_005]
    assert max(map(len, blocks)) <= 1024 * 1024
    assert (file.count(), source.meter.requests, source.meter.bytes) == (1, 1, 2_500_000)


def test_many_ranges_share_requests_where_they_lie_close(file: Web) -> None:
    source = open_f(file)
    ranges = [(2_000_000, 10), (0, 10), (100, 10), (1_000_000, 10), (2_000_005, 10)]
    assert source.read_many(ranges) == [DATA[a : a + n] for a, n in ranges]
    assert (file.count(), source.meter.requests, source.meter.bytes) == (3, 3, 110 + 10 + 15)


def test_a_planned_source_is_asked_for_nothing_before_it_is_read(file: Web) -> None:
    version = open_f(file).version
    source = open_source(file.url + "/f", version=version, size=len(DATA))
    assert file.log == []
    assert source.read(1, 5) == DATA[1:6]
    assert file.count() == 1
    with pytest.raises(StaleError) as caught:
        open_source(file.url + "/f", version="etag:other", size=len(DATA)).read(1, 5)
    assert caught.value.exit_code == 4


def test_nothing_is_asked_for_an_empty_range(file: Web) -> None:
    assert open_f(file).read(5, 0) == b""
    assert file.log == []


def test_what_lies_behind_the_end_is_refused(file: Web) -> None:
    with pytest.raises(StaleError, match="it has 3000000 bytes, and not those from 2999995 to 3000001"):
        open_f(file).read(len(DATA) - 5, 6)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_file_is_read(web: Web, ranges: bool) -> None:
    web.files["/f"], web.ranges, web.etag = b"", ranges, "none"
    web.modified = None
    source = open_source(web.url + "/f")
    assert (source.size, source.read(0, 0)) == (0, b"")


@pytest.mark.parametrize("kind", [503, 500, 429, 408])
def test_statuses_that_pass_are_asked_again(file: Web, kind: int) -> None:
    source = open_f(file)
    file.faults.extend([Fault("status", status=kind)] * 3)
    assert source.read(0, 10) == DATA[:10]
    assert (file.count(), source.meter.requests, source.meter.bytes) == (4, 4, 10)


def test_a_service_that_stays_away_is_69(file: Web) -> None:
    source = open_f(file)
    file.faults.extend([Fault("status", status=503)] * 10)
    with pytest.raises(Unavailable, match="6 tries failed: it answered 503") as caught:
        source.read(0, 10)
    assert (file.count(), caught.value.exit_code) == (6, 69)


def test_a_server_that_is_not_there_is_69() -> None:
    with pytest.raises(Unavailable, match="it cannot be connected to"):
        open_source("http://127.0.0.1:1/f")


@pytest.mark.parametrize("fault", [RESET, SHORT], ids=lambda fault: fault.kind)
def test_a_broken_stream_goes_on_from_where_it_stopped(file: Web, fault: Fault) -> None:
    source = open_f(file)
    file.faults.append(fault._replace(n=2_200_000))
    assert b"".join(source.stream(100, 2_900_000)) == DATA[100:2_900_100]
    first, second = file.log
    assert first.headers["range"] == "bytes=100-2900099"
    at = int(second.headers["range"].removeprefix("bytes=").removesuffix("-2900099"))
    assert 100 < at <= 2_200_100
    assert second.headers["if-match"] == first.headers["if-match"]
    assert source.meter.requests == 2


@pytest.mark.parametrize("kind", ["reset", "short"])
def test_a_connection_that_is_closed_before_the_answer_is_asked_again(file: Web, kind: str) -> None:
    source = open_f(file)
    file.faults.append(Fault(kind, -1))
    assert source.read(0, 10) == DATA[:10]
    assert file.count() == 2


@pytest.mark.parametrize("n", [-1, 500])
def test_a_stall_is_given_up_and_asked_again(file: Web, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "STALL_S", 0.2)
    source = open_f(file)
    file.faults.append(Fault("stall", n))
    assert source.read(0, 1000) == DATA[:1000]
    assert file.count() == 2


def test_ranges_that_are_ignored_are_refused(file: Web) -> None:
    file.ranges = False
    with pytest.raises(UsageError, match="the server ignores ranges") as caught:
        open_source(file.url + "/f")
    assert caught.value.hint and "download" in caught.value.hint


def test_another_range_than_asked_is_refused(file: Web) -> None:
    source = open_f(file)
    file.shift = 7
    with pytest.raises(UsageError, match=r"sends other ranges than asked \(bytes 17-26/3000000\)"):
        source.read(10, 10)
    with pytest.raises(UsageError, match="sends other ranges than asked"):
        open_source(file.url + "/f")


def test_a_content_encoding_is_refused(file: Web) -> None:
    file.encoding = "gzip"
    with pytest.raises(UsageError, match="Content-Encoding: gzip"):
        open_source(file.url + "/f")


def test_a_weak_etag_falls_back_to_last_modified_and_says_so(file: Web) -> None:
    file.etag = "weak"
    source = open_f(file)
    assert source.version == "modified:3000000 Wed, 21 Oct 2015 07:28:00 GMT"
    assert source.note and "size and Last-Modified" in source.note
    assert source.read(0, 10) == DATA[:10]
    assert "if-match" not in file.log[0].headers
    file.modified = "Thu, 22 Oct 2015 07:28:00 GMT"
    with pytest.raises(StaleError):
        source.read(0, 10)


def test_no_version_at_all_is_refused_without_unversioned(file: Web) -> None:
    file.etag, file.modified = "none", None
    with pytest.raises(UsageError, match="neither a strong ETag nor Last-Modified") as caught:
        open_source(file.url + "/f")
    assert caught.value.hint and "--unversioned" in caught.value.hint
    source = open_source(file.url + "/f", unversioned=True)
    assert source.version == "unversioned:3000000"
    assert source.note and "size alone" in source.note
    planned = open_source(file.url + "/f", version=source.version, size=source.size)
    assert planned.read(0, 10) == DATA[:10]
    file.files["/f"] = DATA[1:]
    with pytest.raises(StaleError):
        planned.read(0, 10)


@pytest.mark.parametrize("pins", [True, False], ids=["412", "If-Match ignored"])
def test_a_changed_file_is_never_read(file: Web, pins: bool) -> None:
    source = open_f(file)
    source.check()
    file.pins = pins
    file.files["/f"] = bytes(len(DATA))
    for read in (lambda: source.read(0, 10), lambda: list(source.stream(0, 10)), source.check):
        with pytest.raises(StaleError, match="it has changed"):
            read()


def test_a_file_that_changes_in_mid_stream_is_refused(file: Web) -> None:
    source = open_f(file)
    file.faults.append(Fault("short", 2_000_000))
    stream = source.stream(0, len(DATA))
    next(stream)
    file.files["/f"] = bytes(len(DATA))
    with pytest.raises(StaleError):
        list(stream)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, MissingInput, 66),
        (410, MissingInput, 66),
        (403, NotAllowed, 77),
        (401, NotAllowed, 77),
        (418, Unavailable, 69),
    ],
)
def test_statuses_have_their_errors(file: Web, status: int, kind: type[CbtoolError], code: int) -> None:
    file.faults.append(Fault("status", status=status))
    with pytest.raises(kind) as caught:
        open_source(file.url + "/f")
    assert caught.value.exit_code == code
    assert file.count() == 1


def test_a_redirect_is_followed_once(file: Web, other: Web) -> None:
    file.redirects["/r?sig=1"] = other.url + "/g?signed=2"
    with open_source(file.url + "/r?sig=1") as source:
        assert source.uri == file.url + "/r"
        for _ in range(3):
            assert source.read(0, 10) == DATA[:10]
        assert (file.count(), other.count(), source.meter.requests) == (1, 4, 3)


def test_a_redirect_whose_target_expired_is_asked_for_anew(file: Web, other: Web) -> None:
    file.redirects["/r"] = other.url + "/g?signed=1"
    source = open_source(file.url + "/r")
    other.faults.append(Fault("status", status=403))
    file.redirects["/r"] = other.url + "/g?signed=2"
    assert source.read(0, 10) == DATA[:10]
    assert [one.path for one in other.log] == ["/g?signed=1", "/g?signed=1", "/g?signed=2"]
    assert source.meter.requests == 3


def test_a_redirect_to_what_is_missing_is_66(file: Web, other: Web) -> None:
    file.redirects["/r"] = other.url + "/no"
    with pytest.raises(MissingInput):
        open_source(file.url + "/r")


def test_redirects_that_go_round_are_refused(web: Web) -> None:
    web.redirects["/r"] = "/r"
    with pytest.raises(UsageError, match="more than 8 redirects"):
        open_source(web.url + "/r")


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/f", "file:///etc/passwd", "http://[bad/"])
def test_a_redirect_out_of_the_web_is_refused(web: Web, target: str) -> None:
    web.redirects["/r"] = target
    with pytest.raises(UsageError):
        open_source(web.url + "/r")


def test_credentials_stay_with_their_host_and_out_of_sight(file: Web, other: Web) -> None:
    file.user = "Basic bWU6c2VjcmV0IQ=="
    file.redirects["/r?token=hush"] = other.url + "/g"
    source = open_source(file.url.replace("//", "//me:secret!@") + "/r?token=hush#part")
    assert source.read(0, 10) == DATA[:10]
    assert source.uri == file.url + "/r"
    assert source.resupply
    for asked in other.log:
        assert "authorization" not in asked.headers
        assert not any("hush" in text or "secret" in text for text in (asked.path, *asked.headers.values()))
    other.files["/g"] = b"changed"
    with pytest.raises(StaleError) as caught:
        source.read(0, 10)
    assert not any(word in repr((caught.value, caught.value.facts)) for word in ("hush", "secret"))


def test_a_password_is_sent_to_its_own_host(file: Web) -> None:
    file.user = "Basic bWU6c2VjcmV0IQ=="
    source = open_source(file.url.replace("//", "//me:secret%21@") + "/f")
    assert source.read(0, 10) == DATA[:10]
    with pytest.raises(NotAllowed, match="not allowed"):
        open_source(file.url + "/f")


def test_a_signed_url_that_expired_says_so(file: Web) -> None:
    file.faults.append(Fault("status", status=403))
    with pytest.raises(NotAllowed) as caught:
        open_source(file.url + "/f?X-Amz-Signature=hush")
    assert caught.value.hint == "has the signed URL expired?"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "http:///f", "https://host:port/f", "http://[::1/f"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_source(url)


def test_a_proxy_of_the_environment_is_used(file: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Web(upstream=file.url.removeprefix("http://"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert open_source("http://nowhere.invalid/f").read(0, 10) == DATA[:10]
        assert proxy.count() == 2
