"""Windows of checkpoints, as they are kept."""

from __future__ import annotations

import zlib

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.deflate import WINDOW_BYTES


def pack_window(window: bytes) -> bytes:
    """Compress a window, to be kept."""
    return zlib.compress(window, 6)


def unpack_window(packed: bytes) -> bytes:
    """Return a window that was packed. What is not one, or longer than 32 KiB, is refused."""
    stream = zlib.decompressobj()
    try:
        window = stream.decompress(packed, WINDOW_BYTES + 1)
    except zlib.error:
        window = b""
    if not stream.eof or stream.unused_data or len(window) > WINDOW_BYTES:
        raise FormatError("a window of a gzip index is damaged", hint="make the index again")
    return window
