"""All blocks between two checkpoints."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import pytest

from cbtool.partitioners.container import Edge
from cbtool.partitioners.gzip.boundaries import around, boundaries
from cbtool.partitioners.gzip.inflate import Checkpoint, decode
from cbtool.partitioners.gzip.survey import Survey
from cbtool.partitioners.gzip.windows import unpack_window
from cbtool.source import Source


@pytest.mark.parametrize("flush", [None, zlib.Z_SYNC_FLUSH])
@pytest.mark.parametrize("level", [0, 1, 6])
def test_each_block_decodes_to_the_next(source_of: Callable[[bytes], Source], level: int, flush: int | None) -> None:
    rng = random.Random(0)
    lines = [bytes(rng.choices(b"ACGTNacgtn,:;F#@0123456789", k=rng.randrange(200))) + b"\n" for _ in range(12_000)]
    content = b"".join(lines)
    deflate = zlib.compressobj(level, zlib.DEFLATED, 31)
    data = b"".join(
        deflate.compress(content[at : at + 60_000]) + (deflate.flush(flush) if flush else b"")
        for at in range(0, len(content), 60_000)
    )
    data += deflate.flush()
    source = source_of(data)
    survey = Survey(source, 200_000)
    assert b"".join(survey.blocks()) == content
    found = survey.checkpoints()
    assert len(found) >= 3
    for (bit, offset, packed), (end, end_offset, _) in zip(found, found[1:], strict=False):
        start = Checkpoint(bit, None if packed is None else unpack_window(packed))
        source.meter.requests = 0
        between = boundaries(source, start, offset, end)
        assert source.meter.requests == 1 and len(between) >= 2
        for one in (offset, (offset + end_offset) // 2, end_offset - 1):
            source.meter.requests = 0
            some = around(source, start, offset, Edge(end, True, end_offset, None), one)
            assert source.meter.requests == 1
            if some is None:
                assert max(made for _, made, _ in between) < one
                continue
            output, edges = some
            assert content[offset : offset + len(output)] == output and len(output) > edges[-1].offset - offset
            assert {(edge.bit, edge.offset, edge.window) for edge in edges[1:]} <= set(between)
            assert edges[0].bit == bit and edges[-2].offset < one <= edges[-1].offset or one == offset
        bits = [bit, *(one for one, _, _ in between), end]
        assert bits == sorted(set(bits))
        places = [(bit, offset, start.window), *between]
        for (a, at, window), (b, to, _) in zip(places, [*between, (end, end_offset, b"")], strict=True):
            part = decode([data[a // 8 : -(-b // 8)]], Checkpoint(a, window), (b, True), "memory")
            assert b"".join(part) == content[at:to]
