"""What a stream format must say of its records: pure functions of bytes, which know no storage and no compression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Starts:
    """Record starts found in order: their offsets, and the weight of all records before each."""

    offset: Offsets
    weight: Offsets


@dataclass(frozen=True)
class Totals:
    """What a scan counted: records, their weight, and the bytes they fill."""

    records: int
    weight: int
    bytes: int


class Scanner(Protocol):
    """Reads a stream block by block, from the start of a record to the end of one, and checks every record."""

    def feed(self, block: bytes | memoryview) -> Starts:
        """Return the records that start in the bytes so far and were not told yet."""

    def finish(self) -> Totals:
        """Say that the stream has ended; FormatError if it ends within a record."""


class Grammar(Protocol):
    """How records lie in a plain byte stream."""

    @property
    def suffix(self) -> str:
        """What a chunk's name ends with."""

    @property
    def prefix(self) -> bytes:
        """What every file of this format begins with, and a chunk must begin with too (a byte order mark)."""

    @property
    def newline(self) -> bytes:
        """What a last record that lacks its end is given where more follows."""

    @property
    def third_weight(self) -> str | None:
        """What is counted besides bytes and records (``bases``)."""

    def sync(self, window: bytes, offset: int | None, last: bool) -> int | None:
        """Return where in *window* the first record starts, not counting one that starts with it.

        *offset* is the place of the window in the stream, None if unknown. *last*: the stream ends with the window;
        its end counts as a start. None: the window is too short to tell. NeedsIndex if no place can be proven.
        """

    def scanner(self, where: str) -> Scanner:
        """Return a scanner for the stream that messages call *where*."""

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Yield the canonical bytes of the records of a stream that starts with a record."""

    def name(self, record: bytes) -> bytes:
        """Return what mates of a pair share."""
