"""Blocks of bytes as a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


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


def as_file(blocks: Iterator[bytes]) -> io.BufferedReader:
    """Return *blocks* as a buffered binary file."""
    return io.BufferedReader(BlockFile(blocks), 1 << 20)
