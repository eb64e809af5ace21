"""FASTQ whose sequences and qualities run over several lines: ambiguous anywhere but from its start."""

from __future__ import annotations

import numpy as np

from cbtool.errors import FormatError
from cbtool.partitioners.fastq_grammar import SEQUENCE
from cbtool.partitioners.fastq_scanner import record_error
from cbtool.partitioners.grammar import Starts, Totals


class WrappedScanner:
    """Reads line by line: title, sequence up to the ``+`` line, then exactly as many qualities as bases."""

    def __init__(self, where: str, keep: bool = False) -> None:
        self.where, self.keep = where, keep
        self.kept: list[bytes] = []
        self.rest = b""
        self.at = self.begin = self.records = self.bases = 0
        self.lines: list[bytes] = []
        self.n_bases = self.n_qualities = 0
        self.in_quality = self.blank = False

    def feed(self, block: bytes | memoryview) -> Starts:
        lines = (self.rest + block).split(b"\n")
        self.rest = lines.pop()
        found = [one for line in lines if (one := self._line(line.rstrip(b"\r"), len(line) + 1))]
        return Starts(*(np.array([one[i] for one in found], np.int64) for i in (0, 1)))

    def _line(self, line: bytes, length: int) -> tuple[int, int] | None:
        start, self.at = self.at, self.at + length
        if not self.lines:
            self.begin = start
            if not line:
                self.blank = self.records > 0
                return None
            if line[:1] != b"@" or self.blank:
                raise self._wrong(f"it begins with {line[:20]!r}, not with '@'" if line[:1] != b"@" else "a blank line")
            self.lines = [line]
        elif self.in_quality:
            self.lines.append(line)
            self.n_qualities += len(line)
            if self.n_qualities >= self.n_bases:
                return self._end()
        elif line[:1] == b"+":
            self.lines.append(b"+")
            self.in_quality = True
        elif SEQUENCE.fullmatch(line):
            self.lines.append(line)
            self.n_bases += len(line)
        else:
            raise self._wrong(f"its sequence holds {line[:20]!r}")
        return None

    def _end(self) -> tuple[int, int]:
        if self.n_qualities != self.n_bases:
            raise self._wrong(f"its quality ({self.n_qualities}) is longer than its sequence ({self.n_bases})")
        if self.keep:
            self.kept.append(b"\n".join(self.lines))
        told = self.begin, self.bases
        self.records += 1
        self.bases += self.n_bases
        self.lines, self.n_bases, self.n_qualities, self.in_quality = [], 0, 0, False
        return told

    def finish(self) -> Totals:
        if self.rest:
            # Complete already: a quality without its newline. Its start was known when its title was read.
            self._line(self.rest.rstrip(b"\r"), len(self.rest))
            self.rest = b""
        if self.lines:
            raise self._wrong("the file ends within it")
        return Totals(self.records, self.bases, self.at)

    def _wrong(self, why: str) -> FormatError:
        return record_error(self.where, self.records + 1, self.begin, why)
