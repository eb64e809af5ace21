"""What only a real S3 server shows, on Ceph's gateway: signatures, policies, and keys that are withdrawn."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.errors import NotAllowed
from cbtool.source import open_source
from tests.conftest import S3
from tests.inprocess import command, environment, process, refused
from tests.processes import until
from tests.rgw import administer

LINES = b"".join(b"line %d of some text that is cut\n" % i for i in range(20_000))


@dataclass(frozen=True)
class User:
    """Somebody else than the owner of the bucket."""

    name: str
    access: str
    secret: str

    def enters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the ``AWS_*`` variables be those of this user."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.access)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.secret)

    def loses_the_key(self) -> None:
        administer("key", "rm", "--uid", self.name, "--access-key", self.access)

    def gets_it_back(self) -> None:
        administer("key", "create", "--uid", self.name, "--access-key", self.access, "--secret", self.secret)


@pytest.fixture
def user(rgw: S3) -> Iterator[User]:
    one = User(f"user-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex[:20], uuid.uuid4().hex)
    keys = ("--access-key", one.access, "--secret", one.secret)
    administer("user", "create", "--uid", one.name, "--display-name", one.name, *keys)
    yield one
    administer("user", "rm", "--uid", one.name, "--purge-data")


def allow(rgw: S3, user: User, *actions: str) -> None:
    """Let *user* do *actions* in the bucket, and nothing else."""
    everything = [f"arn:aws:s3:::{rgw.bucket}", f"arn:aws:s3:::{rgw.bucket}/*"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam:::user/{user.name}"]},
        "Action": [f"s3:{action}" for action in actions],
        "Resource": everything,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    rgw.client.put_bucket_policy(Bucket=rgw.bucket, Policy=policy)


READ = ("GetObject", "ListBucket")
WRITE = (*READ, "PutObject", "DeleteObject")


@pytest.fixture
def uri(rgw: S3) -> str:
    return rgw.put("in/some.txt", LINES)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SECRET_ACCESS_KEY", "SKWRONG"), ("AWS_ACCESS_KEY_ID", "AKUNKNOWN")], ids=["secret", "key"]
)
def test_wrong_keys_are_77(rgw: S3, uri: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert refused(77, "info", uri) == f"cbtool: error: {uri}: not allowed"
    assert "not allowed" in refused(77, "info", f"s3://{rgw.bucket}/in/")
    with pytest.raises(NotAllowed):
        open_destination(f"s3://{rgw.bucket}/out").create("a", [b"x"])
    with pytest.raises(NotAllowed):
        open_destination(f"s3://{rgw.bucket}/out").create("a", [bytes(9_000_000)])


def test_without_keys_a_private_object_is_77_and_a_public_one_is_read(
    rgw: S3, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "1")
    result = command("info", uri)
    assert (result.exit_code, "asked without credentials" in result.stderr) == (77, True)
    rgw.client.put_object_acl(Bucket=rgw.bucket, Key="in/some.txt", ACL="public-read")
    assert open_source(uri).read(0, 4) == LINES[:4]


def test_somebody_elses_bucket_is_77(rgw: S3, uri: str, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.enters(monkeypatch)
    assert refused(77, "read", uri, "-k", "0") == f"cbtool: error: {uri}: not allowed"


def test_buckets_that_are_not_there(rgw: S3, uri: str) -> None:
    assert refused(66, "info", "s3://no-such-bucket/key") == "cbtool: error: s3://no-such-bucket: no such bucket"
    line = refused(73, "run", uri, "-n2", "-j1", "-q", "-o", "s3://no-such-bucket/out/", "--", "wc", "-l")
    assert line == "cbtool: error: s3://no-such-bucket: no such bucket"


def signed(rgw: S3, key: str, seconds: int = 600) -> str:
    url: str = rgw.client.generate_presigned_url(
        "get_object", Params={"Bucket": rgw.bucket, "Key": key}, ExpiresIn=seconds
    )
    return url


def test_a_signed_url_is_a_source_and_its_signature_is_kept_nowhere(
    rgw: S3, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, plan = signed(rgw, "in/some.txt"), tmp_path / "plan"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    result = command("partition", url, "-n", "3", "-o", plan)
    assert result.exit_code == 0
    kept = "".join(path.read_text() for path in tmp_path.rglob("*")) + result.output + result.stderr
    assert not any(word in kept for word in ("Signature", "AKTEST", "Expires", "?"))
    parts = [command("read", plan, "-k", str(k), "--source", url).stdout_bytes for k in range(3)]
    assert b"".join(parts) == LINES
    assert "not allowed" in refused(77, "read", plan, "-k", "0")
    run = command("run", plan, "--source", url, "-j1", "-q", "-o", tmp_path / "out", "--", "cat")
    assert run.exit_code == 0, run.stderr
    outputs = sorted((tmp_path / "out").glob("some-*"))
    assert b"".join(path.read_bytes() for path in outputs) == LINES
    kept = "".join(path.read_text() for path in (tmp_path / "out/.cbtool").rglob("*") if path.is_file())
    assert kept and not any(word in kept for word in ("Signature", "AKTEST"))


@pytest.mark.parametrize("how", ["another object", "another signature", "expired"])
def test_a_signed_url_that_was_changed_or_has_expired_is_77(rgw: S3, uri: str, how: str) -> None:
    rgw.put("in/other.txt", b"not for you\n")
    url = signed(rgw, "in/some.txt", 1 if how == "expired" else 600)
    if how == "another object":
        url = url.replace("some.txt", "other.txt")
    elif how == "another signature":
        url = url[:-1] + ("0" if url[-1] != "0" else "1")
    else:
        until(lambda: command("info", url).exit_code != 0)
    line = refused(77, "info", url)
    assert "not allowed" in line and "?" not in line


def test_a_run_that_may_not_write_is_77_before_any_work(
    rgw: S3, uri: str, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(rgw, user, *READ)
    user.enters(monkeypatch)
    ran = tmp_path / "ran"
    words = ("run", uri, "-n3", "-j1", "-q", "-o", f"s3://{rgw.bucket}/out/", "--", f"touch {ran}; cat")
    assert "not allowed" in refused(77, *words)
    assert not ran.exists()
    allow(rgw, user, *WRITE)
    assert command(*words).exit_code == 0
    assert ran.exists()


def test_an_index_that_may_not_lie_beside_its_source_goes_to_the_cache(
    rgw: S3, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = rgw.put("in/some.txt.gz", gzip.compress(LINES, 1))
    allow(rgw, user, *READ)
    user.enters(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    line = refused(77, "partition", uri, "-n", "3", "-q", "-o", f"s3://{rgw.bucket}/chunks.plan")
    assert line == f"cbtool: error: s3://{rgw.bucket}/chunks.plan: not allowed (AccessDenied)"
    result = command("partition", uri, "-n", "3", "-o", tmp_path / "plan")
    assert result.exit_code == 0, result.stderr
    assert rgw.keys() == ["in/some.txt.gz"]
    assert list((tmp_path / "cache").rglob("*.cbi"))
    parts = [command("read", tmp_path / "plan", "-k", str(k)).stdout_bytes for k in range(3)]
    assert b"".join(parts) == LINES


def test_keys_that_are_withdrawn_in_mid_run_end_it_with_77_and_the_rest_is_done_later(
    rgw: S3, uri: str, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(rgw, user, *WRITE)
    user.enters(monkeypatch)
    gate, out = tmp_path / "gate", f"s3://{rgw.bucket}/out/"
    # The third chunk waits until the keys are gone.
    wait = f"[ $CBTOOL_CHUNK != 2 ] || {{ touch {tmp_path}/waits; until [ -e {gate} ]; do sleep 0.02; done; }}; cat"
    words = ("run", uri, "-n6", "-j1", "-q", "-o", out, "--", wait)
    running = subprocess.Popen([sys.executable, "-m", "cbtool", *words], stderr=subprocess.PIPE, env=environment())
    until((tmp_path / "waits").exists)
    user.loses_the_key()
    gate.touch()
    told = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 77, told
    assert "Traceback" not in told and user.secret not in told
    assert [line for line in told.splitlines() if line.startswith("cbtool: error: ")] == [
        f"cbtool: error: {out.rstrip('/')}: not allowed (InvalidAccessKeyId)"
    ]
    done = stamps(rgw)
    assert list(done) == ["out/some-00000", "out/some-00001"]
    user.gets_it_back()
    assert process(*words).returncode == 0
    assert stamps(rgw).items() >= done.items(), "finished work was done again"
    theirs = boto3.Session().client("s3")
    written = [theirs.get_object(Bucket=rgw.bucket, Key=name)["Body"].read() for name in stamps(rgw)]
    theirs.close()
    assert b"".join(written) == LINES


def stamps(rgw: S3) -> dict[str, object]:
    """Return when each output was written; its content may be another user's."""
    pages = rgw.client.get_paginator("list_objects_v2").paginate(Bucket=rgw.bucket, Prefix="out/")
    found = [one for page in pages for one in page.get("Contents", ())]
    return {one["Key"]: one["LastModified"] for one in found if "/.cbtool/" not in one["Key"]}


@pytest.mark.timeout(300)
def test_a_run_of_more_than_a_thousand_chunks_fills_segments_and_is_found_done(rgw: S3, tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % i for i in range(1050))
    uri, out = rgw.put("in/many.txt", data), f"s3://{rgw.bucket}/out/"
    assert command("partition", uri, "--records", "1", "-q", "-o", tmp_path / "plan").exit_code == 0
    for kept in (0, 1050):
        result = command("write", tmp_path / "plan", "-q", "-j2", "--json", "-o", out)
        said = json.loads(result.stdout)
        assert (said["chunks"], said["done"], said["kept"], said["failed"]) == (1050, 1050, kept, [])
    assert [rgw.get(f"out/many-{n:05}.txt") for n in (0, 1049)] == [b"0\n", b"1049\n"]
    assert len(stamps(rgw)) == 1050
    segments = [key for key in rgw.keys() if "/.cbtool/attempts-" in key]
    assert sum(rgw.get(key).count(b"\n") for key in segments) == 1050
    assert all(rgw.get(key).count(b"\n") <= 1000 for key in segments)


def test_from_bucket_to_bucket_by_the_command_line(rgw: S3, tmp_path: Path) -> None:
    """Index, plan, run, reduce, write, status and proof: sources, plan and outputs all in the bucket."""
    top = f"s3://{rgw.bucket}"
    for name in ("a", "b"):
        rgw.put(f"in/{name}.txt.gz", gzip.compress(LINES, 1))

    def cbtool(*words: str, status: int = 0) -> bytes:
        done = process(*words, cwd=tmp_path)
        assert done.returncode == status, done.stderr.decode()
        out: bytes = done.stdout
        return out

    cbtool("index", f"{top}/in/", "-q")
    assert [key for key in rgw.keys() if key.endswith(".cbi")] == ["in/a.txt.gz.cbi", "in/b.txt.gz.cbi"]
    cbtool("partition", f"{top}/in/*.gz", "-n", "5", "-q", "-o", f"{top}/chunks.plan")
    lines = rgw.get("chunks.plan").splitlines()
    assert sum(Chunk.from_line(line.decode()).records or 0 for line in lines) == 40_000
    sum_up = "awk '{s += $1} END {print s}'"
    assert cbtool("run", f"{top}/chunks.plan", "-q", "-o", f"{top}/out/", "--reduce", sum_up, "--", "wc", "-l") == (
        b"40000\n"
    )
    said = json.loads(cbtool("status", f"{top}/out/", "--json"))
    assert (said["done"], said["failed"], said["to_come"]) == ([0, 1, 2, 3, 4], [], [])
    cbtool("write", f"{top}/chunks.plan", "-q", "-o", f"{top}/parts/")
    cbtool("verify", f"{top}/chunks.plan", f"{top}/parts/", "-q")
    parts = [key for key in rgw.keys() if key.startswith("parts/") and "/.cbtool/" not in key]
    assert b"".join(rgw.get(key) for key in parts) == LINES * 2
    assert rgw.uploads() == 0
