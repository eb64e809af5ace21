"""The header of a gzip member (RFC 1952)."""

from __future__ import annotations

import zlib

MAGIC = b"\x1f\x8b\x08"
TRAILER_BYTES = 8
LONGEST_HEADER_BYTES = 1 << 20
"""RFC 1952 sets no limit to a file name or comment; a header without an end must not fill the memory."""

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


def header_end(buffer: bytes, at: int = 0) -> int | None:
    """Return where the member header at *at* ends, or None when *buffer* ends before it.

    ValueError says what is wrong with it.
    """
    if not MAGIC.startswith(buffer[at : at + 3]):
        raise ValueError(f"no gzip member: it begins with {buffer[at : at + 4]!r}")
    if len(buffer) < at + 10:
        return None
    flags = buffer[at + 3]
    if flags & _RESERVED:
        raise ValueError(f"a gzip header with unknown flags 0x{flags:02x}")
    end = at + 10
    if flags & _FEXTRA:
        if len(buffer) < end + 2:
            return None
        end += 2 + int.from_bytes(buffer[end : end + 2], "little")
    for field in (_FNAME, _FCOMMENT):
        if flags & field:
            end = buffer.find(b"\0", end) + 1 if end <= len(buffer) else 0
            if not end:
                _check_header_length(len(buffer) - at)
                return None
    if flags & _FHCRC:
        end += 2
        if end <= len(buffer):
            _check_header_crc(buffer[at : end - 2], buffer[end - 2 : end])
    return end if end <= len(buffer) else None


def _check_header_length(n_bytes: int) -> None:
    if n_bytes > LONGEST_HEADER_BYTES:
        raise ValueError("a gzip header without an end")


def _check_header_crc(header: bytes, stored: bytes) -> None:
    if zlib.crc32(header) & 0xFFFF != int.from_bytes(stored, "little"):
        raise ValueError("a gzip header with a wrong checksum")
