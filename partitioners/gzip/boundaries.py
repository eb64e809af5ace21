"""Find the deflate blocks between two checkpoints, so that a cut can lie at any of them."""

from __future__ import annotations

from collections.abc import Iterator

from cbtool.partitioners.gzip.blocks import LARGE_BLOCK_LENGTHS, candidates
from cbtool.partitioners.gzip.deflate import FOLLOWING_BYTES
from cbtool.partitioners.gzip.inflate import Checkpoint, Inflater, NotABoundary
from cbtool.partitioners.gzip.windows import thin
from cbtool.source import Source

NEAR_BYTES = 96 * 1024
_STEP_BYTES = 16 * 1024


def boundaries(
    source: Source, start: Checkpoint, start_offset: int, end_bit: int, *, near: int | None = None
) -> list[tuple[int, int, bytes]]:
    """Return the blocks that begin in ``(start, end_bit)``: bit, offset in the output, and thin window.

    With *near*, an offset in the output, only those within 96 KiB, compressed, of it; that is much faster. Each is
    proven by decoding up to it and from it to the next. One request, for the bytes in between and the 48 KiB that
    show which bytes of the last window are needed.
    """
    first = start.bit // 8
    data = source.read(first, min(-(-end_bit // 8) + FOLLOWING_BYTES, source.size) - first)
    base = first * 8
    low, high = start.bit - base + 1, end_bit - base
    if near is not None:
        at = _bytes_before(data, start, near - start_offset, source.uri)
        low, high = max(low, (at - NEAR_BYTES) * 8), min(high, (at + NEAR_BYTES) * 8)
    bits = candidates(data, low, high, fewest_lengths=LARGE_BLOCK_LENGTHS) or candidates(data, low, high)
    found = []
    for bit, offset, window in _proven(data, start, start_offset, bits, source.uri):
        following = data[bit // 8 - first : bit // 8 - first + FOLLOWING_BYTES]
        found.append((bit, offset, thin(Checkpoint(bit, window), following)))
    return found


def _bytes_before(data: bytes, start: Checkpoint, n_wanted: int, where: str) -> int:
    """Return how many bytes of *data* decode to *n_wanted* bytes, and somewhat more."""
    inflater = Inflater(start, where)
    for at in range(0, len(data), _STEP_BYTES):
        if inflater.made >= n_wanted:
            return at
        for _ in inflater.feed(data[at : at + _STEP_BYTES]):
            pass
    return len(data)


def _proven(
    data: bytes, start: Checkpoint, offset: int, bits: list[int], where: str
) -> Iterator[tuple[int, int, bytes]]:
    """Yield the blocks with their whole windows; *data* begin with the byte of *start*."""
    base = start.bit // 8 * 8
    for bit in bits:
        part = data[(start.bit - base) // 8 : bit // 8]
        inflater = Inflater(start, where)
        try:
            made = sum(map(len, inflater.feed(part)))
            made += len(inflater.seal(data[bit // 8], bit % 8))
        except NotABoundary:
            continue
        start = Checkpoint(base + bit, inflater.window)
        offset += made
        yield start.bit, offset, inflater.window
