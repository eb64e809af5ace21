from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cbtool.source import Source


class BytesSource(Source):
    """An object in memory, which counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__("memory", len(content), "made up")
        self.content = content

    def read(self, start: int, length: int) -> bytes:
        assert 0 <= start and start + length <= self.size
        self.meter.add(1, length)
        return self.content[start : start + length]

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        data = self.read(start, length)
        for at in range(0, length, 1000):
            yield data[at : at + 1000]

    def check(self) -> None:
        """It cannot change."""


@pytest.fixture(scope="session")
def source_of() -> Callable[[bytes], Source]:
    return BytesSource
