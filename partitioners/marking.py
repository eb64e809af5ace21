"""Makes the marks of an index while a stream is passed over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cbtool.partitioners.container import HEAD_LIMIT_BYTES
from cbtool.partitioners.grammar import Scanner, Starts

KEPT_BYTES = 8 << 20


class MarkMaker:
    """Makes `Marks` from the blocks of a stream and the marks between them.

    With *heads*, keeps the bytes from each mark to its record where they are few.
    """

    def __init__(self, scanner: Scanner, heads: bool = False) -> None:
        # The C library gives back to the system what is larger than all that was freed before, and fetches it again:
        # for the arrays of every block, which takes longer than to fill them.
        bytes(KEPT_BYTES)
        self.scanner, self.keep = scanner, heads
        self.heads: list[bytes] = []
        self._found: list[Starts] = []
        self._n_before = 0
        self._settled: list[tuple[int, int, int, int]] = []
        self._waiting: list[tuple[int, bytearray]] = []

    def feed(self, block: bytes | memoryview) -> None:
        """Scan the next *block* of the stream."""
        for _, head in self._waiting if self.keep else ():
            head += block[: HEAD_LIMIT_BYTES - len(head)]
        found = self.scanner.feed(block)
        if len(found.offset):
            self._found.append(found)
        self._settle()

    def mark(self, offset: int) -> None:
        """Add a mark at the end of what was fed, or for a container without heads anywhere before the next block's."""
        self._waiting.append((offset, bytearray()))

    def _settle(self) -> None:
        """Give waiting marks their records; forget starts before them all."""
        while self._found and (self._waiting or len(self._found) > 1):
            starts = self._found[0]
            if not self._waiting or int(starts.offset[-1]) < self._waiting[0][0]:
                self._n_before += len(starts.offset)
                self._found.pop(0)
                continue
            offset, head = self._waiting.pop(0)
            at = int(np.searchsorted(starts.offset, offset))
            self._settle_one(offset, int(starts.offset[at]), self._n_before + at, int(starts.weight[at]), head)

    def _settle_one(self, offset: int, start: int, record: int, third: int, head: bytearray) -> None:
        self._settled.append((offset, start, record, third))
        self.heads.append(bytes(head[: start - offset]) if start - offset <= HEAD_LIMIT_BYTES else b"")

    def finish(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return offset, start, record and third of all marks and of the end."""
        totals = self.scanner.finish()
        last = (totals.bytes, totals.records, totals.weight)
        for offset, head in self._waiting:
            self._settle_one(offset, *last, head)
        self._settle_one(totals.bytes, *last, bytearray())
        offset, start, record, third = np.array(self._settled, np.int64).T
        return offset, start, record, third
