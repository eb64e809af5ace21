"""Headers of members, and where one begins."""

from __future__ import annotations

import gzip
import random
import zlib
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.header import header_end
from cbtool.partitioners.gzip.members import bgzf_sizes, bgzf_sync, is_bgzf, is_gzip, member_sync
from cbtool.source import LocalSource, Source

Of = Callable[[bytes], Source]
BGZF = Path(__file__).parents[4] / "shared" / "data" / "genomics" / "crafted" / "reads_1.bgzf.fq.gz"
EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def block(content: bytes, before: bytes = b"") -> bytes:
    """Return a BGZF block; *before* are other extra fields that come before its own."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = deflate.compress(content) + deflate.flush()
    data += zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    size = 12 + len(before) + 6 + len(data)
    extra = before + b"BC\2\0" + (size - 1).to_bytes(2, "little")
    return b"\x1f\x8b\x08\4\0\0\0\0\0\xff" + len(extra).to_bytes(2, "little") + extra + data


def blocks(eof: bool, before: bytes = b"") -> tuple[bytes, list[int]]:
    rng = random.Random(3)
    parts = [block(rng.randbytes(rng.randrange(2000)) + bytes(3000), before) for _ in range(30)] + [EOF] * eof
    return b"".join(parts), [sum(map(len, parts[:i])) for i in range(len(parts))]


def test_a_header_with_every_field() -> None:
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\5\0AB\1\0xname\0comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    assert header_end(b"..." + header + b"data", 3) == 3 + len(header)
    for end in range(3, len(header)):
        assert header_end(header[:end]) is None
    with pytest.raises(ValueError, match="checksum"):
        header_end(header[:-1] + b"x")
    with pytest.raises(ValueError, match="no gzip member"):
        header_end(b"PK\x03\x04")
    assert is_gzip(header) and is_gzip(b"\x1f\x8b") and not is_gzip(b"\x1f") and not is_gzip(b"BZh")
    assert not is_bgzf(header) and is_bgzf(EOF) and is_bgzf(block(b"x", b"AB\1\0x")) and not is_bgzf(EOF[:15])


@pytest.mark.parametrize("before", [b"", b"XY\3\0abc"])
@pytest.mark.parametrize("eof", [True, False])
def test_blocks_are_found_from_every_byte(source_of: Of, eof: bool, before: bytes) -> None:
    data, starts = blocks(eof, before)
    source = source_of(data)
    for at in range(0, len(data) + 1, 7):
        want = min((start for start in starts if start >= at), default=None)
        assert bgzf_sync(source, at, len(data)) == want
        assert member_sync(source, at, len(data)) == want
        assert bgzf_sync(source, at, at) is None
    offsets, sizes = bgzf_sizes(source, 0, len(data))
    assert offsets == starts and sum(sizes) == len(gzip.decompress(data))
    assert bgzf_sizes(source, starts[3], starts[9])[0] == starts[3:9]


def test_a_block_shown_inside_a_block_is_not_found(source_of: Of) -> None:
    """A stored member can hold a whole BGZF file; its blocks chain, so only the last of them is told from ours."""
    false = b"\x1f\x8b\x08\4\0\0\0\0\0\xff\6\0BC\2\0\x40\0"
    data, starts = blocks(True)
    assert bgzf_sync(source_of(false + bytes(100) + data), 0, 10**6) == len(false) + 100
    assert member_sync(source_of(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x07" + data), 0, 10**6) == 11


@pytest.mark.parametrize("at", [5, 2000, -30, -1])
def test_a_broken_chain_is_refused(source_of: Of, at: int) -> None:
    data, _ = blocks(True)
    with pytest.raises(FormatError, match="no whole BGZF block"):
        bgzf_sizes(source_of(data[:at]), 0, len(data[:at]))


def test_large_blocks_take_a_second_look(source_of: Of) -> None:
    parts = [block(random.Random(i).randbytes(65_200)) for i in range(5)]
    source = source_of(b"".join(parts))
    assert bgzf_sync(source, 1, source.size) == len(parts[0])
    assert source.meter.requests == 2


@pytest.mark.skipif(not BGZF.exists(), reason="the real files are not here")
def test_a_real_file_takes_one_small_read_a_cut() -> None:
    with LocalSource(str(BGZF)) as source:
        offsets, sizes = bgzf_sizes(source, 0, source.size)
        assert sum(sizes) == len(gzip.decompress(BGZF.read_bytes()))
        for at in range(1, int(offsets[-1]), 5000):
            source.meter.requests = source.meter.bytes = 0
            assert bgzf_sync(source, at, source.size) == offsets[bisect_left(offsets, at)]
            assert source.meter.requests == 1 and source.meter.bytes <= 128 * 1024
