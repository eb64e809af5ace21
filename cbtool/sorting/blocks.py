"""Records in memory, as many as fit: how they are cut from a stream, ordered, and written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cbtool.errors import FormatError, UsageError
from cbtool.sorting.keys import Key
from cbtool.sorting.ordering import PAD, Offsets, gathered, line_ends

BASE_BYTES = 100_000_000
"""What a worker takes before it holds any record: the interpreter, numpy, the store."""
LEAST_BYTES = 128_000_000
RECORD_COST_BYTES = 90
"""What the place, the key and the order of one record take while a block is put in order."""
MADE_COST_BYTES = 70
"""What it takes more where the key is no part of the record."""
OBJECT_COST_BYTES = 300
"""What it takes more where the record is an object of its own."""


def room(memory_bytes: int) -> int:
    """Return how much a worker of *memory_bytes* has for records; UsageError if that is too little to be of use."""
    if memory_bytes < LEAST_BYTES:
        raise UsageError(f"--memory {memory_bytes}: too little to sort in", hint=f"at least {LEAST_BYTES // 10**6}MB")
    return memory_bytes - BASE_BYTES


class RecordTooLarge(UsageError):
    """A record alone takes more than there is room for."""


@dataclass(frozen=True)
class Shape:
    """How records lie in a buffer: each *record_bytes* long, or if that is None, lines."""

    record_bytes: int | None = None

    @property
    def end_bytes(self) -> int:
        """How many bytes at the end of a record are none of it."""
        return 0 if self.record_bytes else 1

    def count(self, data: bytes) -> int:
        return len(data) // self.record_bytes if self.record_bytes else data.count(b"\n")

    def rest(self, pieces: Sequence[bytes]) -> int:
        """Return how many bytes at the end of *pieces*, which begin with a record, are no whole record."""
        if self.record_bytes:
            return sum(map(len, pieces)) % self.record_bytes
        rest = 0
        for piece in reversed(pieces):
            if (at := piece.rfind(b"\n")) >= 0:
                return rest + len(piece) - at - 1
            rest += len(piece)
        return rest

    def around(self, data: bytes, at: int) -> tuple[int, int]:
        """Return where the record begins and ends that holds byte *at*."""
        if self.record_bytes:
            start = at - at % self.record_bytes
            return start, start + self.record_bytes
        return data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1

    def ends(self, buffer: bytes, size: int) -> Offsets:
        if self.record_bytes:
            return np.arange(self.record_bytes, size + 1, self.record_bytes, dtype=np.int64)
        return line_ends(buffer, size)


@dataclass(frozen=True)
class Block:
    """Whole records, joined, with a pad behind them."""

    data: bytes
    shape: Shape
    key: Key
    ends: Offsets | None = None
    """Where each record ends, if its shape does not tell."""

    @cached_property
    def _spans(self) -> tuple[Offsets, Offsets]:
        end = self.shape.ends(self.data, len(self.data) - len(PAD)) if self.ends is None else self.ends
        start = np.zeros(len(end), np.int64)
        start[1:] = end[:-1]
        return start, end

    @cached_property
    def _order(self) -> Offsets:
        start, end = self._spans
        return self.key.order(self.data, start, end - self.shape.end_bytes)

    def __len__(self) -> int:
        return len(self._spans[0])

    def sorted(self) -> Iterator[bytes]:
        """Yield the records in order."""
        start, end = self._spans
        yield from gathered(self.data, start, end - start, self._order)

    def cuts(self, splitters: Sequence[bytes]) -> tuple[Offsets, Offsets]:
        """Return where each part begins in the sorted records, and where the last ends: in bytes, and in records.

        A part begins with the first record whose key is not before its splitter.
        """
        start, end = self._spans
        order, key = self._order, self.key
        stop = end - self.shape.end_bytes
        places = [
            bisect_left(
                range(len(order)), key.rank(one), key=lambda i: key.of(self._record(int(order[i]), start, stop))
            )
            for one in splitters
        ]
        records = np.array([0, *places, len(order)], np.int64)
        sizes = np.concatenate([np.zeros(1, np.int64), np.cumsum((end - start)[order])])
        return sizes[records], records

    def keys(self, most: int) -> list[bytes]:
        """Return the keys of up to *most* of the records, evenly chosen."""
        start, end = self._spans
        chosen = np.arange(len(start))[:: -(-len(start) // most)]
        keys, at, length = self.key.spans(self.data, start[chosen], end[chosen] - self.shape.end_bytes)
        return [keys[a : a + n] for a, n in zip(at.tolist(), length.tolist(), strict=True)]

    def _record(self, number: int, start: Offsets, stop: Offsets) -> bytes:
        return self.data[int(start[number]) : int(stop[number])]


def blocks_of(stream: Iterator[bytes], shape: Shape, key: Key, room_bytes: int) -> Iterator[Block]:
    """Cut a stream of records into blocks that can be put in order in *room_bytes*; let go of each before the next.

    FormatError if the stream ends within a record of fixed size, RecordTooLarge if one does not fit.
    """
    each = cost_of_record(key)
    held: list[bytes] = []
    cost = 0
    for piece in stream:
        held.append(piece)
        # Twice: while what is held is joined, it is there twice.
        cost += 2 * len(piece) + each * shape.count(piece)
        if cost >= room_bytes:
            rest = _take(held, shape.rest(held))
            if not held:
                raise RecordTooLarge(f"a record of more than {len(rest)} bytes does not fit", hint="--memory SIZE")
            yield _block(held, shape, key)
            held.append(rest)
            cost = 2 * len(rest)
    if left := shape.rest(held):
        if shape.record_bytes:
            raise FormatError(f"the last record has {left} of {shape.record_bytes} bytes")
        held.append(b"\n")
    if any(held):
        yield _block(held, shape, key)


def blocks_of_records(lists: Iterator[list[bytes]], key: Key, room_bytes: int) -> Iterator[Block]:
    """Cut records of any form, which come in lists, into such blocks; a newline ends each."""
    held: list[bytes] = []
    cost = 0
    for records in lists:
        for record in records:
            held.append(record + b"\n")
            cost += 2 * len(record) + OBJECT_COST_BYTES + cost_of_record(key)
            if cost >= room_bytes:
                yield _block_of_records(held, key)
                cost = 0
    if held:
        yield _block_of_records(held, key)


def _block_of_records(records: list[bytes], key: Key) -> Block:
    ends = np.cumsum(np.fromiter(map(len, records), np.int64, len(records)))
    return replace(_block(records, Shape(), key), ends=ends)


def cost_of_record(key: Key) -> int:
    """Return what a record takes in a block besides its bytes."""
    return RECORD_COST_BYTES + (MADE_COST_BYTES if key.numeric or key.function else 0)


def _take(pieces: list[bytes], n_bytes: int) -> bytes:
    """Take the last *n_bytes* away from *pieces*."""
    taken: list[bytes] = []
    while n_bytes:
        piece = pieces.pop()
        if len(piece) > n_bytes:
            pieces.append(piece[:-n_bytes])
            piece = piece[-n_bytes:]
        taken.append(piece)
        n_bytes -= len(piece)
    return b"".join(reversed(taken))


def _block(pieces: list[bytes], shape: Shape, key: Key) -> Block:
    """Join *pieces* to a block, and let go of them."""
    pieces.append(PAD)
    data = b"".join(pieces)
    pieces.clear()
    return Block(data, shape, key)
