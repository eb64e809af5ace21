"""How a plain stream of bytes lies in a source: as it is, or compressed. Knows nothing of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cbtool.asked import Options
from cbtool.errors import FormatError
from cbtool.partitioners.grammar import Grammar
from cbtool.source import Range, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD_LIMIT_BYTES = 16 * 1024
"""A longer stretch between a checkpoint and the next record is read by the chunk before, not carried in its recipe."""

SYNC_BYTES = 16 * 1024
SYNC_LIMIT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where a cut lies in one source: at the start of a record."""

    at: int
    """Where reading starts: a byte of a plain source, a bit of a compressed one."""
    offset: int | None
    """The record's place in the plain stream."""
    record: int | None
    weight: int
    """The weight of all records before it in this source."""
    skip: int = 0
    """Bytes of the plain stream between *at* and the record."""
    head: bytes | None = b""
    """Those bytes; None where they are too many to be carried."""
    window: bytes | None = None
    """Packed output before *at*; None where a gzip member begins."""
    after: tuple[int, bool] | None = None
    """``(bit, inside a member)`` of the first boundary not before the record; needed where *head* is None."""
    crc: int | None = None
    """CRC-32 of the plain stream before the record, if it is known."""


def is_after(one: Place, other: Place) -> bool:
    """Say whether *one* lies behind *other*: by the record if that is known, for it can be reached from two places."""
    if one.offset is not None and other.offset is not None:
        return one.offset > other.offset
    return (one.at, one.skip) > (other.at, other.skip)


@dataclass(frozen=True)
class Marks:
    """What an index holds of a stream: for each mark, the first record that starts at or after it.

    1-D arrays of one length; the last mark is the end of the stream. *own* are the container's own arrays.
    """

    offset: NDArray[np.int64]
    """Of the mark, in the plain stream."""
    start: NDArray[np.int64]
    """Of the record, in the plain stream."""
    record: NDArray[np.int64]
    third: NDArray[np.int64]
    """Weight (bases) of all records before the record."""
    own: Mapping[str, NDArray[Any]]

    def weights(self, by: str) -> NDArray[np.int64]:
        return {"bytes": self.start, "records": self.record}.get(by, self.third)


@dataclass(frozen=True)
class Edge:
    """A place in a compressed source where decoding can start or end."""

    bit: int
    inside: bool
    """Whether it lies within a gzip member, between two deflate blocks; else a member begins here."""
    offset: int
    """In the plain stream."""
    window: bytes | None
    """Packed output before it, if it lies inside."""


@dataclass(frozen=True)
class Span:
    """A stretch of the plain stream from *offset* on, decoded, and the edges in it, sorted."""

    offset: int
    data: bytes
    edges: tuple[Edge, ...] = ()
    crc: int = 0
    """CRC-32 of the plain stream before it, if the container keeps one."""
    whole: bool = True
    """Whether it reaches to the record of the next mark; else it ends somewhat behind what was asked for."""


class Container(Protocol):
    """One way in which a stream lies in a source."""

    @property
    def per_mark(self) -> Sequence[str]:
        """What arrays of its own an index holds, with a value for each mark."""

    @property
    def texts(self) -> Sequence[str]:
        """What arrays of its own an index holds for strings: all of them joined, and where each begins."""

    @property
    def free(self) -> bool:
        """Whether a cut can be found near any byte without an index."""

    def describe(self, source: Source, marks: Marks | None) -> str:
        """Say how the stream lies: ``none``, ``BGZF``, ``gzip``."""

    def needs_index(self, source: Source, options: Options) -> str | None:
        """Return why even chunks need a pass over *source* first, or None."""

    def begin(self) -> Place: ...

    def sync(self, source: Source, nominal: int, grammar: Grammar) -> Place | None:
        """Return the first record start after byte *nominal* of *source*, found by a small read; None: no more."""

    def parts(self, source: Source, workers: int) -> list[Range]:
        """Return the parts of *source* that can be passed over at once."""

    def survey(self, source: Source, part: Range, grammar: Grammar) -> Marks:
        """Pass over *part* of *source*. Offsets and ordinals count from the part's first record."""

    def span(self, source: Source, marks: Marks, mark: int, near: int | None) -> Span:
        """Return the stream from *mark* to the first record that starts at or after the next mark.

        With *near*, an offset, a part of that with an edge on each side of it is enough.
        """

    def place(self, span: Span, start: int, record: int, weight: int) -> Place:
        """Return the cut before the record that begins at *start*, which lies in *span*."""

    def at_mark(self, marks: Marks, mark: int, weight: int) -> Place | None:
        """Return the cut before the first record after *mark*, from the index alone; None if that cannot tell."""

    def end(self, source: Source, marks: Marks | None) -> Place: ...

    def piece(self, source: Source, marks: Marks | None, first: Place, last: Place) -> tuple[Range, dict[str, Any]]:
        """Return the bytes to read for the records from *first* up to *last*, and the recipe for them."""

    def open(self, source: Source, one: Range, recipe: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the plain bytes of a piece, by one request."""

    def whole(self, source: Source) -> Iterator[bytes]:
        """Yield the whole plain stream, by a decoder other than `open`'s where there is one."""


def sync_in(blocks: Iterator[bytes], offset: int | None, grammar: Grammar, where: str) -> int | None:
    """Return where the first record starts in the stream that *blocks* yield; None if none does.

    Asks for one block after another until it is proven, so the last may be proven only by the stream's end. *offset*
    is the place of the blocks in the whole stream, if it is known.
    """
    window = b""
    for block in blocks:
        window += block
        if (found := grammar.sync(window, offset, False)) is not None:
            return found
        if len(window) > SYNC_LIMIT_BYTES:
            raise FormatError(f"{where}: no record ends within {SYNC_LIMIT_BYTES >> 20} MiB", hint="try another --as")
    found = grammar.sync(window, offset, True)
    return found if found != len(window) else None
