"""The one pass over a gzip file: all of its output in order, everything checked, and places where to begin later."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Protocol

from cbtool.partitioners.gzip.deflate import FOLLOWING_BYTES, LONGEST_HEADER_BYTES
from cbtool.partitioners.gzip.inflate import FEED_BYTES, Checkpoint, Inflater, Member, NotABoundary
from cbtool.source import Source

Found = tuple[int, int, bytes | None]
"""A checkpoint: bit, offset in the output, and the packed window (None: a member's header)."""
Answer = Callable[[], int | None]

REQUEST_BYTES = 8 << 20
SPACING_BYTES = 3 << 19
"""Compressed bytes between checkpoints: a window of about 3 KB for each is 0.2 % of the file."""

SEARCH_BYTES = 128 * 1024

_FEWEST = 64
_NEAREST_BYTES = 16 * 1024


class Aide(Protocol):
    """Does what a survey needs besides decoding, so that another process can do it meanwhile."""

    def search(self, first: int, data: bytes) -> Answer:
        """Look for the first bit where a block may begin in the first SEARCH_BYTES of *data*, which lie at *first*."""

    def pack(self, start: Checkpoint, following: bytes) -> bytes:
        """Return the window of *start*, packed; *following* are the bytes of the file from there on."""


class Survey:
    """Passes over a gzip file once, and finds checkpoints while it decodes.

    At intervals it looks ahead for what may be the beginning of a deflate block, decodes up to it, and lets the
    decoder prove it. Where it is none, the part since the last checkpoint is read again, and the next attempt is
    made at twice the distance.
    """

    def __init__(self, source: Source, spacing_bytes: int | None = None, aide: Aide | None = None) -> None:
        self.n_members = 0
        self._source = source
        self._aide = aide or _own_aide()
        self._spacing = spacing_bytes or max(_NEAREST_BYTES, min(SPACING_BYTES, source.size // _FEWEST))
        self._stream = _requests(source)
        self._buffer, self._base = b"", 0
        self._at = 0
        self._found: list[Found] = []
        self._n_told = 0
        self._search: Answer | None = None
        self._next = self._spacing
        self._begin(Checkpoint(0, None), 0, Member())
        self._inflater = self._again()

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield the whole output, in pieces of up to 512 KiB. FormatError says what is wrong in the file, and where."""
        while self._fill(self._at + 1):
            yield from self._decode_to(self._next)
            if self._at >= self._next:
                yield from self._try_boundary()
        self._inflater.finish()

    def found(self) -> list[Found]:
        """Return the checkpoints found since the last call.

        While a caller of `blocks` holds a piece, they are those up to where it begins; each lies between two pieces.
        """
        new = self._found[self._n_told :]
        self._n_told = len(self._found)
        return new

    def checkpoints(self) -> list[Found]:
        """Return all checkpoints found."""
        return list(self._found)

    @property
    def uncut(self) -> str | None:
        """Why there is no checkpoint but the beginning, or None."""
        if len(self._found) > 1 or self._source.size <= self._spacing:
            return None
        return "no deflate block to begin at: it is one block, or its blocks have fixed Huffman codes"

    def _begin(self, start: Checkpoint, offset: int, member: Member) -> None:
        """Remember where decoding can begin again: *start*, at *offset* in the output, with *member* as it is there."""
        self._start, self._start_offset, self._start_member = start, offset, replace(member)

    def _again(self) -> Inflater:
        """Return a decoder that begins at the last checkpoint."""
        self._offset = self._start_offset
        return Inflater(self._start, self._source.uri, replace(self._start_member))

    def _fill(self, stop: int) -> bool:
        """Read on until the buffer reaches *stop*; forget what was decoded. False if the file ends at or before it."""
        while (end := self._base + len(self._buffer)) < stop and (block := next(self._stream, b"")):
            self._buffer = self._buffer[self._at - self._base :] + block
            self._base = self._at
        return end >= stop or self._base + len(self._buffer) >= stop

    def _ahead(self, n_bytes: int) -> bytes:
        """Return the next bytes of the file, up to *n_bytes*."""
        self._fill(self._at + n_bytes)
        return self._buffer[self._at - self._base : self._at - self._base + n_bytes]

    def _decode_to(self, stop: int) -> Iterator[bytes]:
        while self._at < stop and (data := self._ahead(min(FEED_BYTES, stop - self._at))):
            self._at += len(data)
            for piece in self._inflater.feed(data):
                self._note_members()
                yield piece
            self._note_members()

    def _note_members(self) -> None:
        """Make a checkpoint of each member that began, unless it is near the last one."""
        for byte, made in self._inflater.starts:
            if not self.n_members or byte - self._start.bit // 8 >= self._spacing:
                self._begin(Checkpoint(8 * byte, None), self._offset + made, Member(self.n_members))
                self._found.append((8 * byte, self._start_offset, None))
                self._next, self._search = byte + self._spacing, None
            self.n_members += 1
        self._inflater.starts.clear()

    def _try_boundary(self) -> Iterator[bytes]:
        """Decode up to the next place that looks like a block, and make a checkpoint of it if it is one."""
        search, self._search = self._search or self._search_from(self._at), None
        self._wait()
        bit = search()
        if bit is None or not self._inflater.inside:
            return
        start = self._start
        yield from self._decode_to(bit // 8)
        if self._start is not start:
            return
        try:
            piece = self._inflater.seal(self._ahead(1)[0], bit % 8)
        except NotABoundary:
            self._decode_again()
            return
        yield piece
        start = Checkpoint(bit, self._inflater.window)
        self._begin(start, self._offset + self._inflater.made, self._inflater.member)
        self._found.append((bit, self._start_offset, self._aide.pack(start, self._ahead(FOLLOWING_BYTES))))
        self._inflater = self._again()
        self._next = self._at + self._spacing
        self._search = self._search_from(self._next)

    def _search_from(self, first: int) -> Answer:
        """Begin to look from the byte *first* on for what may be a block; where there was one, there is another."""
        stop = first + SEARCH_BYTES + LONGEST_HEADER_BYTES
        self._fill(stop)
        return self._aide.search(first, self._buffer[first - self._base : stop - self._base])

    def _wait(self) -> None:
        """Put off the next attempt, the longer the longer there was no success: a file may be one block."""
        self._next = self._at + max(self._spacing, SEARCH_BYTES, (self._at - self._start.bit // 8) // 4)

    def _decode_again(self) -> None:
        """Bring a new decoder to where the last one was spoilt by a place that only looked like a block."""
        self._inflater = self._again()
        first = self._start.bit // 8
        for block in self._source.stream(first, self._at - first):
            for _ in self._inflater.feed(block):
                pass
        self._inflater.starts.clear()
        self._next = self._at + (self._at - first)


def _own_aide() -> Aide:
    # Here, as it brings numpy: an interpreter that only decodes starts without it.
    from cbtool.partitioners.gzip.search import Search

    return Search()


def _requests(source: Source) -> Iterator[bytes]:
    """Yield the bytes of *source* in order, by few requests of which none lasts for long."""
    for start in range(0, source.size, REQUEST_BYTES):
        yield from source.stream(start, min(REQUEST_BYTES, source.size - start))
