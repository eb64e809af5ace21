"""What is intact of a file that is cut short or damaged: its whole chunks that decode.

Layered chunks (LASzip's compressor 3) say how long they are: behind their first point lie the number of points and
the sizes of the layers. Others (compressor 2) have to be decoded to tell where they end.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cbtool.errors import FormatError
from cbtool.partitioners.las.groups import (
    HEAD_BYTES,
    Groups,
    LasFile,
    decode_groups,
    evlr_ranges,
    file_of,
    fixed_groups,
    groups_of,
)
from cbtool.partitioners.las.header import COPC_INFO, points_at
from cbtool.partitioners.las.soundness import (
    MOST_GROUP_BYTES,
    NEVER_FIRST,
    NEVER_INSIDE,
    layers_at,
    n_layers_of,
)
from cbtool.source import Source

VARIABLE = 0xFFFFFFFF
FEED_BYTES = 8192
"""What lazrs reads at once."""


@dataclass(frozen=True)
class Salvaged:
    """What is left: *file* is as a file would be that holds just that; *n_lost* points of its header are not there."""

    file: LasFile
    groups: Groups
    n_points: int
    n_lost: int


def salvage(source: Source) -> Salvaged:
    """Find what is intact of *source*. All of it is read and decoded; memory is that of a chunk.

    FormatError if its header is not sound, or no point is left. Where the table of chunks is there, those behind a
    damaged one are kept too. A COPC file that has lost its hierarchy is LAZ.
    """
    head = source.read(0, min(HEAD_BYTES, source.size))
    at = points_at(head, source.size, source.uri)
    if at > len(head):
        head += source.read(len(head), at - len(head))
    file = _with_evlrs(file_of(source, head[:at], is_whole=False))
    said = file.header.n_points
    if file.laszip is None:
        n = min(said, (source.size - at) // file.header.record_bytes)
        file = _with(file, n)
        groups = fixed_groups(file.header)
    else:
        file, groups = _compressed(file, file.laszip)
    n = int(groups.count.sum())
    if said and not n:
        raise FormatError(f"{source.uri}: none of its {said} points is intact", hint="copy it again")
    return Salvaged(_with(file, n), groups, n, said - n)


def explained(error: FormatError, source: Source) -> FormatError:
    """Return *error* with how much of *source* is intact, which is found out by reading all of it."""
    try:
        found = salvage(source)
    except FormatError:
        return error
    said = f"{error}; {found.n_points} of its {found.n_points + found.n_lost} points are intact"
    return FormatError(said, hint="cbtool convert --salvage keeps them", **error.facts)


def _with_evlrs(file: LasFile) -> LasFile:
    """Return *file* without its extended records if one of them is cut short."""
    try:
        evlr_ranges(file)
    except FormatError:
        return replace(file, header=replace(file.header, n_evlrs=0, evlrs_at=0))
    return file


def _with(file: LasFile, n_points: int) -> LasFile:
    return replace(file, header=replace(file.header, n_points=n_points))


def _compressed(file: LasFile, laszip: bytes) -> tuple[LasFile, Groups]:
    try:
        groups = groups_of(file)
    except FormatError:
        vlrs = tuple(vlr for vlr in file.header.vlrs if vlr.key != COPC_INFO)
        file = replace(file, header=replace(file.header, vlrs=vlrs))
        ranges = _layered(file, laszip) if n_layers_of(laszip) else _pointwise(file, laszip)
        start, length, count = np.array([*ranges], np.int64).reshape(-1, 3).T
        return file, Groups(start, length, count)
    chunks = zip(*(one.tolist() for one in (groups.start, groups.length, groups.count)), strict=True)
    good = np.array([_decodes(file, *one) for one in chunks], bool)
    nodes = None if groups.nodes is None else groups.nodes[good]
    return file, Groups(groups.start[good], groups.length[good], groups.count[good], nodes)


def _decodes(file: LasFile, start: int, length: int, count: int) -> bool:
    """Say whether a chunk decodes; and ends where it should, where decoding tells where it ends."""
    assert file.laszip is not None
    data = file.source.read(start, length)
    if not n_layers_of(file.laszip):
        return _length(data, file.laszip, count, file.header.record_bytes, file.where) == length
    try:
        decode_groups(file, data, [count], [length])
    except FormatError:
        return False
    return True


def _layered(file: LasFile, laszip: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield start, length and count of the chunks that decode, up to the first that is not whole."""
    n_layers, record_bytes = n_layers_of(laszip), file.header.record_bytes
    (each,) = struct.unpack_from("<I", laszip, 12)
    at, left = file.header.points_at + 8, file.header.n_points
    prefix = record_bytes + 4 + 4 * n_layers
    while left and at + prefix <= file.source.size:
        data = file.source.read(at, prefix)
        (count,) = struct.unpack_from("<I", data, record_bytes)
        sizes = layers_at(data, record_bytes, count, n_layers) or []
        length = prefix + sum(sizes)
        if count != min(each, left) if each != VARIABLE else not 0 < count <= left:
            return
        if at + length > file.source.size or max(length, count * record_bytes) > MOST_GROUP_BYTES:
            return
        if _decodes(file, at, length, count):
            yield at, length, count
        at, left = at + length, left - count


def _pointwise(file: LasFile, laszip: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield start, length and count of the chunks up to the first that does not decode."""
    record_bytes = file.header.record_bytes
    (each,) = struct.unpack_from("<I", laszip, 12)
    at, left = file.header.points_at + 8, file.header.n_points
    while left and each != VARIABLE:
        count = min(each, left)
        if count * record_bytes > MOST_GROUP_BYTES:
            return
        data = file.source.read(at, min(file.source.size - at, count * record_bytes + FEED_BYTES))
        length = _length(data, laszip, count, record_bytes, file.where)
        if length is None:
            return
        yield at, length, count
        at, left = at + length, left - count


def _length(data: bytes, laszip: bytes, count: int, record_bytes: int, where: str) -> int | None:
    """Return how long the chunk of *count* points is that *data* begins with; None if it does not decode."""
    import lazrs

    from cbtool.partitioners.las.codec import decoding

    if data[record_bytes : record_bytes + 4] == NEVER_FIRST:
        return None
    end = data.find(NEVER_INSIDE, record_bytes)
    data = data if end < 0 else data[:end]
    out = np.zeros(count * record_bytes, np.uint8)
    slowly_from = len(data) + 8
    try:
        for _ in range(2):  # it ends inside the last block that was read: the second time that is fed byte by byte
            feed = Feed(bytes(8) + data, slowly_from)
            with decoding(where):
                lazrs.LasZipDecompressor(feed, laszip).decompress_many(out)
            slowly_from = feed.last
    except FormatError:
        return None
    return feed.at - 8


class Feed:
    """A file for lazrs to read from, which remembers how far it was read: byte by byte from *slowly_from* on."""

    def __init__(self, data: bytes, slowly_from: int) -> None:
        self.at = self.last = 0
        self._data, self._slowly_from = data, slowly_from

    def read(self, n: int = -1) -> bytes:
        self.last = self.at
        n = 1 if self.at >= self._slowly_from else min(n, self._slowly_from - self.at)
        block = self._data[self.at : self.at + n]
        self.at += len(block)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        """Refuse: lazrs would go and look for a chunk table, and take what it finds for one."""
        raise io.UnsupportedOperation("seek")
