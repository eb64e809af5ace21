"""What the extra bytes of records are, by the records that describe them (ASPRS LAS 1.4 R15, section 2.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cbtool.partitioners.las.header import EXTRA_BYTES, RECORD_BYTES, Header

ENTRY_BYTES = 192
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
"""By their numbers, from 1; 11 to 20 are two of one, 21 to 30 three."""
HAS_SCALE, HAS_OFFSET = 0x08, 0x10
UNDESCRIBED, UINT8 = 0, 1
MOST_UNDESCRIBED = 224


@dataclass(frozen=True)
class Extra:
    """One field of the extra bytes. *at* is where it begins in a record; *form* is numpy's, without a byte order."""

    name: str
    form: str
    at: int
    n_bytes: int
    scale: float = 1.0
    offset: float = 0.0


def fields_of(header: Header) -> list[Extra]:
    """Return the fields that lie behind the point format's own: those that are described, then the rest as one.

    Descriptions that reach beyond the record are left out.
    """
    at, end = RECORD_BYTES[header.point_format], header.record_bytes
    found: list[Extra] = []
    for entry in entries_of(header):
        n_bytes, form = _form(entry)
        if not 0 < n_bytes <= end - at:
            break
        scale, offset = struct.unpack_from("<d", entry, 112)[0], struct.unpack_from("<d", entry, 136)[0]
        options = entry[3] if entry[2] else 0
        found.append(
            Extra(
                _text(entry[4:36]) or f"unnamed {len(found)}",
                form,
                at,
                n_bytes,
                scale if options & HAS_SCALE else 1.0,
                offset if options & HAS_OFFSET else 0.0,
            )
        )
        at += n_bytes
    return [*found, Extra("undescribed", f"V{end - at}", at, end - at)] if at < end else found


def entries_of(header: Header) -> list[bytes]:
    """Return the entries of all records that describe extra bytes, 192 bytes each."""
    blocks = [vlr.data for vlr in header.vlrs if vlr.key == EXTRA_BYTES]
    return [data[at : at + ENTRY_BYTES] for data in blocks for at in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES)]


def filling(header: Header) -> list[bytes]:
    """Return entries that describe all extra bytes of a record, one behind the other: the file's own as far as they do
    that, then entries of bytes that nobody described."""
    rest, found, names = header.n_extra, [], set[bytes]()
    for entry in entries_of(header):
        n_bytes, _ = _form(entry)
        if not 0 < n_bytes <= rest or entry[4:36] in names:
            break
        names.add(entry[4:36])
        found.append(entry)
        rest -= n_bytes
    number = 0
    while rest:
        # In the place of their number laspy sees flags too, of which those for 8 and 16 ask for a scale and an offset.
        n_bytes = min(MOST_UNDESCRIBED, rest // 32 * 32) if rest >= 32 else min(7, rest)
        found.append(entry_of(UNDESCRIBED, f"undescribed {number}", "as they were", n_bytes))
        number, rest = number + 1, rest - n_bytes
    return found


def entry_of(kind: int, name: str, what: str, n_bytes: int = 0) -> bytes:
    """Return an entry for a field of the type numbered *kind*; of `UNDESCRIBED` *n_bytes* are given."""
    return struct.pack("<HBB32s4x120x32s", 0, kind, n_bytes, name.encode(), what.encode())


def kept_as(header: Header) -> list[tuple[bytes, ...]]:
    """Return of each entry what says how its bytes are to be read: type, name, no-data value, scale and offset."""
    return [(one[2:36], one[40:64], one[112:136], one[136:160]) for one in entries_of(header)]


def _form(entry: bytes) -> tuple[int, str]:
    """Return the size and the type of the field of *entry*; a size of 0 where nobody has defined it."""
    number = entry[2]
    if number == 0:
        return entry[3], f"V{entry[3]}"
    if number > 3 * len(TYPES):
        return 0, ""
    times, kind = (number - 1) // len(TYPES) + 1, TYPES[(number - 1) % len(TYPES)]
    return times * int(kind[1]), kind if times == 1 else f"({times},){kind}"


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace").strip()
