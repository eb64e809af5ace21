"""Begin and end a deflate stream at any of its blocks (RFC 1951).

Python's inflaters can begin neither at a bit nor, at full speed, with a history, so both are given to them as
deflate blocks: the history as a stored block, and the bits before the first byte as blocks that hold nothing. The
same way a stored block after the last bit shows that this bit is the end of a block: it comes out whole only there.
"""

from __future__ import annotations

import struct

from isal import isal_zlib

WINDOW_BYTES = 32 * 1024
LONGEST_HEADER_BYTES = 330
"""A dynamic header: 17 bits, 19 code lengths of 3 bits, 316 lengths of up to 7 bits, a symbol or two."""
FOLLOWING_BYTES = 48 * 1024
"""Enough of the file to decode to 32 KiB of output, whatever the data."""
SEAL = bytes.fromhex("00ff cb70 01fe a55a 9c3e 1770 c3a5 5ac3")
"""What the last stored block holds: no data are likely to end with it."""

InflateError: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub takes the class for a value


def deflate_from(bit: int, window: bytes, data: bytes) -> tuple[isal_zlib.Decompress, bytes]:
    """Return an inflater that has seen *window*, and *data* made ready so that it begins at their bit *bit*."""
    stream, (n_bits, low) = begin(bit, window)
    return stream, bytes([data[0] >> n_bits << n_bits | low]) + data[1:]


def begin(n_bits: int, window: bytes) -> tuple[isal_zlib.Decompress, tuple[int, int]]:
    """Return an inflater with a history, and the *n_bits* low bits that it needs in its first byte."""
    stream = isal_zlib.decompressobj(-15)
    blocks, low = _empty_blocks(n_bits)
    stream.decompress(b"\0" + stored(window) + blocks)
    return stream, (n_bits, low)


def stored(content: bytes) -> bytes:
    """Return a stored block from the byte after its header bits on: length, its complement, content."""
    return struct.pack("<HH", len(content), len(content) ^ 0xFFFF) + content


def _empty_blocks(n_bits: int) -> tuple[bytes, int]:
    """Return deflate blocks that hold nothing and are *n_bits* longer than whole bytes, and those last bits.

    One with fixed codes has 10 bits; for odd numbers one with dynamic codes, of 91 bits, goes before.
    """
    value = n = 0
    if n_bits % 2:
        value, n = _EMPTY_DYNAMIC, 91
    while n % 8 != n_bits:
        value |= 0b010 << n
        n += 10
    whole = value.to_bytes(n // 8 + 1, "little")
    return whole[:-1], whole[-1]


def _empty_dynamic() -> int:
    """Write a dynamic block that has two symbols of one bit, 0 and the end of block, and holds just the latter."""
    fields = [(0b100, 3), (0, 5), (0, 5), (14, 4)]
    fields += [(int(symbol in (1, 18)), 3) for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)]
    fields += [(0, 1), (1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 1), (0, 1), (1, 1)]
    value = n = 0
    for field, width in fields:
        value |= field << n
        n += width
    return value


_EMPTY_DYNAMIC = _empty_dynamic()
