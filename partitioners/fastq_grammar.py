"""FASTQ records: four lines each, proven by phase; wrapped records only by reading from the start.

The format: Cock et al., "The Sanger FASTQ file format", Nucleic Acids Research 38 (2010), 1767-1771.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import FormatError, NeedsIndex
from cbtool.partitioners.grammar import Offsets, Scanner, Starts, Totals

AT, PLUS, NEWLINE, RETURN = b"@+\n\r"
SYNC_LINES = 4 * 4 + 5
"""Lines that a window must hold to prove a record's start: four whole records, whatever line it begins with."""


def record_error(where: str, record: int, offset: int, why: str) -> FormatError:
    return FormatError(f"{where}: record {record} (from 1) at byte {offset}: {why}", record=record, offset=offset)


@dataclass(frozen=True)
class Fastq:
    """Strict four-line FASTQ: ``@name``, sequence, ``+``, as many qualities as bases."""

    suffix: str = ".fastq"
    prefix: bytes = b""
    newline: bytes = b"\n"
    third_weight: str | None = "bases"

    def sync(self, window: bytes, offset: int | None, last: bool) -> int | None:
        r"""Return the one phase in which all lines of the window can be records.

        A wrong phase would need a sequence that begins with ``@`` or ``+``, which no alphabet has; so exactly one of
        the four can hold, and it is taken only when the other three are refuted.

        >>> Fastq().sync(b"II\n@b\nAC\n+\n@I\n", None, True)
        3
        """
        starts = [0]
        while len(starts) <= SYNC_LINES and (end := window.find(b"\n", starts[-1])) >= 0:
            starts.append(end + 1)
        lines = [window[a:b].rstrip(b"\r\n") for a, b in zip(starts, starts[1:], strict=False)]
        if len(lines) >= SYNC_LINES:
            last = False
        if last:
            lines += [window[starts[-1] :].rstrip(b"\r")] if starts[-1] < len(window) else []
            while lines and not lines[-1]:
                lines.pop()
            phase = (len(lines) - 1) % 4 + 1
            if len(lines) <= phase:
                return len(window)
            possible = [phase] if could_be(lines, phase) else []
        else:
            possible = [phase for phase in range(1, 5) if could_be(lines, phase)]
            if possible and len(lines) < SYNC_LINES:
                return None
        if len(possible) != 1:
            raise NeedsIndex(f"not four-line FASTQ: {len(possible)} lines of four can be the first of a record")
        return starts[possible[0]]

    def scanner(self, where: str) -> Scanner:
        return FastqScanner(where)

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        scanner = FastqScanner("records")
        rest = b""
        for block in blocks:
            scanner.feed(block)
            lines = (rest + block).split(b"\n")
            whole = (len(lines) - 1) // 4 * 4
            if whole:
                yield _records(lines[:whole], b"\r" in rest or b"\r" in block)
            rest = b"\n".join(lines[whole:])
        scanner.finish()
        if rest.strip():
            yield _records(rest.split(b"\n")[:4], b"\r" in rest)

    def name(self, record: bytes) -> bytes:
        r"""Return the read's name without its mate number.

        >>> Fastq().name(b"@r1/2 x\nA\n+\nI"), Fastq().name(b"@r1 2:N:0\nA\n+\nI")
        (b'r1', b'r1')
        """
        words = record.partition(b"\n")[0][1:].split(None, 1)
        name = words[0] if words else b""
        return name[:-2] if name[-2:] in (b"/1", b"/2") else name


def _records(lines: list[bytes], returns: bool) -> list[bytes]:
    """Return records of four lines each, without *returns*; blank lines at the end of a file are none."""
    lines = [line.rstrip(b"\r") for line in lines] if returns else lines
    fours = zip(lines[0::4], lines[1::4], lines[2::4], lines[3::4], strict=True)
    return [b"\n".join(four) for four in fours if four[0]]


def could_be(lines: list[bytes], phase: int) -> bool:
    """Say whether all of *lines* from line *phase* on can be records, as far as they go."""
    return all(
        title[:1] == b"@"
        and sequence[:1] not in (b"@", b"+")
        and plus[:1] == b"+"
        and (at + 3 >= len(lines) or len(sequence) == len(quality))
        for at in range(phase, len(lines), 4)
        for title, sequence, plus, quality in [(lines[at : at + 4] + [b"", b"+", b""][len(lines[at : at + 4]) - 1 :])]
    )


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
