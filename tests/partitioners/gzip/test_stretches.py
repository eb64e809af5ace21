"""A file decoded in a process beside this one gives what it gives when it is decoded here, and leaves nothing."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cbtool.detect import partitioner
from cbtool.errors import FormatError, WorkerDied
from cbtool.index import dump
from cbtool.partitioners.gzip import stretches
from cbtool.source import LocalSource
from tests.processes import ENVIRONMENT, alive, children, until


def decoders() -> list[int]:
    """Return the decoders that this process has started; engines of other tests may have left a server here."""
    return [pid for pid in children(os.getpid()) if b"decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()]


HOLD = """
import sys, time
from cbtool.partitioners.gzip import stretches
from cbtool.source import LocalSource
parts = stretches.beside(LocalSource(sys.argv[1]))
next(parts)
print("ready", flush=True)
time.sleep(60)
"""


def reads(n_bytes: int, seed: int = 0) -> bytes:
    """Return whole records of two hundred bytes or so; many of them are alike."""
    rng = random.Random(seed)
    some = [
        b"%s\n+\n%s\n" % (bytes(rng.choices(b"ACGT", k=90)), bytes(rng.choices(b"F:,#", k=90))) for _ in range(2000)
    ]
    return b"".join(b"@read.%d\n%s" % (i, rng.choice(some)) for i in range(n_bytes // 200))


READS = reads(12_000_000)
WHOLE = gzip.compress(READS, 6, mtime=0)
FEW = reads(300_000, 1)


def broken(data: bytes, at: int) -> bytes:
    """Return *data* with one of its records, behind byte *at*, without its plus."""
    at = data.index(b"\n+\n", at)
    return data[: at + 1] + b"-" + data[at + 2 :]


def fixed(data: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31, 8, zlib.Z_FIXED)
    return deflate.compress(data) + deflate.flush()


GOOD = {
    "one member": WHOLE,
    "members and zeros": b"".join(gzip.compress(reads(n, n), 6) for n in (2_000_000, 700, 400_000, 1400)) + bytes(99),
    "many small members": b"".join(gzip.compress(FEW[a : a + 900]) for a in range(0, len(FEW), 900)),
    "nothing in the first and the last": gzip.compress(b"") + gzip.compress(FEW) + gzip.compress(b""),
    "no records": gzip.compress(b""),
    "stored": gzip.compress(FEW, 0),
    "one block": fixed(FEW),
    "long run": gzip.compress(b"@r\n" + b"A" * 3_000_000 + b"\n+\n" + b"F" * 3_000_000 + b"\n"),
}
BAD = {
    "wrong CRC": WHOLE[:-8] + bytes([WHOLE[-8] ^ 1]) + WHOLE[-7:],
    "wrong CRC in the middle": WHOLE[:-8] + bytes([WHOLE[-8] ^ 1]) + WHOLE[-7:] + gzip.compress(FEW),
    "truncated": WHOLE[: len(WHOLE) // 2],
    "garbage": WHOLE + b"garbage",
    "corrupt": WHOLE[: len(WHOLE) // 2] + bytes(1000) + WHOLE[len(WHOLE) // 2 :],
    "a broken record": gzip.compress(broken(READS, 7_000_000)),
    "a broken record, and then truncated": gzip.compress(broken(READS, 3_000_000))[:-100_000],
    "truncated before a broken record": gzip.compress(broken(READS, 11_000_000))[:-600_000],
    "the last record is cut": gzip.compress(READS[:-30]),
}


def outcome(path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[LocalSource], object]) -> object:
    """Return the bytes of the index of a file that is decoded in one way, or all that an error says."""
    monkeypatch.setattr(stretches, "stretches", how)
    with LocalSource(str(path)) as source:
        try:
            format_ = partitioner("fastq")
            return dump(format_.merge([format_.index(source, (0, source.size))]))
        except FormatError as error:
            return type(error), str(error), error.hint, error.facts


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_both_ways_give_the_same_index_or_the_same_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reads.fastq.gz"
    path.write_bytes({**GOOD, **BAD}[name])
    one = outcome(path, monkeypatch, stretches.here)
    other = outcome(path, monkeypatch, stretches.beside)
    assert one == other
    assert isinstance(one, bytes) == (name in GOOD)
    assert decoders() == []


def test_the_checkpoints_lie_between_stretches(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(WHOLE)
    with LocalSource(str(tmp_path / "x.gz")) as source:
        offset, offsets, content = 0, [], []
        for found, block in stretches.beside(source):
            offsets += [one[1] - offset for one in found]
            content.append(bytes(block))
            offset += len(block)
    assert b"".join(content) == READS and len(offsets) > 20 and not any(offsets)


def test_small_files_and_single_cores_take_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.gz").write_bytes(WHOLE)
    source = LocalSource(str(tmp_path / "x.gz"))
    way: Callable[[LocalSource], object] = stretches.stretches
    for name in ("here", "beside"):
        monkeypatch.setattr(stretches, name, lambda source, name=name: name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert way(source) == "here"
    monkeypatch.setattr(stretches, "BESIDE_BYTES", source.size)
    assert way(source) == "beside"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert way(source) == "here"


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A file of more output than the ring holds."""
    (tmp_path / "x.gz").write_bytes(WHOLE)
    return tmp_path / "x.gz"


@pytest.mark.parametrize("n_before", [1, 4])
def test_a_decoder_that_is_killed_is_an_error(held: Path, n_before: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    parts = stretches.beside(LocalSource(str(held)))
    for _ in range(n_before):
        next(parts)
    (decoder,) = decoders()
    os.kill(decoder, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="the process that decodes it died"):
        for _ in parts:
            pass
    assert decoders() == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_pass_that_is_left_ends_its_decoder(held: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    parts = stretches.beside(LocalSource(str(held)))
    next(parts)
    parts.close()
    assert decoders() == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_parent_that_ends_takes_its_decoder_along(held: Path, number: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(held)], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout
    with parent.stdout as said:
        assert said.readline() == b"ready\n"
        decoders = children(parent.pid)
        assert len(decoders) == 1
        parent.send_signal(number)
        parent.wait()
    until(lambda: not alive(decoders))


def test_the_decoder_starts_without_what_it_does_not_need() -> None:
    names = ("numpy", "subprocess", "typer", "boto3")
    code = f"import sys, cbtool.partitioners.gzip.decoder; print([one for one in {names} if one in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_decoder_starts_before_its_parent_imports_numpy(held: Path) -> None:
    code = (
        "import os, sys; from cbtool.partitioners.gzip import stretches; from cbtool.source import LocalSource\n"
        "from tests.processes import children\n"
        "parts = stretches.beside(LocalSource(sys.argv[1]))\n"
        "assert next(parts) == ([], b'') and len(children(os.getpid())) == 1 and 'numpy' not in sys.modules\n"
        "assert len(next(parts)[1]) and 'numpy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(held)], env=ENVIRONMENT, check=True, timeout=60)
