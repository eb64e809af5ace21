"""Records that are lines, in any encoding whose newline is one code unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbtool.partitioners.grammar import Scanner

if TYPE_CHECKING:
    from cbtool.partitioners.grammar import Offsets


@dataclass(frozen=True)
class Lines:
    r"""Lines end with ``\n``, one code unit of *unit* bytes; the last may lack it. ``\r`` belongs to its line.

    >>> Lines().sync(b"c\nab\n", 7, False)
    2
    """

    newline: bytes = b"\n"
    prefix: bytes = b""
    suffix: str = ".txt"
    third_weight: str | None = None

    @property
    def unit(self) -> int:
        return len(self.newline)

    def sync(self, window: bytes, offset: int | None, last: bool) -> int | None:
        shift = (offset or 0) % self.unit
        at = window.find(self.newline)
        while at >= 0 and (at + shift) % self.unit:
            at = window.find(self.newline, at + 1)
        if at >= 0:
            return at + self.unit
        return len(window) if last else None

    def scanner(self, where: str) -> Scanner:
        from cbtool.partitioners.line_scanner import LineScanner

        return LineScanner(self)

    def ends(self, block: bytes) -> Offsets:
        """Return the offset after each newline of *block*, which begins on a code unit."""
        import numpy as np

        if self.unit == 1:
            return np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
        units = np.frombuffer(block, f"u{self.unit}", len(block) // self.unit)
        return (np.flatnonzero(units == np.frombuffer(self.newline, units.dtype)) + 1) * self.unit

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        rest = b""
        begun = not self.prefix
        for block in blocks:
            rest += block
            if not begun and len(rest) >= len(self.prefix):
                rest, begun = rest.removeprefix(self.prefix), True
            ends = self.ends(rest)
            if not len(ends):
                continue
            yield self._cut(rest, ends)
            rest = rest[int(ends[-1]) :]
        if rest.removeprefix(b"" if begun else self.prefix):
            yield [rest]

    def _cut(self, data: bytes, ends: Offsets) -> list[bytes]:
        if self.unit == 1:
            return data[: int(ends[-1]) - 1].split(b"\n")
        edges = [0, *ends.tolist()]
        return [data[a : b - self.unit] for a, b in zip(edges, edges[1:], strict=False)]

    def name(self, record: bytes) -> bytes:
        return record
