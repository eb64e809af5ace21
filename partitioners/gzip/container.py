"""A stream that lies in its source as gzip: BGZF is cut at its blocks, any other at checkpoints of an index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from isal import isal_zlib

from cbtool.asked import Options
from cbtool.errors import FormatError, NeedsIndex
from cbtool.partitioners.container import HEAD_LIMIT_BYTES, Edge, Marks, Place, Span, sync_in
from cbtool.partitioners.grammar import Grammar
from cbtool.partitioners.gzip.deflate import FOLLOWING_BYTES
from cbtool.partitioners.gzip.inflate import Checkpoint, Inflater, decode
from cbtool.partitioners.gzip.members import (
    BGZF_MOST_BYTES,
    bgzf_size,
    bgzf_sizes,
    bgzf_sync,
    is_bgzf,
    is_gzip,
    member_sync,
)
from cbtool.partitioners.gzip.piece import make_piece, open_piece, whole
from cbtool.partitioners.gzip.windows import pack_window, unpack_window
from cbtool.source import Cached, Range, Source

SYNC_READ_BYTES = 128 * 1024
SYNC_DECODE_BYTES = 4 * 1024
UNCUT_BYTES = 64 * 1024
MEMBER_SEARCH_BYTES = 16 * 1024 * 1024
"""Where no member of plain gzip begins within so much, the chunk goes on to the next cut."""

HEAD_MOST_BYTES = 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
MOST_PARTS = 256
"""Parts are of the source alone, not of the number of workers: they show in the index, and so in the plan."""


class Gzip:
    """Cuts are bits: places where decoding can start, and how far behind them the record begins."""

    def __init__(self, head: bytes) -> None:
        self.bgzf = self.free = is_bgzf(head)
        self.per_mark: Sequence[str] = ("bit", "crc") if self.bgzf else ("bit", "crc", "inside")
        windows = () if self.bgzf else ("window_at", "windows")
        self.texts: Sequence[str] = ("head_at", "heads", *windows)

    @staticmethod
    def sniff(head: bytes) -> bool:
        return is_gzip(head)

    def describe(self, source: Source, marks: Marks | None) -> str:
        if self.bgzf:
            return "BGZF"
        alone = marks is not None and len(marks.offset) == 2 and source.size > UNCUT_BYTES
        return "gzip, without a place to cut at: one deflate block, or fixed Huffman codes" if alone else "gzip"

    def needs_index(self, source: Source, options: Options) -> str | None:
        if self.bgzf:
            return "--size counts uncompressed bytes" if options.size else None
        return None if options.on_the_fly else "places to cut plain gzip at can only be found by decompressing it"

    def begin(self) -> Place:
        return Place(0, 0, 0, 0)

    def end(self, source: Source, marks: Marks | None) -> Place:
        if marks is None:
            return Place(source.size * 8, None, None, 0)
        return Place(source.size * 8, int(marks.offset[-1]), int(marks.record[-1]), 0, crc=int(marks.own["crc"][-1]))

    def sync(self, source: Source, nominal: int, grammar: Grammar) -> Place | None:
        if len(grammar.newline) > 1:
            raise NeedsIndex(f"{source.uri}: where its characters begin can only be known from its start")
        near = Cached(source, SYNC_READ_BYTES)
        sync, limit = (bgzf_sync, source.size) if self.bgzf else (member_sync, nominal + MEMBER_SEARCH_BYTES)
        at = sync(near, nominal, min(limit, source.size))
        if at is None:
            return None
        blocks = near.stream(at, source.size - at)
        kept: list[bytes] = []
        starts: list[tuple[int, int]] = []
        plain = _keeping(_small_first(blocks), Inflater(Checkpoint(at * 8, None), source.uri), kept, starts)
        skip = sync_in(plain, None, grammar, source.uri)
        while skip == sum(map(len, kept)) and next(plain, None) is not None:
            pass  # whether a member begins just there shows only behind it
        if skip is None or skip == sum(map(len, kept)):
            return None
        # From the last member that begins before the record: so it is one place, from wherever it is looked for.
        at, made = [start for start in starts if start[1] <= skip][-1]
        skip -= made
        if skip <= HEAD_LIMIT_BYTES:
            return Place(at * 8, None, None, at, skip, b"".join(kept)[made : made + skip])
        size = bgzf_size(near.read(at, min(BGZF_MOST_BYTES, source.size - at)), 0) if self.bgzf else None
        if size is None:
            raise NeedsIndex(f"{source.uri}: more than {HEAD_LIMIT_BYTES} bytes lie between a member and a record")
        return Place(at * 8, None, None, at, skip, None, None, ((at + size) * 8, False))

    def parts(self, source: Source, workers: int) -> list[Range]:
        n = max(1, min(MOST_PARTS, source.size // PART_BYTES)) if self.bgzf else 1
        edges = [source.size * k // n for k in range(n + 1)]
        return [(a, b - a) for a, b in itertools.pairwise(edges)]

    def survey(self, source: Source, part: Range, grammar: Grammar) -> Marks:
        if not self.bgzf:
            return _survey_members(source, grammar)
        from cbtool.partitioners.gzip.passes import survey_blocks

        start, stop = part[0], part[0] + part[1]
        first = self.sync(source, start, grammar) if start else self.begin()
        last = self.sync(source, stop, grammar) if stop < source.size else None
        last = last or self.end(source, None)
        first = first or self.end(source, None)
        return survey_blocks(source, first, last, grammar)

    def span(self, source: Source, marks: Marks, mark: int, near: int | None) -> Span:
        from cbtool.partitioners.gzip.boundaries import around

        offset, end = int(marks.offset[mark]), int(marks.start[mark + 1])
        crc = int(marks.own["crc"][mark])
        stop = int(marks.offset.searchsorted(end))
        first, last = _checkpoint(marks, mark), _checkpoint(marks, stop)
        edge = Edge(last.bit, last.window is not None, int(marks.offset[stop]), last.window)
        if near is not None and not self.bgzf and (found := around(source, first, offset, edge, near)):
            return Span(offset, *found, crc, False)
        begin, length = first.bit // 8, -(-last.bit // 8) - first.bit // 8
        cached = Cached(source, length + FOLLOWING_BYTES)
        final = None if stop + 1 == len(marks.offset) else (last.bit, last.window is not None)
        data = b"".join(decode(cached.stream(begin, length), first, final, source.uri))
        edges = self._edges(cached, first, last, offset)
        return Span(offset, data[: end - offset], (*edges, edge), crc)

    def _edges(self, source: Source, first: Checkpoint, last: Checkpoint, offset: int) -> list[Edge]:
        if not self.bgzf:
            from cbtool.partitioners.gzip.boundaries import boundaries

            found = boundaries(source, first, offset, last.bit)
            begin = Edge(first.bit, first.window is not None, offset, first.window)
            return [begin, *(Edge(bit, True, made, window) for bit, made, window in found)]
        starts, sizes = bgzf_sizes(source, first.bit // 8, last.bit // 8)
        before = itertools.accumulate(sizes, initial=offset)
        return [Edge(at * 8, False, made, None) for at, made in zip(starts, before, strict=False)]

    def place(self, span: Span, start: int, record: int, weight: int) -> Place:
        edge = [edge for edge in span.edges if edge.offset <= start][-1]
        later = next((edge for edge in span.edges if edge.offset >= start), None)
        skip = start - edge.offset
        head = span.data[edge.offset - span.offset : start - span.offset] if skip <= HEAD_LIMIT_BYTES else None
        crc = isal_zlib.crc32(span.data[: start - span.offset], span.crc)
        window = pack_window(edge.window) if edge.window is not None else None
        after = (later.bit, later.inside) if later else None
        return Place(edge.bit, start, record, weight, skip, head, window, after, crc)

    def at_mark(self, marks: Marks, mark: int, weight: int) -> Place | None:
        own, skip = marks.own, int(marks.start[mark] - marks.offset[mark])
        if skip > HEAD_LIMIT_BYTES:
            return None
        head = own["heads"][own["head_at"][mark] : own["head_at"][mark + 1]].tobytes()
        window = _packed_window(marks, mark)
        crc = isal_zlib.crc32(head, int(own["crc"][mark]))
        bit, start, record = int(own["bit"][mark]), int(marks.start[mark]), int(marks.record[mark])
        return Place(bit, start, record, weight, skip, head, window, None, crc)

    def piece(self, source: Source, marks: Marks | None, first: Place, last: Place) -> tuple[Range, dict[str, Any]]:
        return make_piece(source, first, last)

    @staticmethod
    def open(source: Source, one: Range, recipe: Mapping[str, Any]) -> Iterator[bytes]:
        return open_piece(source, one, recipe)

    def whole(self, source: Source) -> Iterator[bytes]:
        return whole(source)


def _survey_members(source: Source, grammar: Grammar) -> Marks:
    from cbtool.partitioners.gzip.stretches import stretches

    with closing(stretches(source)) as parts:
        next(parts)  # a decoder beside this process starts now, and numpy is imported meanwhile
        from cbtool.partitioners.gzip.passes import survey_members

        return survey_members(source, parts, grammar)


def _small_first(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield *blocks* in parts that double: most records begin in what the first decodes to."""
    length = SYNC_DECODE_BYTES
    for block in blocks:
        while block:
            yield block[:length]
            block, length = block[length:], 2 * length


def _keeping(
    blocks: Iterator[bytes], inflater: Inflater, kept: list[bytes], starts: list[tuple[int, int]]
) -> Iterator[bytes]:
    """Yield what *blocks* decode to, and put it in *kept*; in *starts* where members begin: byte, offset in it."""
    for block in blocks:
        kept.append(b"".join(inflater.feed(block)))
        starts += inflater.starts
        inflater.starts.clear()
        yield kept[-1]
    inflater.finish()


def plain_head(head: bytes, uri: str) -> bytes:
    """Return what the first bytes of a source say when decompressed, if they are gzip."""
    if not is_gzip(head):
        return head
    found = b""
    try:
        for piece in Inflater(Checkpoint(0, None), uri).feed(head):
            found += piece
            if len(found) >= HEAD_MOST_BYTES:
                break
    except FormatError:
        # What was found before the damage tells the format; the damage is met again by whoever reads the file.
        pass
    return found


def _checkpoint(marks: Marks, mark: int) -> Checkpoint:
    packed = _packed_window(marks, mark)
    return Checkpoint(int(marks.own["bit"][mark]), None if packed is None else unpack_window(packed))


def _packed_window(marks: Marks, mark: int) -> bytes | None:
    own = marks.own
    if "inside" not in own or not own["inside"][mark]:
        return None
    return own["windows"][own["window_at"][mark] : own["window_at"][mark + 1]].tobytes()
