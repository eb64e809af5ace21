"""Find the deflate blocks between two checkpoints, so that a cut can lie at any of them."""

from __future__ import annotations

from collections.abc import Iterator

from cbtool.partitioners.container import Edge
from cbtool.partitioners.gzip.blocks import LARGE_BLOCK_LENGTHS, candidates
from cbtool.partitioners.gzip.deflate import FOLLOWING_BYTES
from cbtool.partitioners.gzip.inflate import Checkpoint, Inflater, NotABoundary
from cbtool.partitioners.gzip.thin import thin
from cbtool.source import Source

NEAR_BYTES = 96 * 1024
BEHIND_BYTES = 16 * 1024


def around(
    source: Source, start: Checkpoint, offset: int, end: Edge, near: int
) -> tuple[bytes, tuple[Edge, ...]] | None:
    """Return the output from *start* on to somewhat behind *near*, and the blocks on both sides of that offset.

    The first of them is *start*, at *offset*; the output goes on for a few KiB behind the last, where the next
    record may begin. One request. None where no block is found between *near* and *end*.
    """
    first = start.bit // 8
    data = source.read(first, min(-(-end.bit // 8) + FOLLOWING_BYTES, source.size) - first)
    # How far in the compressed bytes it is: the same share as in the output, nearly.
    guess = (near - offset) * (end.bit // 8 - first) // max(1, end.offset - offset)
    low = max(start.bit - first * 8 + 1, (guess - NEAR_BYTES) * 8)
    high = min(end.bit - first * 8, (guess + NEAR_BYTES) * 8)
    edges = [Edge(start.bit, start.window is not None, offset, start.window)]
    output: list[bytes] = []
    for bit in candidates(data, low, high, fewest_lengths=LARGE_BLOCK_LENGTHS) or candidates(data, low, high):
        inflater = Inflater(start, source.uri)
        pieces = list(inflater.feed(data[start.bit // 8 - first : bit // 8]))
        try:
            pieces.append(inflater.seal(data[bit // 8], bit % 8))
        except NotABoundary:
            continue
        output += pieces
        offset += inflater.made
        start = Checkpoint(first * 8 + bit, inflater.window)
        following = data[bit // 8 : bit // 8 + FOLLOWING_BYTES]
        edges.append(Edge(start.bit, True, offset, thin(start, following)))
        if offset >= near:
            output += Inflater(start, source.uri).feed(following[:BEHIND_BYTES])
            return b"".join(output), tuple(edges)
    return None


def boundaries(source: Source, start: Checkpoint, start_offset: int, end_bit: int) -> list[tuple[int, int, bytes]]:
    """Return the blocks that begin in ``(start, end_bit)``: bit, offset in the output, and thin window.

    Each is proven by decoding up to it and from it to the next. One request, for the bytes in between and the
    48 KiB that show which bytes of the last window are needed.
    """
    first = start.bit // 8
    data = source.read(first, min(-(-end_bit // 8) + FOLLOWING_BYTES, source.size) - first)
    low, high = start.bit - first * 8 + 1, end_bit - first * 8
    bits = candidates(data, low, high, fewest_lengths=LARGE_BLOCK_LENGTHS) or candidates(data, low, high)
    found = []
    for bit, offset, window in _proven(data, start, start_offset, bits, source.uri):
        following = data[bit // 8 - first : bit // 8 - first + FOLLOWING_BYTES]
        found.append((bit, offset, thin(Checkpoint(bit, window), following)))
    return found


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
