"""Records of a fixed number of bytes, one after another and nothing between: ``--as fixed:100``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cbtool.asked import Options
from cbtool.errors import FormatError, NeedsIndex, UsageError
from cbtool.index import Index
from cbtool.partitioners.cuts import Track
from cbtool.partitioners.grammar import Starts, Totals
from cbtool.partitioners.plain import Plain
from cbtool.partitioners.stream import Stream
from cbtool.source import Source

MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Fixed:
    """Records of *record_bytes*; any bytes may be in them.

    >>> Fixed(10).sync(bytes(30), 25, False)
    5
    """

    record_bytes: int
    newline: bytes = b""
    prefix: bytes = b""
    suffix: str = ".bin"
    third_weight: str | None = None

    def sync(self, window: bytes, offset: int | None, last: bool) -> int | None:
        if offset is None:
            raise NeedsIndex("a record of fixed size can only be told by its place in the stream")
        found = self.record_bytes - offset % self.record_bytes
        if found <= len(window):
            return found
        return len(window) if last else None

    def scanner(self, where: str) -> FixedScanner:
        return FixedScanner(self.record_bytes, where)

    def split(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        n, rest = self.record_bytes, b""
        for block in blocks:
            rest += block
            whole = len(rest) - len(rest) % n
            yield [rest[at : at + n] for at in range(0, whole, n)]
            rest = rest[whole:]
        if rest:
            raise FormatError(f"the last record has {len(rest)} of {n} bytes")

    def name(self, record: bytes) -> bytes:
        return record


class FixedScanner:
    """Tells where records start."""

    def __init__(self, record_bytes: int, where: str) -> None:
        self.record_bytes, self.where, self.at = record_bytes, where, 0

    def feed(self, block: bytes | memoryview) -> Starts:
        n, first = self.record_bytes, -(-self.at // self.record_bytes)
        self.at += len(block)
        starts = np.arange(first, -(-self.at // n), dtype=np.int64) * n
        return Starts(starts, np.zeros(len(starts), np.int64))

    def finish(self) -> Totals:
        if self.at % self.record_bytes:
            raise _not_whole(self.where, self.at, self.record_bytes)
        return Totals(self.at // self.record_bytes, 0, self.at)


def _not_whole(where: str, size: int, record_bytes: int) -> FormatError:
    return FormatError(
        f"{where}: {size} bytes are not whole records of {record_bytes}: {size % record_bytes} are left over",
        hint="is it cut short, or are its records of another size?",
    )


class FixedSize(Stream):
    """The partitioner for one size; *record_bytes* 0 is that of no size, which only makes others."""

    def __init__(self, record_bytes: int = 0) -> None:
        how = {"record_bytes": record_bytes}
        super().__init__(f"fixed:{record_bytes}", ("bytes", "records"), lambda head: how, lambda _: Fixed(record_bytes))
        self.record_bytes = record_bytes

    def of(self, size: str) -> FixedSize:
        """Return the partitioner for records of *size* bytes, as in ``fixed:100``."""
        if not (size.isascii() and size.isdecimal() and len(size) <= 7 and 1 <= int(size) <= MOST_BYTES):
            raise UsageError(f"fixed:{size}: not a number of bytes from 1 to {MOST_BYTES}", hint="as in fixed:100")
        return FixedSize(int(size))

    def sniff(self, head: bytes, uri: str) -> bool:
        return False

    def needs_index(self, source: Source, options: Options) -> str | None:
        if source.size and not isinstance(self._track(source, None).container, Plain):
            if options.on_the_fly:
                raise UsageError(f"{source.uri}: is compressed: fixed records in it are not found on the fly")
            return "where records lie in a compressed source is only known from its start"
        return super().needs_index(source, options)

    def _track(self, source: Source, index: Index | None) -> Track:
        if not self.record_bytes:
            raise UsageError("fixed: of how many bytes?", hint="as in --as fixed:100")
        if index and index.facts.get("how") != {"record_bytes": self.record_bytes}:
            raise FormatError(
                f"{source.uri}: its index is not one of fixed:{self.record_bytes}",
                hint=f"make it again: cbtool index --force --as fixed:{self.record_bytes}",
            )
        track = super()._track(source, index)
        if isinstance(track.container, Plain) and source.size % self.record_bytes:
            raise _not_whole(source.uri, source.size, self.record_bytes)
        return track


PARTITIONER: Any = FixedSize()
