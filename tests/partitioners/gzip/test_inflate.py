"""Decoding from a bit, and the proof that a part ends at a block."""

from __future__ import annotations

import random
import zlib

import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.inflate import Checkpoint, Inflater, NotABoundary, decode
from cbtool.partitioners.gzip.thin import thin
from cbtool.partitioners.gzip.windows import pack_window, unpack_window

CONTENT = bytes(random.Random(1).choices(b"ACGTN\n", weights=[9, 9, 9, 9, 1, 1], k=3000))


def deflated(strategy: int) -> bytes:
    """Compress CONTENT into blocks of every kind: of bits, flushed, and stored."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, 1, strategy)
    data = b""
    for at in range(0, 2000, 500):
        flush = (zlib.Z_BLOCK, zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH)[at // 500]
        data += deflate.compress(CONTENT[at : at + 500]) + deflate.flush(flush)
    stored = CONTENT[2000:2300]
    data += b"\0" + len(stored).to_bytes(2, "little") + (len(stored) ^ 0xFFFF).to_bytes(2, "little") + stored
    rest = zlib.compressobj(6, zlib.DEFLATED, -15, 1, strategy)
    return data + rest.compress(CONTENT[2300:]) + rest.flush()


def gzipped(strategy: int) -> bytes:
    sums = zlib.crc32(CONTENT).to_bytes(4, "little") + len(CONTENT).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(strategy) + sums


@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED])
def test_a_part_ends_at_a_block_or_is_refused(strategy: int) -> None:
    """At every bit: what is taken for the end of a block is one, as the rest of the file decodes from there."""
    data = gzipped(strategy)
    ends = []
    for bit in range(80, len(data) * 8):
        part = data[: -(-bit // 8)]
        try:
            made = b"".join(decode([part], Checkpoint(0, None), (bit, True), "memory"))
        except FormatError:
            continue
        ends.append(bit)
        rest = b"".join(decode([data[bit // 8 :]], Checkpoint(bit, made[-32768:]), None, "memory"))
        assert made + rest == CONTENT
        back = b"".join(decode([data[bit // 8 : -(-bit // 8)]], Checkpoint(bit, made), (bit, True), "memory"))
        assert back == b""
    assert ends[0] == 80
    assert len(ends) >= 8 and len({bit % 8 for bit in ends}) >= 4


def test_every_phase_of_a_bit_is_a_place_to_begin() -> None:
    """Empty fixed blocks of 10 bits and a dynamic one of 91 move the beginning of a block to each bit of a byte."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = int.from_bytes(deflate.compress(CONTENT) + deflate.flush(), "little")
    for bit in range(8):
        for junk in (0, (1 << bit) - 1):
            moved = (raw << bit | junk).to_bytes(2000, "little").rstrip(b"\0")
            inflater = Inflater(Checkpoint(bit, b"before"), "memory")
            assert b"".join(inflater.feed(moved)) == CONTENT


def test_a_part_without_its_last_bytes_is_refused() -> None:
    data = gzipped(zlib.Z_DEFAULT_STRATEGY)
    two = data + data
    assert b"".join(decode([two[: len(data)]], Checkpoint(0, None), (8 * len(data), False), "memory")) == CONTENT
    for n_missing in range(1, 40):
        with pytest.raises(FormatError):
            list(decode([two[: len(data) - n_missing]], Checkpoint(0, None), (8 * len(data), False), "memory"))
    with pytest.raises(NotABoundary, match="no member ends"):
        list(decode([data[:600]], Checkpoint(0, None), (8 * 600, False), "memory"))
    with pytest.raises(FormatError):
        list(decode([], Checkpoint(0, None), (8 * len(data), False), "memory"))
    with pytest.raises(NotABoundary):
        list(decode([two], Checkpoint(0, None), (8 * len(data), True), "memory"))
    with pytest.raises(NotABoundary, match="before it begins"):
        list(decode([two], Checkpoint(808, CONTENT), (800, True), "memory"))


def test_one_feed_may_be_a_thousand_times_its_size() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = deflate.compress(bytes(40_000_000)) + deflate.flush()
    sizes = [len(piece) for piece in decode([data], Checkpoint(0, None), None, "memory")]
    assert sum(sizes) == 40_000_000 and max(sizes) <= 1 << 20


def test_windows_are_kept_and_damaged_ones_refused() -> None:
    window = random.Random(0).randbytes(32768)
    packed = pack_window(window)
    assert unpack_window(packed) == window and unpack_window(pack_window(b"")) == b""
    for bad in (packed[:-1], packed + b"x", b"", zlib.compress(bytes(32769)), zlib.compress(bytes(10**8))):
        with pytest.raises(FormatError, match="window"):
            unpack_window(bad)


def test_a_thin_window_holds_what_is_copied() -> None:
    window = random.Random(0).randbytes(32768)
    after = window[1000:1100] + bytes(40_000) + window[5:50]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=window)
    data = deflate.compress(after) + deflate.flush()
    one = thin(Checkpoint(0, window), data)
    kept = [i for i, byte in enumerate(one) if byte]
    assert set(kept) <= set(range(1000, 1100)) and one[1000:1100] == window[1000:1100]
    assert thin(Checkpoint(0, window), data[:20]) == window
    assert thin(Checkpoint(0, b""), data) == b""
