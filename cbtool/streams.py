"""Blocks of bytes, and sources, as files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbtool.source import Source


class BlockFile(io.RawIOBase):
    """Reads what an iterator yields, in order."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


class SourceFile(io.RawIOBase):
    """A source as a file that can be read from anywhere, for libraries that want one: a read is a request."""

    def __init__(self, source: Source) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        n = max(0, min(len(buffer), self._source.size - self._at))
        if n:
            buffer[:n] = self._source.read(self._at, n)
            self._at += n
        return n


def as_file(blocks: Iterator[bytes]) -> io.BufferedReader:
    """Return *blocks* as a buffered binary file."""
    return io.BufferedReader(BlockFile(blocks), 1 << 20)
