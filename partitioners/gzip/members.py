"""Gzip members: the blocks of BGZF (SAM specification, 4.1), and where a member begins."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NoReturn

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.header import MAGIC, header_end
from cbtool.source import Source

BGZF_MOST_BYTES = 1 << 16

_FIRST_LOOK_BYTES = 128 * 1024
_MOST_LOOK_BYTES = 4 << 20


def is_gzip(head: bytes) -> bool:
    """Say whether *head* begins with a member header, as far as it goes (two bytes at least)."""
    return len(head) >= 2 and MAGIC.startswith(head[:3])


def is_bgzf(head: bytes) -> bool:
    """Say whether *head* begins with the header of a BGZF block."""
    return bgzf_size(head, 0) is not None


def bgzf_size(buffer: bytes, at: int) -> int | None:
    """Return the length in bytes of the BGZF block at *at*, or None if there is no header of one."""
    if buffer[at : at + 4] != MAGIC + b"\x04" or len(buffer) < at + 12:
        return None
    field, end = at + 12, at + 12 + int.from_bytes(buffer[at + 10 : at + 12], "little")
    while field + 4 <= min(end, len(buffer)):
        length = int.from_bytes(buffer[field + 2 : field + 4], "little")
        if buffer[field : field + 2] == b"BC" and length == 2 and field + 6 <= min(end, len(buffer)):
            return int.from_bytes(buffer[field + 4 : field + 6], "little") + 1
        field += 4 + length
    return None


def bgzf_sync(source: Source, at: int, limit: int) -> int | None:
    """Return where the first BGZF block that starts in ``[at, limit)`` starts, or None.

    A block counts when the next one lies where it says, and the one after that, to the third or the end of the file.
    """
    return _search(source, at, limit, _is_chain)


def _is_chain(buffer: bytes, at: int, to_end: bool) -> bool | None:
    """Say whether three BGZF blocks follow each other at *at*; None if *buffer* is too short to say."""
    for _ in range(3):
        if to_end and at == len(buffer):
            return True
        size = bgzf_size(buffer, at)
        if size is None:
            return None if not to_end and len(buffer) < at + BGZF_MOST_BYTES else False
        at += size
        if at > len(buffer):
            return False if to_end else None
    return True


def bgzf_sizes(source: Source, start: int, stop: int) -> tuple[list[int], list[int]]:
    """Return the offset and the uncompressed size of each BGZF block in ``[start, stop)``, both ends of blocks.

    One request; nothing is inflated, so the sizes are what the blocks say of themselves.
    """
    offsets: list[int] = []
    sizes: list[int] = []
    base, buffer = start, b""
    for block in source.stream(start, stop - start):
        buffer += block
        at = 0
        while (size := bgzf_size(buffer, at)) is not None and at + size <= len(buffer):
            offsets.append(base + at)
            at += size
            sizes.append(int.from_bytes(buffer[at - 4 : at], "little"))
            if sizes[-1] > BGZF_MOST_BYTES:
                _not_bgzf(source, offsets[-1])
        base, buffer = base + at, buffer[at:]
        if len(buffer) >= 2 * BGZF_MOST_BYTES:
            _not_bgzf(source, base)
    if buffer:
        _not_bgzf(source, base)
    return offsets, sizes


def _not_bgzf(source: Source, at: int) -> NoReturn:
    raise FormatError(f"{source.uri}: no whole BGZF block at byte {at}", uri=source.uri, offset=at)


def member_sync(source: Source, at: int, limit: int) -> int | None:
    """Return where a member starts, the first in ``[at, limit)`` whose header is whole and whose data inflates.

    Compressed data can hold what looks like a member; decoding up to it proves it or not.
    """
    return _search(source, at, limit, _inflates)


def _inflates(buffer: bytes, at: int, to_end: bool) -> bool | None:
    try:
        end = header_end(buffer, at)
        if end is None:
            return False if to_end else None
        trial = zlib.decompressobj(-15)
        trial.decompress(buffer[end : end + _FIRST_LOOK_BYTES], _FIRST_LOOK_BYTES)
    except (ValueError, zlib.error):
        return False
    return True


def _search(source: Source, at: int, limit: int, check: Callable[[bytes, int, bool], bool | None]) -> int | None:
    """Return the first place in ``[at, limit)`` with a magic number for which *check* says yes.

    *check* gets a buffer, a place in it, and whether the file ends with it; it says None to see more.
    """
    base, buffer, length = at, b"", _FIRST_LOOK_BYTES
    while base + len(buffer) < source.size:
        more = min(length, source.size - base - len(buffer))
        buffer += source.read(base + len(buffer), more)
        to_end = base + len(buffer) == source.size
        place = buffer.find(MAGIC)
        while place >= 0 and base + place < limit and (verdict := check(buffer, place, to_end)) is not None:
            if verdict:
                return base + place
            place = buffer.find(MAGIC, place + 1)
        if place < 0:
            place = max(0, len(buffer) - len(MAGIC) + 1)
        if base + place >= limit:
            return None
        base, buffer, length = base + place, buffer[place:], min(2 * length, _MOST_LOOK_BYTES)
    return None
