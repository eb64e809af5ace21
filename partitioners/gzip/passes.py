"""Passes over a compressed stream that make the marks of its index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from cbtool.partitioners.container import Marks, Place
from cbtool.partitioners.grammar import Grammar
from cbtool.partitioners.gzip.inflate import Checkpoint, Inflater, decode
from cbtool.partitioners.gzip.stretches import Stretch
from cbtool.partitioners.gzip.survey import Found
from cbtool.partitioners.marking import MarkMaker
from cbtool.source import Source

BGZF_MARK_BYTES = 256 * 1024


def survey_members(source: Source, parts: Iterable[Stretch], grammar: Grammar) -> Marks:
    """Take any gzip in order, in *parts*: marks at checkpoints, each with its window."""
    maker = MarkMaker(grammar.scanner(source.uri), heads=True)
    crc = 0
    crcs: list[int] = []
    points: list[Found] = []
    for found, block in parts:
        for point in found:
            maker.mark(point[1])
            crcs.append(crc)
        points += found
        maker.feed(block)
        crc = isal_zlib.crc32(block, crc)
    own: dict[str, NDArray[Any]] = {
        "bit": np.array([bit for bit, _, _ in points] + [source.size * 8], np.int64),
        "inside": np.array([window is not None for _, _, window in points] + [False], np.uint8),
        "crc": np.array([*crcs, crc], np.uint32),
        **_strings("window", [window or b"" for _, _, window in points]),
    }
    columns = maker.finish()
    return Marks(*columns, own | _strings("head", maker.heads))


def survey_blocks(source: Source, first: Place, last: Place, grammar: Grammar) -> Marks:
    """Pass over the BGZF blocks from *first* to *last*: marks at the beginnings of blocks."""
    maker = MarkMaker(grammar.scanner(source.uri), heads=True)
    inflater = Inflater(Checkpoint(first.at, None), source.uri)
    begin, end = first.at // 8, last.at // 8
    bits: list[int] = []
    crcs: list[int] = []
    fed, crc = -first.skip, 0

    def take(data: bytes) -> None:
        nonlocal crc
        maker.feed(data)
        crc = isal_zlib.crc32(data, crc)

    for block in source.stream(begin, end - begin) if end > begin else ():
        for piece in inflater.feed(block):
            byte = inflater.starts[-1][0] if inflater.starts else 0
            if inflater.starts and fed >= 0 and (not bits or byte * 8 - bits[-1] >= BGZF_MARK_BYTES * 8):
                maker.mark(fed)
                bits.append(byte * 8)
                crcs.append(crc)
            inflater.starts.clear()
            if fed + len(piece) > 0:
                take(piece[max(0, -fed) :])
            fed += len(piece)
    if end == source.size and end > begin:
        inflater.finish()
    take(_head(source, last))
    columns = maker.finish()
    own: dict[str, NDArray[Any]] = {
        "bit": np.array([*bits, last.at], np.int64),
        "crc": np.array([*crcs, crc], np.uint32),
    }
    return Marks(*columns, own | _strings("head", maker.heads))


def _head(source: Source, last: Place) -> bytes:
    """Return the plain bytes between the block where *last* is reached from and its record."""
    if last.head is not None:
        return last.head
    assert last.after
    begin, end = last.at // 8, last.after[0] // 8
    final = None if end == source.size else last.after
    data = b"".join(decode(source.stream(begin, end - begin), Checkpoint(last.at, None), final, source.uri))
    return data[: last.skip]


def _strings(name: str, values: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """Return byte strings as two arrays: where each begins (one more than there are), and all of them joined."""
    at = np.cumsum([0, *(len(value) for value in values)], dtype=np.int64)
    return {f"{name}_at": at, f"{name}s": np.frombuffer(b"".join(values), np.uint8)}
