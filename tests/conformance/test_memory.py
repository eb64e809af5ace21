"""Promise 7: reading a chunk of a large file takes the memory of a chunk at the most, not of the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import make
from tests.processes import ENVIRONMENT

N_BYTES = 200_000_000
CHUNKS = 16
ROOM_KB = 64_000
PLANNING_KB = 320_000
"""Cuts are sought several at once, each in a stretch of up to 1 MiB that is decompressed."""


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make 200 MB of text, plain, as plain gzip (the same blocks again and again, with a fresh dictionary) and BGZF."""
    folder = tmp_path_factory.mktemp("large")
    block = make.lf()[:-1].rpartition(b"\n")[0] + b"\n"
    times = -(-N_BYTES // len(block))
    for name, one, end in [
        ("large.txt", block, b""),
        ("large_gzip.txt.gz", make.member(block), b""),
        ("large_bgzf.txt.gz", make.bgzf(block, 65_280).removesuffix(make.BGZF_END), make.BGZF_END),
    ]:
        with open(folder / name, "wb") as file:
            for _ in range(times):
                file.write(one)
            file.write(end)
    yield folder
    for path in folder.iterdir():
        path.unlink()


def peak_kb(*args: str) -> int:
    """Run a command line and return the most memory that it had, in KiB."""
    child = subprocess.Popen(
        [sys.executable, "-m", "cbtool", *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.stderr
    said = child.stderr.read()
    child.stderr.close()
    assert child.returncode == 0, said
    return usage.ru_maxrss


@pytest.fixture(scope="session")
def interpreter_kb(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return what reading a chunk of a tiny file takes."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.txt.gz"
    path.write_bytes(make.bgzf(b"a\nb\n"))
    assert peak_kb("partition", str(path), "-n", "1", "-o", f"{path}.plan", "-q") > 10_000
    return peak_kb("read", f"{path}.plan", "-k", "0")


@pytest.mark.parametrize("name", ["large.txt", "large_gzip.txt.gz", "large_bgzf.txt.gz"])
def test_7_memory_is_bounded_by_the_chunk(name: str, large: Path, interpreter_kb: int, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan")
    planning = peak_kb("partition", str(large / name), "-n", str(CHUNKS), "-o", plan, "-q", "-j1")
    assert planning < interpreter_kb + PLANNING_KB
    reading = peak_kb("read", plan, "-k", str(CHUNKS // 2), "-o", str(tmp_path / "chunk"))
    chunk_kb = N_BYTES // CHUNKS // 1024
    assert (tmp_path / "chunk").stat().st_size > 0.9 * N_BYTES / CHUNKS
    assert reading < interpreter_kb + chunk_kb + ROOM_KB
