"""A user's own open file as a source: it lives in this process, and a plan of it stays there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from threading import Lock
from typing import BinaryIO

from cbtool.errors import StaleError, UsageError
from cbtool.source import EDGE_BYTES, STREAM_BLOCK_BYTES, Source


class GivenFile(Source):
    """A seekable binary file object, as from `smart_open`. Its version: its size, and a hash of its two ends.

    Its place is moved by every read; it is not closed with the source.
    """

    def __init__(self, file: BinaryIO) -> None:
        name = getattr(file, "name", None)
        super().__init__(f"given:{name if isinstance(name, str) else 'file'}", 0, "")
        try:
            usable = file.readable() and file.seekable() and isinstance(file.read(0), bytes)
        except (AttributeError, OSError, ValueError):
            usable = False
        if not usable:
            raise UsageError(f"{self.uri}: not a seekable file open for reading bytes", hint="open it with 'rb'")
        self._file, self._lock = file, Lock()
        self.size, self.version = self._look()

    def _look(self) -> tuple[int, str]:
        with self._lock:
            size = self._file.seek(0, 2)
        ends = self._at(0, min(size, EDGE_BYTES)) + self._at(max(0, size - EDGE_BYTES), min(size, EDGE_BYTES))
        return size, "given:" + hashlib.blake2b(b"%d " % size + ends, digest_size=16).hexdigest()

    def _at(self, start: int, length: int) -> bytes:
        data = bytearray()
        with self._lock:
            self._file.seek(start)
            while len(data) < length and (more := self._file.read(length - len(data))):
                data += more
        if len(data) != length:
            raise StaleError(f"{self.uri}: it has become shorter", hint="plan again", uri=self.uri)
        return bytes(data)

    def read(self, start: int, length: int) -> bytes:
        data = self._at(start, length)
        self.meter.add(1, length)
        return data

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        self.meter.add(1, 0)
        for at in range(start, start + length, STREAM_BLOCK_BYTES):
            data = self._at(at, min(STREAM_BLOCK_BYTES, start + length - at))
            self.meter.add(0, len(data))
            yield data

    def check(self) -> None:
        if self._look() != (self.size, self.version):
            raise StaleError(f"{self.uri}: it changed while it was read", hint="plan again", uri=self.uri)

    @property
    def portable(self) -> bool:
        return False
