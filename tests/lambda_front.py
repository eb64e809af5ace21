"""The Invoke API of AWS Lambda on loopback, in front of AWS's own emulator and runtime interface client.

The front is ours; what runs a task behind it (aws-lambda-rie, awslambdaric) is AWS's, one emulator for each lane, for
it takes one invocation at a time. The front adds what the service does and the emulator does not: names of functions,
the header that tells errors of the function, 200 for a runtime that died, the limit of a request, 429 when no lane is
free, and keys that it does not know. It does not check signatures.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cbtool.backends.aws_lambda.image import HANDLER
from tests.processes import ROOT, session_of, until
from tests.rie import emulator
from tests.servers import Answer, Asked, Web, serving

NAME = "cbtool-test"
KEY = "AKTEST"
REQUEST_BYTES = 6291456
PATH = re.compile(r"/(2015-03-31|2019-09-30)/functions/([^/?]+)/(invocations|configuration|concurrency)(?:\?(.*))?")
JSON = {"Content-Type": "application/json"}


class Refusal(NamedTuple):
    """An error of the service's own."""

    status: int
    code: str
    message: str = "no"
    headers: Mapping[str, str] = {}

    def answer(self) -> Answer:
        body = json.dumps({"Type": "User", "Message": self.message}).encode()
        return Answer(self.status, {**JSON, "x-amzn-ErrorType": self.code, **self.headers}, body)


class Lane:
    """One emulator and the runtime that it starts, in a session of their own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.start()

    def start(self) -> None:
        for _ in range(5):  # a port that was free may be taken by somebody else
            self.port, api = free_ports(2)
            addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"]
            addresses += ["--runtime-api-address", f"127.0.0.1:{api}", "--log-level", "error"]
            with open(self.folder / f"lane-{self.port}.log", "wb") as log:
                self.process = subprocess.Popen(
                    [emulator(), *addresses, sys.executable, "-m", "awslambdaric", HANDLER],
                    cwd=self.folder,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            until(lambda: self.process.poll() is not None or answers(self.port))
            if self.process.poll() is None:
                return
        raise AssertionError("the emulator does not start")

    def invoke(self, body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", body)
            answer = connection.getresponse()
            return Answer(answer.status, {}, answer.read())
        finally:
            connection.close()

    def stop(self) -> None:
        """End the emulator, the runtime and all that its tasks started."""
        while left := session_of(self.process.pid):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
        self.process.wait()


@dataclass
class Front(Web):
    """A service with one function, `NAME`; each request takes the next of *refusals*, each invocation a free lane."""

    refusals: deque[Refusal | None] = field(default_factory=deque)
    lanes: list[Lane] = field(default_factory=list)
    memory_mb: int = 1024
    timeout_s: int = 60
    reserved: int | None = None
    can_ask: bool = True
    """Whether the keys may read the function's configuration."""
    canned: deque[Answer] = field(default_factory=deque)
    """Answers to give to invocations instead."""
    held: threading.Event = field(default_factory=threading.Event)
    """While it is not set, invocations wait for their answers."""
    folder: Path = Path()
    _free: list[Lane] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.held.set()

    def invocations(self) -> int:
        return sum(one.path.endswith("/invocations") for one in self.log)

    def answer(self, asked: Asked, body: bytes) -> Answer:
        refusal = self.refusals.popleft() if self.refusals else self._refusal(asked)
        return refusal.answer() if refusal else self._answer(asked, body)

    def _refusal(self, asked: Asked) -> Refusal | None:
        found = PATH.fullmatch(asked.path)
        if f"Credential={KEY}/" not in asked.headers.get("authorization", ""):
            return Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        if not found or found[2] != NAME or found[4] not in (None, "Qualifier=live"):
            return Refusal(404, "ResourceNotFoundException", f"Function not found: arn:aws:lambda:{asked.path}")
        if found[3] != "invocations" and not self.can_ask:
            return Refusal(403, "AccessDeniedException", f"User is not authorized to perform: {found[3]}")
        return None

    def _answer(self, asked: Asked, body: bytes) -> Answer:
        if "/configuration" in asked.path:
            found = {"FunctionName": NAME, "MemorySize": self.memory_mb, "Timeout": self.timeout_s, "State": "Active"}
            return Answer(200, JSON, json.dumps(found).encode())
        if "/concurrency" in asked.path:
            limit = {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}
            return Answer(200, JSON, json.dumps(limit).encode())
        self.held.wait(60)
        if len(body) > REQUEST_BYTES:
            text = f"Request must be smaller than {REQUEST_BYTES} bytes for the InvokeFunction operation"
            return Refusal(413, "RequestTooLargeException", text).answer()
        return self.canned.popleft() if self.canned else self._invoke(body)

    def _invoke(self, body: bytes) -> Answer:
        with self._lock:
            lane = self._free.pop() if self._free else None
        if lane is None:
            return Refusal(429, "TooManyRequestsException", "Rate Exceeded.").answer()
        try:
            said = lane.invoke(body)
        except (OSError, http.client.HTTPException):
            lane.stop()
            if not self.ended.is_set():
                lane.start()
            said = Refusal(500, "ServiceException").answer()
        # Before the answer is sent: who has it may ask for the next.
        with self._lock:
            self._free.append(lane)
        return said if said.status == 500 else as_the_service_says(said)

    @contextmanager
    def running(self, n_lanes: int, environment: Mapping[str, str]) -> Iterator[Front]:
        with ExitStack() as stack:
            for _ in range(n_lanes):
                self.lanes.append(Lane(self.folder, environment))
                stack.callback(self.lanes[-1].stop)
            self._free = list(self.lanes)
            stack.callback(self.ended.set)
            yield self


def as_the_service_says(said: Answer) -> Answer:
    """Return what the service answers where the emulator answers *said*."""
    failed = said.status != 200 or b'"errorType"' in said.body[:200] or b'"errorMessage"' in said.body[:200]
    failed = failed or said.body.startswith(b"Task timed out")
    headers = {"X-Amz-Function-Error": "Unhandled"} if failed else {}
    return Answer(200, JSON | headers, said.body)


@contextmanager
def front(folder: Path, n_lanes: int, *, timeout_s: int = 60, **more: Any) -> Iterator[Front]:
    """Serve the function on *n_lanes* emulators, which find storage by the ``AWS_*`` variables of now."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir()
    one = Front(timeout_s=timeout_s, folder=folder, **more)
    told = {"AWS_LAMBDA_FUNCTION_TIMEOUT": timeout_s, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": one.memory_mb}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {name: str(value) for name, value in told.items()}
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    with serving(one), one.running(n_lanes, environment):
        yield one


def settings_file(one: Front, folder: Path, **more: Any) -> str:
    """Write the engine's file, which leads to the front; return its path."""
    fields = {"function": NAME, "region": "us-east-1", "endpoint": one.url, **more}
    path = folder / "lambda.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()))
    return str(path)


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
