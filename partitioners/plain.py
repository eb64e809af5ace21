"""A stream that lies in its source as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cbtool.asked import Options
from cbtool.partitioners.container import SYNC_BYTES, Marks, Place, Span, sync_in
from cbtool.partitioners.grammar import Grammar
from cbtool.source import Range, Source

MARK_BYTES = 256 * 1024
PART_BYTES = 32 * 1024 * 1024
MOST_PARTS = 256
"""Parts are of the source alone, not of the number of workers: they show in the index, and so in the plan."""


class Plain:
    """Cuts are bytes; nothing is decoded."""

    per_mark: Sequence[str] = ()
    texts: Sequence[str] = ()

    free = True

    def describe(self, source: Source, marks: Marks | None) -> str:
        return "none"

    def needs_index(self, source: Source, options: Options) -> str | None:
        return None

    def begin(self) -> Place:
        return Place(0, 0, 0, 0)

    def sync(self, source: Source, nominal: int, grammar: Grammar) -> Place | None:
        if nominal >= source.size:
            return None
        # From the byte before: a record that begins exactly at `nominal` is then found by the newline that ends it.
        first = max(0, nominal - len(grammar.newline))
        found = sync_in(_growing(source, first), first, grammar, source.uri)
        if found is None or first + found >= source.size:
            return None
        return Place(first + found, first + found, None, first + found)

    def parts(self, source: Source, workers: int) -> list[Range]:
        n = max(1, min(MOST_PARTS, source.size // PART_BYTES))
        edges = [source.size * k // n for k in range(n + 1)]
        return [(a, b - a) for a, b in zip(edges, edges[1:], strict=False)]

    def survey(self, source: Source, part: Range, grammar: Grammar) -> Marks:
        from cbtool.partitioners.marking import MarkMaker

        start, stop = part[0], part[0] + part[1]
        first = self.sync(source, start, grammar) if start else self.begin()
        last = self.sync(source, stop, grammar) if stop < source.size else None
        a = first.at if first else source.size
        b = last.at if last else source.size
        maker = MarkMaker(grammar.scanner(source.uri))
        fed = 0
        for block in source.stream(a, b - a) if b > a else ():
            for mark in range(-(-fed // MARK_BYTES) * MARK_BYTES, fed + len(block), MARK_BYTES):
                maker.mark(mark)
            maker.feed(block)
            fed += len(block)
        return Marks(*maker.finish(), {})

    def span(self, source: Source, marks: Marks, mark: int, near: int | None) -> Span:
        start, stop = int(marks.offset[mark]), int(marks.start[mark + 1])
        return Span(start, source.read(start, stop - start))

    def place(self, span: Span, start: int, record: int, weight: int) -> Place:
        return Place(start, start, record, weight)

    def at_mark(self, marks: Marks, mark: int, weight: int) -> Place | None:
        return self.place(Span(0, b""), int(marks.start[mark]), int(marks.record[mark]), weight)

    def end(self, source: Source, marks: Marks | None) -> Place:
        return Place(source.size, source.size, int(marks.record[-1]) if marks else None, 0)

    def piece(self, source: Source, marks: Marks | None, first: Place, last: Place) -> tuple[Range, dict[str, Any]]:
        return (first.at, last.at - first.at), {"kind": "plain"}

    @staticmethod
    def open(source: Source, one: Range, recipe: Mapping[str, Any]) -> Iterator[bytes]:
        return source.stream(*one)

    def whole(self, source: Source) -> Iterator[bytes]:
        return source.stream(0, source.size)


def _growing(source: Source, start: int) -> Iterator[bytes]:
    """Yield the bytes from *start* on, in reads that double: most records end in the first."""
    length = SYNC_BYTES
    while start < source.size:
        yield source.read(start, min(length, source.size - start))
        start, length = start + length, 2 * length
