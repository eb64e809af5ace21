"""Where deflate blocks may begin: bit positions whose bits read as a block header (RFC 1951, 3.2.3-3.2.7).

Deflate has no marks between its blocks, so these are candidates only: a caller proves one by decoding up to it.
In practice nearly every candidate is a block. Not found are the last block of a member, blocks with fixed Huffman
codes (their ten bits of header match at every thousandth bit), and a stored block that does not follow a stored one.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.int64]

LONGEST_HEADER_BYTES = 330
"""A dynamic header: 17 bits, 19 code lengths of 3 bits, 316 lengths of up to 7 bits, a symbol or two."""

_SLICE_BYTES = 32 * 1024
_FIRST_SLICE_BYTES = 8 * 1024
_CODE_SPACE = 128
FEWEST_LENGTHS = 8
"""Fewer code lengths than this fit only a block of some hundred bytes, and most of what is not a block."""
_WINDOW = bytes(32 * 1024)


def _start_table() -> npt.NDArray[np.uint8]:
    """For each 20 bits, say in bit p whether a dynamic block that is not the last may begin p bits on."""
    value = np.arange(1 << 20, dtype=np.uint32)
    table = np.zeros(1 << 20, np.uint8)
    for phase in range(8):
        head = value >> phase
        fits = (head & 7 == 0b100) & (head >> 3 & 31 < 30) & (head >> 8 & 31 < 30)
        table |= fits.astype(np.uint8) << phase
    return table


def _space_table() -> npt.NDArray[np.uint16]:
    """For each 15 bits, sum the shares of the code space that five 3-bit code lengths take."""
    share = np.array([0] + [_CODE_SPACE >> length for length in range(1, 8)], np.uint16)
    value = np.arange(1 << 15)
    table = np.zeros(1 << 15, np.uint16)
    for shift in range(0, 15, 3):
        table += share[value >> shift & 7]
    return table


_MAY_START = _start_table()
_SPACE = _space_table()


def candidates(
    data: bytes, start_bit: int, stop_bit: int, *, most: int | None = None, fewest_lengths: int = FEWEST_LENGTHS
) -> list[int]:
    """Return the bits of *data* in ``[start_bit, stop_bit)`` at which a block may begin, in order.

    With *most*, stop looking when at least so many are found. Blocks with fewer than *fewest_lengths* code lengths
    are passed over; large blocks of text have 14 or more, and looking for those only is twice as fast.
    """
    found: list[int] = []
    stop = min(-(-stop_bit // 8), len(data))
    step = _SLICE_BYTES if most is None else _FIRST_SLICE_BYTES
    for first in range(start_bit // 8, stop, step):
        n_bytes = min(step, stop - first)
        part = data[first : first + n_bytes + LONGEST_HEADER_BYTES]
        bits = sorted(_dynamic(part, n_bytes, fewest_lengths) + _stored(part, n_bytes))
        found += [bit for bit in (first * 8 + bit for bit in bits) if start_bit <= bit < stop_bit]
        if most is not None and len(found) >= most:
            break
    return found


def _dynamic(part: bytes, n_bytes: int, fewest_lengths: int) -> list[int]:
    """Return the bits in the first *n_bytes* of *part* where a dynamic block may begin."""
    padded = np.frombuffer(part + bytes(16), np.uint8)
    word = np.ndarray((n_bytes,), "<u4", padded, strides=(1,))
    bits = np.flatnonzero(np.unpackbits(_MAY_START[word & 0xFFFFF], bitorder="little").view(np.bool_))
    words = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
    return [bit for bit in bits[_full_code(words, bits, fewest_lengths)].tolist() if _header_is_whole(part, bit)]


def _full_code(words: npt.NDArray[np.uint64], bits: Bits, fewest_lengths: int) -> Bits:
    """Return which of the headers at *bits* have a code for code lengths that fills its code space exactly.

    *words* are the eight bytes from each byte on, so that one look-up at a bit holds at least 57 bits.
    """
    head = _bits_at(words, bits + 13)
    n_lengths = (head & np.uint64(15)) + np.uint64(4)
    kept = np.flatnonzero(n_lengths >= fewest_lengths)
    used = (np.uint64(1) << n_lengths[kept] * np.uint64(3)) - np.uint64(1)
    space = _space(head[kept] >> np.uint64(4) & used, 0) + _space(head[kept] >> np.uint64(4) & used, 15)
    possible = np.flatnonzero(space <= _CODE_SPACE)
    kept, used, space = kept[possible], used[possible], space[possible]
    rest = _bits_at(words, bits[kept] + 17 + 30) & used >> np.uint64(30)
    space += _space(rest, 0) + _space(rest, 15)
    full: Bits = kept[space == _CODE_SPACE]
    return full


def _bits_at(words: npt.NDArray[np.uint64], bits: Bits) -> npt.NDArray[np.uint64]:
    found: npt.NDArray[np.uint64] = words[bits >> 3] >> (bits & 7).astype(np.uint64)
    return found


def _space(lengths: npt.NDArray[np.uint64], shift: int) -> npt.NDArray[np.uint16]:
    return _SPACE[(lengths >> np.uint64(shift) & np.uint64(0x7FFF)).astype(np.uint16)]


def _header_is_whole(part: bytes, bit: int) -> bool:
    """Say whether zlib takes the block header at *bit*, with all its code lengths, for a valid one."""
    head = int.from_bytes(part[bit // 8 : bit // 8 + LONGEST_HEADER_BYTES], "little") >> bit % 8
    try:
        zlib.decompressobj(-15, zdict=_WINDOW).decompress(head.to_bytes(LONGEST_HEADER_BYTES, "little"), 1)
    except zlib.error:
        return False
    return True


def _stored(part: bytes, n_bytes: int) -> list[int]:
    """Return the bits in the first *n_bytes* of *part* where a byte-aligned stored block may begin."""
    byte = np.frombuffer(part[: n_bytes + 4], np.uint8)
    if len(byte) < 5:
        return []
    mirrored = (byte[1:-2] ^ byte[3:]) == 255
    return (np.flatnonzero((byte[:-4] == 0) & mirrored[:-1] & mirrored[1:]) * 8).tolist()
