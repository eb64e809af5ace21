"""Tells where the lines of a stream start."""

from __future__ import annotations

import numpy as np

from cbtool.partitioners.grammar import Starts, Totals
from cbtool.partitioners.lines import Lines


class LineScanner:
    """Tells where lines start. A line's own start is told when the newline before it has been read."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.at = self.records = 0
        self.odd = b""
        self.open = False

    def feed(self, block: bytes | memoryview) -> Starts:
        data = self.odd + block
        base = self.at - len(self.odd)
        starts = self.lines.ends(data) + base
        if self.at == 0 and block:
            starts = np.concatenate([np.zeros(1, np.int64), starts])
        # A newline at the very end starts a line only if something follows: it is told with the next block.
        if self.open and block:
            starts = np.concatenate([np.array([self.at], np.int64), starts])
        end = base + len(data)
        self.open = bool(len(starts)) and int(starts[-1]) == end and end > 0
        if self.open:
            starts = starts[:-1]
        self.at = end
        self.odd = data[len(data) - len(data) % self.lines.unit :] if self.lines.unit > 1 else b""
        self.records += len(starts)
        return Starts(starts, np.zeros(len(starts), np.int64))

    def finish(self) -> Totals:
        return Totals(self.records, 0, self.at)
