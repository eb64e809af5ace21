"""Decode a part of a gzip file from a checkpoint on (RFC 1952): bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from isal import isal_zlib

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.deflate import SEAL, WINDOW_BYTES, InflateError, begin, stored
from cbtool.partitioners.gzip.header import TRAILER_BYTES, header_end

FEED_BYTES = 256 * 1024
_SMALL_FEED_BYTES, _MANY_MEMBERS = 4 * 1024, 16
"""What follows a member is copied at its end: where members are very small, less at a time is fed."""
PIECE_BYTES = 512 * 1024
"""Output comes in pieces of this size: ISA-L fills them twice as fast as pieces that it has to make larger."""


@dataclass(frozen=True)
class Checkpoint:
    """A place where decoding can begin: the beginning of a deflate block, or of a member."""

    bit: int
    """From the beginning of the file."""
    window: bytes | None
    """Up to 32 KiB of the member's output before it; None at the header of a member."""


@dataclass
class Member:
    """What is known of the member that is being decoded."""

    number: int = 0
    """From 1, of those that were seen; 0 before the first."""
    start: int | None = None
    """The byte where it begins; None if that lies before the part that is decoded, so that its CRC cannot be known."""
    crc: int = 0
    size: int = 0


class NotABoundary(FormatError):
    """A part of a gzip file does not end where a block ends."""


class Inflater:
    """Decodes what it is fed, from a checkpoint on, and checks every member that it sees begin and end."""

    def __init__(self, start: Checkpoint, where: str, member: Member | None = None) -> None:
        self.at = start.bit // 8
        """The first byte of the file that is not decoded yet."""
        self.made = 0
        """How many bytes came out."""
        self.member = member or Member()
        self.starts: list[tuple[int, int]] = []
        """Where members began: the byte of the file, and how many bytes had come out."""
        self.window = start.window or b""
        """The last 32 KiB of the member's output."""
        self._where = where
        self._rest = b""
        self._feed_bytes = FEED_BYTES
        self._trailer_due = self._padding = self._some_ended = False
        self._stream = None
        self._lead: tuple[int, int] | None = None
        if start.window is not None:
            self._stream, self._lead = begin(start.bit % 8, start.window)

    @property
    def inside(self) -> bool:
        """Whether the next byte belongs to a member's deflate data."""
        return self._stream is not None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data*, the next bytes of the file, decode to, in pieces of up to 512 KiB."""
        first = 0
        while first < len(data):
            n_bytes, number = self._feed_bytes, self.member.number
            yield from self._feed(self._rest + self._first_bits(data[first : first + n_bytes]))
            first += n_bytes
            self._feed_bytes = FEED_BYTES if self.member.number - number < _MANY_MEMBERS else _SMALL_FEED_BYTES

    def _feed(self, data: bytes) -> Iterator[bytes]:
        self._rest = b""
        while data:
            if self._stream is not None:
                data = yield from self._inflate(self._stream, data)
            elif used := self._between(data):
                data = data[used:]
                self.at += used
            else:
                self._rest, data = data, b""

    def _inflate(self, stream: isal_zlib.Decompress, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what *data* decode to; return what lies behind the end of the member's deflate data."""
        while True:
            try:
                piece = stream.decompress(data, PIECE_BYTES)
            except InflateError:
                self._refuse("corrupt deflate data")
            left: bytes = stream.unused_data if stream.eof else stream.unconsumed_tail
            self.at += len(data) - len(left)
            data = left
            if piece:
                self._count(piece)
                yield piece
            if stream.eof:
                self._stream, self._trailer_due = None, True
                return data
            if not data and len(piece) < PIECE_BYTES:
                return b""

    def _count(self, piece: bytes) -> None:
        self.made += len(piece)
        self.member.size += len(piece)
        self.member.crc = isal_zlib.crc32(piece, self.member.crc)
        whole = len(piece) >= WINDOW_BYTES
        self.window = piece[-WINDOW_BYTES:] if whole else (self.window + piece)[-WINDOW_BYTES:]

    def _between(self, data: bytes) -> int:
        """Take a trailer, a header, or padding from *data*; return how many bytes, 0 if there are too few."""
        if self._trailer_due:
            return self._trailer(data) if len(data) >= TRAILER_BYTES else 0
        if self._some_ended and data[0] == 0 or self._padding:
            self._padding = True
            if garbage := data.lstrip(b"\0"):
                self.at += len(data) - len(garbage)
                self._refuse("garbage after the zeros that follow the last member")
            return len(data)
        try:
            end = header_end(data)
        except ValueError as error:
            self._refuse(f"garbage after the last member: {error}" if self._some_ended else str(error))
        if end is None:
            return 0
        self.starts.append((self.at, self.made))
        self.member = Member(self.member.number + 1, self.at)
        self.window = b""
        self._stream = isal_zlib.decompressobj(-15)
        return end

    def _trailer(self, data: bytes) -> int:
        """Check a member's CRC and length against its trailer, if all of the member was seen."""
        crc, size = struct.unpack_from("<II", data)
        if self.member.start is not None and crc != self.member.crc:
            self._refuse(f"wrong CRC: the file says {crc:08x}, its data have {self.member.crc:08x}")
        if self.member.start is not None and size != self.member.size & 0xFFFFFFFF:
            self._refuse(f"wrong length: the file says {size}, its data have {self.member.size} (mod 2^32)")
        self._trailer_due, self._some_ended = False, True
        return TRAILER_BYTES

    def finish(self) -> None:
        """Raise FormatError unless the file may end here."""
        if self._stream is not None or self._trailer_due or self._rest:
            self.cut_short()
        if not self._some_ended:
            self._refuse("no gzip member: it is empty")

    def cut_short(self) -> NoReturn:
        """Say that more bytes were due."""
        self.at += len(self._rest)
        self._refuse("truncated: the data end inside a member")

    def seal(self, last: int, n_bits: int) -> bytes:
        """Return the last output, if *n_bits* bits of the byte *last* end a block; else raise NotABoundary.

        A stored block put there, the last of a stream, comes out whole only if that is so. Nothing can follow.
        """
        bits = self._first_bits(bytes([last]))[0] & (1 << n_bits) - 1
        header = (bits | 1 << n_bits).to_bytes((n_bits + 3 + 7) // 8, "little")
        try:
            piece = self._stream.decompress(header + stored(SEAL)) if self._stream is not None else b""
        except InflateError:
            piece = b""
        if self._stream is None or not self._stream.eof or self._stream.unused_data or not piece.endswith(SEAL):
            self._refuse(f"no deflate block ends at bit {n_bits} of this byte", NotABoundary)
        piece = piece[: -len(SEAL)]
        self._count(piece)
        return bytes(piece)

    def end_between(self) -> None:
        """Raise NotABoundary unless a member ended just here, or none began."""
        if self._stream is not None or self._trailer_due or self._rest or self._padding:
            self._refuse("no member ends at this byte", NotABoundary)

    def _first_bits(self, data: bytes) -> bytes:
        """Put the end of the empty blocks before the checkpoint into the low bits of its first byte."""
        if self._lead is None or not data:
            return data
        (n_bits, low), self._lead = self._lead, None
        return bytes([data[0] >> n_bits << n_bits | low]) + data[1:]

    def _refuse(self, what: str, kind: type[FormatError] = FormatError) -> NoReturn:
        start, number = self.member.start, self.member.number
        of = f" (member {number}, from byte {start})" if start is not None else ""
        raise kind(f"{self._where}: {what}, at byte {self.at}{of}", uri=self._where, offset=self.at, member=number)


def decode(blocks: Iterable[bytes], start: Checkpoint, end: tuple[int, bool] | None, where: str) -> Iterator[bytes]:
    """Yield the output from *start* to *end*, in pieces of 128 KiB to 1 MiB but for the last.

    *blocks* hold the bytes of the file from the one with the bit *start* to the one before the bit *end*: a bit, and
    whether it lies inside a member (False: where a member ends and the next begins). That it is such a place
    is proven. None is the end of the file. Members that begin and end in between are checked whole.
    """
    if end is not None and end[0] < start.bit:
        raise NotABoundary(
            f"{where}: a part that ends at bit {end[0]}, before it begins", uri=where, offset=end[0] // 8
        )
    return _joined(_decode(blocks, Inflater(start, where), end))


def _decode(blocks: Iterable[bytes], inflater: Inflater, end: tuple[int, bool] | None) -> Iterator[bytes]:
    if end is None:
        for block in blocks:
            yield from inflater.feed(block)
        inflater.finish()
        return
    bit, inside = end
    left, last = bit // 8 - inflater.at, b""
    for block in blocks:
        yield from inflater.feed(block[: max(0, left)])
        last = block[left:] if 0 <= left < len(block) else last
        left -= len(block)
    if left > 0 or bit % 8 and not last:
        inflater.cut_short()
    if inside:
        yield inflater.seal(last[0] if bit % 8 else 0, bit % 8)
    else:
        inflater.end_between()


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces; a copy of the large ones would cost more than it saves."""
    held: list[bytes] = []
    n_held = 0
    for piece in pieces:
        if not held and len(piece) >= PIECE_BYTES // 4:
            yield piece
            continue
        held.append(piece)
        n_held += len(piece)
        if n_held >= PIECE_BYTES:
            yield b"".join(held)
            held, n_held = [], 0
    if n_held:
        yield b"".join(held)
