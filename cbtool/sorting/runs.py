"""An object of sorted runs, each cut at the same splitters, with an index at its end: what a mapper writes.

    run 0: part 0, part 1, … | run 1: part 0, part 1, … | … | index | trailer

The index is, for each run, where its parts begin and the last one ends, in bytes of the object and in records of the
run. The trailer says how many runs and parts there are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cbtool.errors import FormatError
from cbtool.sorting.blocks import Block
from cbtool.sorting.ordering import Offsets
from cbtool.source import Source

TRAILER = struct.Struct("<8sQQ")
MAGIC = b"cbtruns1"
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Index:
    """Where the parts of the runs lie: arrays of ``(runs, parts + 1)``."""

    offset: Offsets
    record: Offsets


class Writer:
    """Writes blocks as the runs of one object, and knows afterwards what it wrote."""

    def __init__(self, splitters: Sequence[bytes]) -> None:
        self.splitters = splitters
        self.records = self.n_bytes = self.runs = 0

    def blocks(self, source: Iterator[Block]) -> Iterator[bytes]:
        """Yield the content of the object: one run a block of *source*, the index, the trailer."""
        offsets: list[Offsets] = []
        records: list[Offsets] = []
        for block in source:
            at, number = block.cuts(self.splitters)
            offsets.append(at + self.n_bytes)
            records.append(number)
            self.n_bytes, self.records = int(offsets[-1][-1]), self.records + len(block)
            yield from block.sorted()
            del block  # before the next is read
        self.runs = len(offsets)
        shape = (self.runs, len(self.splitters) + 2)
        for arrays in (offsets, records):
            yield np.array(arrays, "<i8").reshape(shape).tobytes()
        yield TRAILER.pack(MAGIC, self.runs, len(self.splitters) + 1)


def read_index(source: Source) -> Index:
    """Read the index of an object of runs: one read, or two if it is large; FormatError if it is none."""
    tail = source.read(max(0, source.size - TAIL_BYTES), min(TAIL_BYTES, source.size))
    if len(tail) < TRAILER.size:
        raise _none(source)
    magic, runs, parts = TRAILER.unpack(tail[-TRAILER.size :])
    size = 16 * runs * (parts + 1)
    if magic != MAGIC or size + TRAILER.size > source.size:
        raise _none(source)
    start = source.size - TRAILER.size - size
    if size + TRAILER.size > len(tail):
        tail = source.read(start, source.size - start)
    arrays = np.frombuffer(tail, "<i8", size // 8, len(tail) - TRAILER.size - size).astype(np.int64)
    offset, record = arrays.reshape(2, runs, parts + 1)
    if (np.diff(offset) < 0).any() or (np.diff(record) < 0).any() or (arrays < 0).any() or (offset > start).any():
        raise _none(source)
    return Index(offset, record)


def _none(source: Source) -> FormatError:
    return FormatError(f"{source.uri}: is no object of sorted runs", hint="was it edited? begin anew: --force")
