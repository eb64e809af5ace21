"""An S3 server on loopback (moto) that writes down what it was asked for: ``python -m benchmarks.s3 LOG``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Server:
    """Where it is and what it is; *log* is None for a server of somebody else's."""

    endpoint: str
    name: str
    log: Path | None

    def asked(self) -> list[dict[str, Any]]:
        """Return what was asked for since the last call."""
        if self.log is None:
            return []
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return [json.loads(line) for line in lines]


@contextmanager
def serving(endpoint: str | None, folder: Path) -> Iterator[Server]:
    """Use the server at *endpoint*, with the ``AWS_*`` variables as they are; or start moto's for the block."""
    if endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        yield Server(endpoint, f"the S3 server at {endpoint}", None)
        return
    os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    log = folder / "s3.log"
    log.write_text("")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.s3", str(log)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        os.environ["AWS_ENDPOINT_URL"] = process.stdout.readline().strip()
        yield Server(os.environ["AWS_ENDPOINT_URL"], "moto's server (Python, one process) on loopback", log)
    finally:
        process.terminate()
        process.wait()


def fill(bucket: str, path: Path) -> str:
    """Put the file at *path* into *bucket* and return its URI. A process of its own does it, to keep this one small."""
    code = (
        "import sys, boto3; s3 = boto3.client('s3'); bucket, path, key = sys.argv[1:]\n"
        "if bucket not in [one['Name'] for one in s3.list_buckets()['Buckets']]: s3.create_bucket(Bucket=bucket)\n"
        "s3.upload_file(path, bucket, key)"
    )
    subprocess.run([sys.executable, "-c", code, bucket, str(path), path.name], check=True)
    return f"s3://{bucket}/{path.name}"


def main(log: str) -> None:
    """Serve until ended; print the address first."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    inner = DomainDispatcherApplication(create_backend_app)
    file = open(log, "a", buffering=1)

    def counting(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = inner(environ, start_response)
        n_bytes = 0
        for block in body:
            n_bytes += len(block)
            yield block
        names = ("REQUEST_METHOD", "PATH_INFO", "HTTP_RANGE")
        method, path, wanted = (environ.get(name) for name in names)
        file.write(json.dumps({"method": method, "path": path, "range": wanted, "bytes": n_bytes}) + "\n")

    server = make_server("127.0.0.1", 0, counting, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
