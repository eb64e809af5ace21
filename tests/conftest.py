"""Servers on loopback for the tests: object storage, and a web server that fails on demand.

Modules that set ``S3_SERVERS = EVERY_S3`` have their tests of `s3` run twice: on moto, which is quick to start and lax,
and on Ceph's gateway, which is a real server (`tests.rgw`).
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cbtool import retry
from tests import rgw as gateway
from tests.servers import Web, serving

EVERY_S3 = ("moto", "rgw")
HOW = "python -m tests.rgw pytest runs those tests too"


@dataclass
class S3:
    """A bucket of its own for one test, at *endpoint*; *client* is boto3's."""

    endpoint: str
    bucket: str
    client: Any

    def put(self, key: str, data: bytes) -> str:
        """Store *data* and return its URI."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return f"s3://{self.bucket}/{key}"

    def fill(self, keys: Iterable[str]) -> None:
        """Store a byte under each of *keys*; quickly where the server is in this process."""
        from moto.s3.models import s3_backends

        buckets = s3_backends["123456789012"]["aws"]
        if self.bucket in buckets.buckets:
            for key in keys:
                buckets.put_object(self.bucket, key, b"x")
        else:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda key: self.put(key, b"x"), keys))

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def uploads(self) -> int:
        """Return how many multipart uploads lie about."""
        return len(self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests of retries short."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what credentials and settings of clouds this machine has."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def credentials(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SKTESTSKTEST")


def pytest_report_header() -> str:
    """Say on which servers the tests of object storage run."""
    if real := os.environ.get(gateway.ENDPOINT):
        return f"S3 servers: moto, and Ceph's gateway at {real}"
    return f"S3 servers: moto alone: {_no_gateway()}"


def _no_gateway() -> str:
    return os.environ.get(gateway.MISSING) or HOW


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    servers = getattr(metafunc.module, "S3_SERVERS", ())
    if servers and "s3_endpoint" in metafunc.fixturenames:
        metafunc.parametrize("s3_endpoint", servers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Start moto's server, unless ``CBTOOL_TEST_S3`` names another (with the keys AKTEST and SKTESTSKTEST)."""
    if other := os.environ.get("CBTOOL_TEST_S3"):
        yield other
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def rgw_endpoint() -> str:
    """The gateway that was started for all of the tests."""
    if gateway.ENDPOINT not in os.environ:
        pytest.skip(f"no Ceph gateway: {_no_gateway()}")
    return os.environ[gateway.ENDPOINT]


@pytest.fixture(scope="session")
def s3_endpoint(request: pytest.FixtureRequest) -> str:
    """Moto's server, or the one that the test is run on (`S3_SERVERS`)."""
    found: str = request.getfixturevalue(f"{getattr(request, 'param', 'moto')}_endpoint")
    return found


@contextmanager
def bucket_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Make a bucket, and let the ``AWS_*`` variables lead to it."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client = boto3.client("s3")
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield S3(endpoint, bucket, client)
    client.close()


@pytest.fixture
def s3(s3_endpoint: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Object storage that the ``AWS_*`` variables lead to."""
    with bucket_at(s3_endpoint, monkeypatch) as one:
        yield one


@pytest.fixture
def rgw(rgw_endpoint: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The same, on the real server alone."""
    with bucket_at(rgw_endpoint, monkeypatch) as one:
        yield one


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as one:
        yield one


@pytest.fixture
def flaky_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server in front of `s3` that logs and fails on demand; the ``AWS_*`` variables lead to it."""
    with serving(Web(upstream=s3.endpoint.removeprefix("http://"))) as one:
        monkeypatch.setenv("AWS_ENDPOINT_URL", one.url)
        yield one
