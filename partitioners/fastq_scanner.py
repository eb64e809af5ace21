"""Reads FASTQ records of four lines, and checks every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import FormatError
from cbtool.partitioners.grammar import Starts, Totals

if TYPE_CHECKING:
    from cbtool.partitioners.grammar import Offsets

AT, PLUS, NEWLINE, RETURN = b"@+\n\r"


class FastqScanner:
    """Checks every record of four lines; counts bases. A record is told when it is whole."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.rest = b""
        self.at = self.records = self.bases = 0

    def feed(self, block: bytes | memoryview) -> Starts:
        return self._take(self.rest + block)

    def _take(self, data: bytes) -> Starts:
        view = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(view == NEWLINE)
        n = len(ends) // 4
        first = np.concatenate([np.zeros(min(n, 1), np.int64), ends[3 : 4 * n - 1 : 4] + 1])
        good, bases = _check(view, first, ends[: 4 * n].reshape(n, 4))
        if not good.all():
            n = int(np.argmin(good))
            at = int(first[n])
            if data[at:].strip(b"\r\n"):
                lines = data[at : int(ends[4 * n + 3])].split(b"\n")
                raise record_error(self.where, self.records + n + 1, self.at + at, explain(lines))
            first, bases = first[:n], bases[:n]
        ends = ends[: 4 * n]
        starts = Starts(first + self.at, self.bases + np.cumsum(bases) - bases)
        used = int(ends[-1]) + 1 if n else 0
        self.rest = data[used:]
        self.at += used
        self.records += n
        self.bases += int(bases.sum())
        return starts

    def finish(self) -> Totals:
        end = self.at + len(self.rest)
        if self.rest.strip(b"\r\n"):
            lines = self.rest.rstrip(b"\n").split(b"\n")
            if len(lines) < 4:
                raise record_error(self.where, self.records + 1, self.at, "the file ends within it")
            ragged = self.rest.endswith(b"\n")
            self._take(self.rest if ragged else _even(self.rest) + b"\n")
        return Totals(self.records, self.bases, end)


def _check(view: NDArray[np.uint8], first: Offsets, ends: Offsets) -> tuple[NDArray[np.bool_], Offsets]:
    """Say which records are right, and their bases; each begins at *first*, its lines end at the columns of *ends*."""
    title, sequence, plus, quality = ends.T
    length = sequence - title - 1
    good = (view[first] == AT) & (view[sequence + 1] == PLUS) & (quality - plus - 1 == length)
    return good, length - ((view[sequence - 1] == RETURN) & (length > 0))


def _even(record: bytes) -> bytes:
    """Give a last line that lacks its newline the CR of the lines above."""
    lines = record.split(b"\n")
    return record + b"\r" if lines[1].endswith(b"\r") and not lines[3].endswith(b"\r") else record


def explain(lines: list[bytes]) -> str:
    """Say what is wrong with four lines that are not a record."""
    if lines[0][:1] != b"@":
        return f"it begins with {lines[0][:20]!r}, not with '@'"
    if lines[2][:1] != b"+":
        return f"its third line begins with {lines[2][:20]!r}, not with '+'"
    n_bases, n_qualities = len(lines[1].rstrip(b"\r")), len(lines[3].rstrip(b"\r"))
    word = "longer" if n_qualities > n_bases else "shorter"
    return f"its quality ({n_qualities}) is {word} than its sequence ({n_bases})"


def record_error(where: str, record: int, offset: int, why: str) -> FormatError:
    return FormatError(f"{where}: record {record} (from 1) at byte {offset}: {why}", record=record, offset=offset)
