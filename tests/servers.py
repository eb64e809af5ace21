"""A small web server on loopback that can be told to fail, and the same in front of another server."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import re
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """A request that came in; *headers* with names in small letters."""

    method: str
    path: str
    headers: dict[str, str]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Fault(NamedTuple):
    """What happens to one answer: another *status*, or a body that ends after *n* bytes as *kind* says.

    kind: ``status``, ``short`` (closed), ``reset`` (RST), ``stall`` (silence); *n* of -1 is before the headers (what
    was asked is done all the same).
    """

    kind: str
    n: int = 0
    status: int = 503
    headers: dict[str, str] = {}


@dataclass
class Web:
    """Serves *files* by path, or what *upstream* (``host:port``) answers. Each request takes the next of *faults*."""

    files: dict[str, bytes] = field(default_factory=dict)
    upstream: str | None = None
    faults: deque[Fault | None] = field(default_factory=deque)
    log: list[Asked] = field(default_factory=list)
    ranges: bool = True
    etag: str = "strong"
    """``strong``, ``weak`` or ``none``."""
    modified: str | None = "Wed, 21 Oct 2015 07:28:00 GMT"
    encoding: str | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    shift: int = 0
    """By how much the range is off that is sent."""
    user: str | None = None
    """The Authorization header to insist on."""
    pins: bool = True
    """Whether If-Match is heeded."""
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def count(self, method: str = "GET") -> int:
        return sum(one.method == method for one in self.log)

    def answer(self, asked: Asked, body: bytes) -> Answer:
        if self.upstream:
            return forward(self.upstream, asked, body)
        path = urlsplit(asked.path).path
        if asked.path in self.redirects:
            return Answer(302, {"Location": self.redirects[asked.path]}, b"moved")
        if self.user and asked.headers.get("authorization") != self.user:
            return Answer(401, {}, b"")
        if path not in self.files:
            return Answer(404, {}, b"not here")
        return self._file(self.files[path], asked.headers)

    def _file(self, data: bytes, asked: dict[str, str]) -> Answer:
        headers = {"Last-Modified": self.modified} if self.modified else {}
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        if self.etag != "none":
            headers["ETag"] = tag if self.etag == "strong" else f"W/{tag}"
        if self.encoding:
            headers["Content-Encoding"] = self.encoding
        if self.pins and asked.get("if-match", tag) != tag:
            return Answer(412, {}, b"")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.get("range", "")) if self.ranges else None
        if not wanted:
            return Answer(200, headers, data)
        start, end = int(wanted[1]) + self.shift, min(int(wanted[2]) + 1 + self.shift, len(data))
        if start >= len(data):
            return Answer(416, headers | {"Content-Range": f"bytes */{len(data)}"}, b"")
        return Answer(206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end])


def forward(upstream: str, asked: Asked, body: bytes) -> Answer:
    connection = http.client.HTTPConnection(upstream, timeout=30)
    try:
        connection.request(asked.method, asked.path, body, dict(asked.headers))
        answer = connection.getresponse()
        dropped = ("transfer-encoding", "connection", "date", "server")
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
        return Answer(answer.status, headers, answer.read())
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are sent apart: the second would wait 40 ms for an ACK
    web: Web

    def do_any(self) -> None:
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        body = self.rfile.read(int(asked.headers.get("content-length", 0)))
        self.web.log.append(asked)
        fault = self.web.faults.popleft() if self.web.faults else None
        if fault and fault.kind == "status":
            self.send(Answer(fault.status, fault.headers, b""), None)
        else:
            self.send(self.web.answer(asked, body), fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def send(self, answer: Answer, fault: Fault | None) -> None:
        if fault and fault.n < 0:
            self.fail(fault)
            return
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: fault.n] if fault else answer.body)
        if fault:
            self.wfile.flush()
            self.fail(fault)

    def fail(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "stall":
            self.web.ended.wait(20)
        if fault.kind == "reset":
            wait_until_received(self.connection)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *args: Any) -> None:
        pass


def wait_until_received(connection: socket.socket) -> None:
    """Wait until the peer's kernel has all that was written: a reset throws away what is still to be sent."""
    for _ in range(5000):
        (unsent,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
        if not unsent:
            return
        time.sleep(0.001)


class Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, address: Any) -> None:
        """Say nothing: clients that give up are what is tested."""

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):  # it may have been reset
            super().shutdown_request(request)


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    """Serve *web* on a free port of loopback; its *url* says where."""
    server = Server(("127.0.0.1", 0), type("OneHandler", (Handler,), {"web": web}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        web.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
