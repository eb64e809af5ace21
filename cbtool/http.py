"""Files on web servers as sources: exact ranges, pinned to a version, no credential in a name or to another host."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import IO
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, SSLError, TimeoutError
from urllib3.response import BaseHTTPResponse

from cbtool import retry
from cbtool.errors import MissingInput, NotAllowed, Unavailable, UsageError
from cbtool.retry import PASSING_STATUS, Passing, Remote, again
from cbtool.source import STREAM_BLOCK_BYTES

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 8
EXPIRED = (401, 403, 404, 410)
"""What a redirect's target answers when the redirect has to be asked for anew."""
RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
DOWNLOAD = "download it first: curl -O …"
PORTS = {"http": 80, "https": 443}


class HttpSource(Remote):
    """A file behind ``http(s)://``. The version: a strong ETag (sent as If-Match), else size and Last-Modified.

    It is opened by a GET of one byte, for a HEAD neither shows whether ranges work nor passes signed URLs. A
    redirect is followed once and its target kept; each hop is a request on the meter. With *pinned* (version and
    size, from a plan) nothing is asked until something is read.
    """

    def __init__(self, url: str, *, unversioned: bool = False, pinned: tuple[str, int] | None = None) -> None:
        self._address = url
        self._url, self._secret = _without_password(url)
        parts = urlsplit(self._url)
        super().__init__(parts._replace(query="").geturl(), 0, "")
        self.resupply = bool(parts.query or self._secret)
        self._target = self._url
        self._unversioned = unversioned
        self.version, self.size = pinned or self._look()
        if not self.version.startswith("etag:"):
            weak = "size and Last-Modified" if self.version.startswith("modified:") else "size alone"
            self.note = f"the server gives no strong ETag: a change is seen by its {weak}"

    @property
    def address(self) -> str:
        return self._address

    def _look(self) -> tuple[str, int]:
        def ask() -> tuple[str, int]:
            with self._ask({"Range": "bytes=0-0"}, metered=False) as answer:
                size = self._size(answer)
                answer.read(16)  # the byte that was asked for, so that the connection can be used again
                return self._version(answer.headers, size), size

        return again(self.uri, ask)

    def _size(self, answer: BaseHTTPResponse) -> int:
        found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status == 200 and answer.headers.get("Content-Length") == "0":
            return 0
        if answer.status == 206 and found and found[1] == found[2] == "0":
            return int(found[3])
        if answer.status == 416 and found and found[3] == "0":
            return 0
        raise self._no_ranges(answer)

    def _no_ranges(self, answer: BaseHTTPResponse) -> UsageError:
        told = answer.headers.get("Content-Range", "no Content-Range")[:60]
        what = "ignores ranges" if answer.status == 200 else f"sends other ranges than asked ({told})"
        return UsageError(f"{self.uri}: the server {what}", hint=DOWNLOAD, uri=self.uri)

    def _version(self, headers: Mapping[str, str], size: int) -> str:
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified")
        if re.fullmatch(r'"[^"]+"', etag):
            return "etag:" + etag.strip('"')
        if modified:
            return f"modified:{size} {modified}"
        if self._unversioned or self.version.startswith("unversioned:") or size == 0:
            return f"unversioned:{size}"
        hint = "with --unversioned its size alone stands for its version"
        raise UsageError(f"{self.uri}: the server gives neither a strong ETag nor Last-Modified", hint=hint)

    def _get(self, start: int, length: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if self.version.startswith("etag:"):
            headers["If-Match"] = f'"{self.version[5:]}"'
        with self._ask(headers) as answer:
            found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status == 416:
                raise self.changed()
            if answer.status != 206 or not found or found[1] is None:
                raise self._no_ranges(answer)
            size = int(found[3])
            if (self._version(answer.headers, size), size) != (self.version, self.size):
                raise self.changed()
            if (int(found[1]), int(found[2])) != (start, start + length - 1):
                raise self._no_ranges(answer)
            for block in answer.stream(STREAM_BLOCK_BYTES, decode_content=False):
                self.meter.add(0, len(block))
                yield block

    def check(self) -> None:
        if self._look() != (self.version, self.size):
            raise self.changed()

    @contextmanager
    def _ask(self, headers: Mapping[str, str], metered: bool = True) -> Iterator[BaseHTTPResponse]:
        """Give the answer of the target after all redirects; the errors that it may be are raised."""
        fresh = False
        for _ in range(MOST_REDIRECTS):
            asked = self._target
            fresh = fresh or asked == self._url
            if metered:
                self.meter.add(1, 0)
            with request("GET", asked, {**headers, **self._credentials(asked)}) as answer:
                if answer.status in REDIRECTS and "Location" in answer.headers:
                    self._target = self._next(asked, answer.headers["Location"])
                elif answer.status in EXPIRED and not fresh:
                    self._target = self._url
                else:
                    self._refuse(answer)
                    yield answer
                    return
        raise UsageError(f"{self.uri}: more than {MOST_REDIRECTS} redirects", uri=self.uri)

    def _credentials(self, url: str) -> dict[str, str]:
        return self._secret if _origin(url) == _origin(self._url) else {}

    def _next(self, url: str, location: str) -> str:
        target, _ = _without_password(location, url)
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise UsageError(f"{self.uri}: the server redirects to an unencrypted place", hint=DOWNLOAD, uri=self.uri)
        return target

    def _refuse(self, answer: BaseHTTPResponse) -> None:
        status = answer.status
        if status in PASSING_STATUS:
            wait = answer.headers.get("Retry-After", "")
            raise Passing(f"answered {status}", float(wait) if wait.isdecimal() else 0.0)
        if status == 412:
            raise self.changed()
        if status in (404, 410):
            raise MissingInput(f"{self.uri}: no such file on the server ({status})", uri=self.uri)
        if status in (401, 403):
            hint = "has the signed URL expired?" if self.resupply else "does it need a password or a signed URL?"
            raise NotAllowed(f"{self.uri}: not allowed ({status})", hint=hint, uri=self.uri)
        if status not in (200, 206, 416):
            raise Unavailable(f"{self.uri}: it answered {status}", uri=self.uri)
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            why = f"the server sends it as Content-Encoding: {encoding[:20]}, so that ranges are of other bytes"
            raise UsageError(f"{self.uri}: {why}", hint=DOWNLOAD, uri=self.uri)


@contextmanager
def request(
    method: str, url: str, headers: Mapping[str, str], body: IO[bytes] | None = None
) -> Iterator[BaseHTTPResponse]:
    """Give the answer to one request, its body unread; no redirect is followed. Passing for a broken connection."""
    shown = urlsplit(url)._replace(query="").geturl()
    timeout = urllib3.Timeout(connect=retry.CONNECT_S, read=retry.STALL_S)
    try:
        answer = _pool(*_way(urlsplit(url))).request(
            method,
            url,
            body=body,
            headers={"Accept-Encoding": "identity", "User-Agent": "cbtool", **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=timeout,
        )
        try:
            yield answer
        finally:
            answer.close()
    except LocationParseError:
        raise UsageError(f"{shown}: not a URL", uri=shown) from None
    except SSLError:
        raise Unavailable(f"{shown}: its certificate cannot be trusted", uri=shown) from None
    except NewConnectionError:
        raise Passing("cannot be connected to") from None
    except TimeoutError:
        raise Passing("did not answer in time") from None
    except HTTPError:
        raise Passing("broke off") from None


def _way(parts: SplitResult) -> tuple[int, str | None]:
    """Return what tells pools apart: the process (sockets do not outlive a fork), and the proxy of the environment."""
    proxy = getproxies().get(parts.scheme)
    return os.getpid(), None if proxy is None or proxy_bypass(parts.netloc) else proxy


@lru_cache(maxsize=8)
def _pool(process: int, proxy: str | None) -> urllib3.PoolManager:
    kind = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
    return kind(num_pools=32, maxsize=retry.AT_ONCE, ssl_context=ssl.create_default_context())


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _without_password(url: str, base: str = "") -> tuple[str, dict[str, str]]:
    """Return *url* (seen from *base*) without user and fragment, and the Authorization header that stands for the user.

    >>> _without_password("https://me:pw@host/f?x=1#y")
    ('https://host/f?x=1', {'authorization': 'Basic bWU6cHc='})
    """
    try:
        parts = urlsplit(urljoin(base, url))
        _ = parts.port
    except ValueError:
        raise UsageError("not a URL that can be read", hint="http(s)://HOST/PATH") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UsageError(f"{parts.scheme or 'it'}: not a URL of a web server", hint="http(s)://HOST/PATH")
    user, _, host = parts.netloc.rpartition("@")
    secret = urllib3.make_headers(basic_auth=unquote(user)) if user else {}
    return parts._replace(netloc=host, fragment="").geturl(), dict(secret)
