"""Where deflate blocks may begin: bit positions whose bits read as a block header (RFC 1951, 3.2.3-3.2.7).

Deflate has no marks between its blocks, so these are candidates only: a caller proves one by decoding up to it.
In practice nearly every candidate is a block. Of blocks that do not follow a flush, these are not found: the last
of a member, those with fixed Huffman codes (their ten bits match at every thousandth bit), and a stored block that
does not follow a stored one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from cbtool.partitioners.gzip.deflate import LONGEST_HEADER_BYTES

Bits = npt.NDArray[np.int64]

_SLICE_BYTES = 16 * 1024
_FIRST_SLICE_BYTES = 8 * 1024
_CODE_SPACE = 128
FEWEST_LENGTHS = 8
"""Fewer code lengths than this fit only a block of some hundred bytes, and most of what is not a block."""
LARGE_BLOCK_LENGTHS = 14
"""Large blocks of text have at least so many, as they use short codes and long ones; to look for them is faster."""
_FLUSH = b"\0\0\xff\xff"
_WINDOW = bytes(32 * 1024)


@cache
def _start_table() -> npt.NDArray[np.uint8]:
    """For each 20 bits, say in bit p whether a dynamic block that is not the last may begin p bits on."""
    head = np.arange(1 << 13)
    fits = ((head & 7 == 0b100) & (head >> 3 & 31 < 30) & (head >> 8 & 31 < 30)).astype(np.uint8)
    table = np.zeros(1 << 20, np.uint8)
    for phase in range(8):
        # Any bits below these thirteen, and any above.
        table |= np.tile(np.repeat(fits << phase, 1 << phase), 1 << 7 - phase)
    return table


@cache
def _space_table() -> npt.NDArray[np.uint16]:
    """For each 15 bits, sum the shares of the code space that five 3-bit code lengths take."""
    share = np.array([0] + [_CODE_SPACE >> length for length in range(1, 8)], np.uint16)
    value = np.arange(1 << 15)
    table = np.zeros(1 << 15, np.uint16)
    for shift in range(0, 15, 3):
        table += share[value >> shift & 7]
    return table


def candidates(
    data: bytes, start_bit: int, stop_bit: int, *, most: int | None = None, fewest_lengths: int = FEWEST_LENGTHS
) -> list[int]:
    """Return the bits of *data* in ``[start_bit, stop_bit)`` at which a block may begin, in order.

    With *most*, stop looking when at least so many are found. Blocks with fewer than *fewest_lengths* code lengths
    (8 or more) are passed over.
    """
    found: set[int] = set()
    stop_bit = min(stop_bit, len(data) * 8)
    stop = -(-stop_bit // 8)
    step = _SLICE_BYTES if most is None else _FIRST_SLICE_BYTES
    for first in range(start_bit // 8, stop, step):
        n_bytes = min(step, stop - first)
        part = data[first : first + n_bytes + LONGEST_HEADER_BYTES]
        bits = (first * 8 + bit for bit in _dynamic(part, n_bytes, fewest_lengths) + _stored(part, n_bytes))
        found.update(bit for bit in bits if start_bit <= bit < stop_bit)
        if most is not None and len(found) >= most:
            break
    return sorted(found)


def _dynamic(part: bytes, n_bytes: int, fewest_lengths: int) -> list[int]:
    """Return the bits in the first *n_bytes* of *part* where a dynamic block may begin."""
    padded = np.frombuffer(part + bytes(16), np.uint8)
    words = np.ndarray((len(padded) - 7,), "<u4", padded, strides=(1,))
    starts = _start_table()[words[:n_bytes] & 0xFFFFF]
    bits = np.flatnonzero(np.unpackbits(starts, bitorder="little").view(np.bool_))
    return [bit for bit in _full_codes(padded, bits, fewest_lengths).tolist() if _header_is_whole(part, bit)]


def _full_codes(padded: npt.NDArray[np.uint8], bits: Bits, fewest_lengths: int) -> Bits:
    """Return those of *bits* where the code for code lengths fills its code space exactly.

    First by the number of lengths and the seven that are always there, in 32 bits; then by all, in 64.
    """
    at = bits + 13
    head = np.ndarray((len(padded) - 7,), "<u4", padded, strides=(1,))[at >> 3]
    head >>= (at & 7).astype(np.uint32)
    table = _space_table()
    space = table[head >> 4 & 0x7FFF] + table[head >> 19 & 0x3F]
    kept = np.flatnonzero((head & 15 >= fewest_lengths - 4) & (space <= _CODE_SPACE))
    bits, space = bits[kept], space[kept]
    at = bits + (17 + 7 * 3)
    rest = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))[at >> 3] >> (at & 7).astype(np.uint64)
    rest &= (np.uint64(1) << ((head[kept] & 15).astype(np.uint64) - np.uint64(3)) * np.uint64(3)) - np.uint64(1)
    for shift in (0, 15, 30):
        space += table[(rest >> np.uint64(shift)).astype(np.uint16) & 0x7FFF]
    full: Bits = bits[space == _CODE_SPACE]
    return full


def _header_is_whole(part: bytes, bit: int) -> bool:
    """Say whether zlib takes the block header at *bit*, with all its code lengths, for a valid one."""
    head = int.from_bytes(part[bit // 8 : bit // 8 + LONGEST_HEADER_BYTES], "little") >> bit % 8
    try:
        zlib.decompressobj(-15, zdict=_WINDOW).decompress(head.to_bytes(LONGEST_HEADER_BYTES, "little"), 1)
    except zlib.error:
        return False
    return True


def _stored(part: bytes, n_bytes: int) -> list[int]:
    """Return the bits in the first *n_bytes* of *part* where a byte-aligned stored block may begin, or one ends.

    A stored block of no bytes is what a flush writes. It begins anywhere in a byte, but a block begins behind it;
    two in a row read as one of 65535 bytes.
    """
    byte = np.frombuffer(part[: n_bytes + 4], np.uint8)
    if len(byte) < 5:
        return []
    mirrored = (byte[1:-2] ^ byte[3:]) == 255
    starts = np.flatnonzero((byte[:-4] == 0) & mirrored[:-1] & mirrored[1:])
    stored = [8 * at for at in starts.tolist() if _FLUSH not in part[max(0, at - 1) : at + 5]]
    return stored + [8 * (at + len(_FLUSH)) for at in _places(part[: n_bytes + 3], _FLUSH)]


def _places(part: bytes, mark: bytes) -> Iterator[int]:
    at = part.find(mark)
    while at >= 0:
        yield at
        at = part.find(mark, at + 1)
