"""A web server on loopback that takes its time, answers ranges, and writes down what it was asked for.

``python -m benchmarks.web LOG FOLDER SECONDS`` serves what is in a folder; each answer comes SECONDS after its request.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.s3 import Server

BLOCK = 1 << 20


@contextmanager
def serving(folder: Path, log: Path, delay_s: float) -> Iterator[Server]:
    """Serve the files of *folder* for the block, by a process of its own."""
    log.write_text("")
    argv = [sys.executable, "-m", "benchmarks.web", str(log), str(folder), str(delay_s)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Server(process.stdout.readline().strip(), f"a server that answers after {1000 * delay_s:g} ms", log)
    finally:
        process.terminate()
        process.wait()


def main(log: str, folder: str, delay_s: str) -> None:
    """Serve until ended; print the address first."""
    written = open(log, "a", buffering=1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are sent apart: the second would wait 40 ms for an ACK

        def do_GET(self) -> None:
            time.sleep(float(delay_s))
            path = Path(folder, *[part for part in self.path.split("/") if part != ".."])
            wanted = self.headers.get("Range")
            sent = self.answer(path, wanted) if path.is_file() else self.say(404, 0)
            line = {"method": self.command, "path": self.path, "range": wanted, "bytes": sent}
            written.write(json.dumps(line) + "\n")

        do_HEAD = do_GET

        def answer(self, path: Path, wanted: str | None) -> int:
            """Send what is *wanted* of the file at *path*; return how many bytes that were."""
            size = path.stat().st_size
            found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "bytes=0-")
            if not found or not any(found.groups()):
                return self.say(416, 0)
            first = int(found[1]) if found[1] else max(0, size - int(found[2]))
            end = min(int(found[2]) + 1, size) if found[1] and found[2] else size
            if first >= end:
                return self.say(416, 0, {"Content-Range": f"bytes */{size}"})
            headers = {"ETag": f'"{path.stat().st_mtime_ns:x}-{size:x}"', "Accept-Ranges": "bytes"}
            if wanted:
                headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
            self.say(206 if wanted else 200, end - first, headers)
            if self.command == "HEAD":
                return 0
            with path.open("rb") as file:
                file.seek(first)
                for at in range(first, end, BLOCK):
                    self.wfile.write(file.read(min(BLOCK, end - at)))
            return end - first

        def say(self, status: int, length: int, headers: dict[str, str] | None = None) -> int:
            self.send_response(status)
            for name, value in ({"Content-Length": str(length)} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            return 0

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what was asked is in the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
