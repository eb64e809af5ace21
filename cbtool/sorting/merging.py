"""Merges sorted runs that lie in sources, a window of each in memory; equal keys keep the order of the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from cbtool.errors import FormatError, UsageError
from cbtool.sorting.blocks import Block, Shape, cost_of_record
from cbtool.sorting.keys import Key, Rank
from cbtool.sorting.ordering import PAD
from cbtool.source import Range, Source

LEAST_WINDOW_BYTES = 16 * 1024

Runs = Sequence[tuple[Source, Range]]


def window_bytes(n_runs: int, n_records: int, n_bytes: int, key: Key, room_bytes: int) -> int:
    """Return how much of each run is held at once; UsageError if there are too many runs for the room."""
    mean = max(1, n_bytes // max(1, n_records))
    # What is emitted is there as windows, as a block, and as places and keys of its records.
    window = int(room_bytes / (2.2 + cost_of_record(key) / mean)) // max(1, n_runs)
    if window < LEAST_WINDOW_BYTES:
        raise UsageError(
            f"{n_runs} sorted runs cannot be merged in so little memory", hint="give more: --memory SIZE", runs=n_runs
        )
    return window


def merged(runs: Runs, shape: Shape, key: Key, window: int) -> Iterator[bytes]:
    """Yield the records of all *runs* in order; those with equal keys in the order of the runs."""
    windows = [_Window(source, one, shape, key, window) for source, one in runs]
    readers = max((source.readers for source, _ in runs), default=1)
    with ThreadPoolExecutor(readers) as pool:
        while windows:
            fill: Callable[[_Window], None] = _Window.fill
            for _ in pool.map(fill, windows) if readers > 1 else map(fill, windows):
                pass
            pieces = _take(windows)
            windows = [one for one in windows if one.data or one.more]
            data = b"".join((*pieces, PAD))
            del pieces
            yield from Block(data, shape, key).sorted()
            del data


def _take(windows: Sequence[_Window]) -> list[bytes]:
    """Take from all windows what comes before anything that has not been read."""
    open_ones = [(one.last(), i) for i, one in enumerate(windows) if one.more]
    if not open_ones:
        return [one.take(len(one.data)) for one in windows]
    bound, first = open_ones[0]
    for last, i in open_ones[1:]:
        if last < bound:
            bound, first = last, i
    # More of the bound may follow in the window that it is the last of: those of later runs wait for it.
    return [one.take(one.until(bound, inclusive=i <= first)) for i, one in enumerate(windows)]


class _Window:
    """What is held of one run: whole records."""

    def __init__(self, source: Source, one: Range, shape: Shape, key: Key, size: int) -> None:
        self.source, self.shape, self.key, self.size = source, shape, key, size
        self.at, self.end = one[0], one[0] + one[1]
        self.data = b""

    @property
    def more(self) -> bool:
        return self.at < self.end

    def fill(self) -> None:
        """Read on if half of the window has been taken; a larger one if a record does not fit."""
        size = self.size - len(self.data)
        while self.more and size >= self.size // 2:
            read = self.source.read(self.at, min(size, self.end - self.at))
            whole = len(read) - self.shape.rest([read])
            if whole:
                self.data += read[:whole]
                self.at += whole
            if whole or self.data:
                return
            if size >= self.end - self.at:
                raise FormatError(f"{self.source.uri}: a sorted run ends within a record")
            size *= 2

    def last(self) -> Rank:
        """Return the key of the last record."""
        return self._key(*self.shape.around(self.data, len(self.data) - 1))

    def until(self, bound: Rank, *, inclusive: bool) -> int:
        """Return how many bytes come before *bound*, or with it if *inclusive*."""
        low, high = 0, len(self.data)
        while low < high:
            start, end = self.shape.around(self.data, (low + high) // 2)
            key = self._key(start, end)
            if key < bound or (inclusive and key == bound):
                low = end
            else:
                high = start
        return low

    def take(self, n_bytes: int) -> bytes:
        if n_bytes == len(self.data):
            taken, self.data = self.data, b""
            return taken
        taken, self.data = self.data[:n_bytes], self.data[n_bytes:]
        return taken

    def _key(self, start: int, end: int) -> Rank:
        return self.key.of(self.data[start : end - self.shape.end_bytes])
