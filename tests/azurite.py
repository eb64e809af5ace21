"""Azure's blob storage for the tests: Azurite from npm, kept below ``.azurite/``.

``python -m tests.azurite COMMAND...`` installs it (once), starts it on a free port of loopback with everything in
memory, runs COMMAND with the variable `ENDPOINT`, and ends it, whatever happens; the status is COMMAND's. Where it
cannot be had, COMMAND runs with `MISSING`, which says why.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rgw import NotStarted, Unobtainable, free_port, serve

ENDPOINT, MISSING = "CBTOOL_TEST_AZURITE", "CBTOOL_TEST_AZURITE_MISSING"
VERSION = "3.35.0"
"""The last for Node.js below 22."""
TOP = Path(__file__).resolve().parent.parent / ".azurite"
PROGRAM = TOP / "node_modules/azurite/dist/src/blob/main.js"


def fetch() -> None:
    """Install it below `TOP`, where that has not been done."""
    if (TOP / "whole").exists():
        return
    if missing := [one for one in ("node", "npm", "setpriv") if not shutil.which(one)]:
        raise Unobtainable(f"no {', '.join(missing)} here")
    quiet = ["--cache", str(TOP / "cache"), "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts"]
    argv = ["npm", "install", "--prefix", str(TOP), *quiet, f"azurite@{VERSION}"]
    TOP.mkdir(exist_ok=True)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=2, check=False, timeout=300)
    if done.returncode:
        raise Unobtainable("npm gives no azurite")
    shutil.rmtree(TOP / "cache", ignore_errors=True)
    (TOP / "whole").touch()


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Have the service for the block; yield the variable that says where it is."""
    fetch()
    port = free_port()
    options = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    place = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "node", str(PROGRAM), *place, *options],
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        _wait(process, port)
        yield {ENDPOINT: f"http://127.0.0.1:{port}"}
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise NotStarted("azurite does not start")


if __name__ == "__main__":
    sys.exit(serve("Azurite", running, MISSING))
