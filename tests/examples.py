"""Small real files by the names that the README and the help texts use, and how their commands are run."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.generate import reads
from tests.conftest import S3

BIN = Path(sys.executable).parent
HERE = '{"lithops": {"backend": "localhost", "storage": "localhost"}}'
"""What Lithops is to be configured for, whatever it is on the machine of the tests."""
ALIGNER = "#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nsed -n 's/^@//p' \"$1\"\n"
BUCKET = "bucket"
N_READS = 3000


def bash(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *command* in *folder*, with this environment's cbtool first on PATH."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}{os.pathsep}{folder / 'stubs'}"
    settings = os.environ | {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_CONFIG_HOME": str(folder)}
    settings["LITHOPS_CONFIG"] = HERE
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def done(command: str, folder: Path) -> str:
    """Run *command*, see that it ends with status 0 (or is ended by its ``head``), and return its stdout."""
    ended = bash(command, folder)
    expected = (0, 141) if "| head" in command else (0,)
    assert ended.returncode in expected, f"{command}\nstatus {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@cache
def _reads(mate: int) -> bytes:
    return gzip.compress(reads(N_READS, mate), mtime=0)


def fill(folder: Path, used: str, s3: S3) -> None:
    """Put the examples' inputs into *folder*; and into a bucket, and a plan, if *used* needs them."""
    (folder / "logs").mkdir()
    (folder / "indexes").mkdir()
    for name in ("a", "b"):
        (folder / "logs" / f"{name}.txt").write_text("all is well\nan error\n" * 500)
    for name, mate in (("reads.fastq.gz", 1), ("reads.fq.gz", 1), ("r_1.fq.gz", 1), ("r_2.fq.gz", 2)):
        (folder / name).write_bytes(_reads(mate))
    if "tiles/" in used or "tiles.plan" in used:
        _fill_tiles(folder / "tiles")
    (folder / "records.bin").write_bytes(random.Random(1).randbytes(100 * 500))
    (folder / "ref.fa").write_text(">chr1\nACGT\n")
    if "reads.plan" in used and "reads.plan:" not in used:
        done("cbtool partition reads.fastq.gz -n 5 -q -o reads.plan", folder)
    if "tiles.plan" in used:
        done("cbtool partition 'tiles/*.laz' -n 6 -q -o tiles.plan", folder)
    if "minimap2" in used and not shutil.which("minimap2"):
        (folder / "stubs").mkdir()
        (folder / "stubs" / "minimap2").write_text(ALIGNER)
        (folder / "stubs" / "minimap2").chmod(0o755)
    if f"s3://{BUCKET}/" in used:
        _fill_bucket(s3)


def _fill_tiles(folder: Path) -> None:
    from fixtures import clouds

    folder.mkdir()
    for number, tile in enumerate(clouds.tiles(), 1):
        (folder / f"{number}.laz").write_bytes(tile.laz())


def _fill_bucket(s3: S3) -> None:
    if BUCKET not in [one["Name"] for one in s3.client.list_buckets()["Buckets"]]:
        s3.client.create_bucket(Bucket=BUCKET)
    for one in s3.client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.client.delete_object(Bucket=BUCKET, Key=one["Key"])
    for key in ("reads.fastq.gz", "run7/a.fastq.gz", "run7/b.fastq.gz"):
        s3.client.put_object(Bucket=BUCKET, Key=key, Body=_reads(1))


def missing_program(command: str) -> str | None:
    """Return a program that *command* needs and this machine does not have."""
    return next((name for name in ("parallel", "make") if name in command and not shutil.which(name)), None)
