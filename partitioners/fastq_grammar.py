"""FASTQ records: four lines each, proven by phase; wrapped records only by reading from the start.

The format: Cock et al., "The Sanger FASTQ file format", Nucleic Acids Research 38 (2010), 1767-1771.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cbtool.errors import NeedsIndex
from cbtool.partitioners.grammar import Scanner

SEQUENCE = re.compile(rb"[A-Za-z.*~-]*")
SYNC_LINES = 4 * 4 + 5
"""Lines that a window must hold to prove a record's start: four whole records, whatever line it begins with."""


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
        from cbtool.partitioners.fastq_scanner import FastqScanner

        return FastqScanner(where)

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        scanner = self.scanner("records")
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


@dataclass(frozen=True)
class WrappedFastq(Fastq):
    """The same records, each to be read in order: a quality line may begin with ``@`` or ``+``."""

    def sync(self, window: bytes, offset: int | None, last: bool) -> int | None:
        raise NeedsIndex("its records run over several lines, so a cut can only be found by reading from the start")

    def scanner(self, where: str) -> Scanner:
        from cbtool.partitioners.wrapped import WrappedScanner

        return WrappedScanner(where)

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        from cbtool.partitioners.wrapped import WrappedScanner

        scanner = WrappedScanner("records", keep=True)
        for block in blocks:
            scanner.feed(block)
            yield scanner.kept
            scanner.kept = []
        scanner.finish()
        yield scanner.kept


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
