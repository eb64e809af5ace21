"""Keep the window of a checkpoint small: only bytes that the data after it copy from there are needed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cbtool.partitioners.gzip.deflate import WINDOW_BYTES, InflateError, deflate_from
from cbtool.partitioners.gzip.inflate import Checkpoint

_PLACES = np.arange(WINDOW_BYTES)
_LOW = (_PLACES & 0xFF).astype(np.uint8).tobytes()
_FLIPPED = (~_PLACES & 0xFF).astype(np.uint8).tobytes()
_HIGH = (_PLACES >> 8).astype(np.uint8).tobytes()


def thin(checkpoint: Checkpoint, following: bytes) -> bytes:
    """Return the window of *checkpoint* with zeros for the bytes that are not needed.

    *following* are the bytes of the file from the checkpoint's on: as many as decode to 32 KiB or to the end
    of the member; with fewer, the window is returned as it is. Decoding with windows that hold their own places
    shows which bytes are copied, and from where.
    """
    window = checkpoint.window or b""
    low = _decoded(checkpoint, following, _LOW)
    if low is None or not window:
        return window
    high, flipped = (_decoded(checkpoint, following, w) for w in (_HIGH, _FLIPPED))
    if high is None or flipped is None:
        return window
    copied = low != flipped
    places = low[copied].astype(np.int64) | high[copied].astype(np.int64) << 8
    dense = np.zeros(WINDOW_BYTES, np.uint8)
    dense[WINDOW_BYTES - len(window) :] = np.frombuffer(window, np.uint8)
    sparse = np.zeros(WINDOW_BYTES, np.uint8)
    sparse[places] = dense[places]
    return sparse[WINDOW_BYTES - len(window) :].tobytes()


def _decoded(checkpoint: Checkpoint, following: bytes, window: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the first 32 KiB from the checkpoint on, as they would be after *window*; None if they are not there."""
    try:
        stream, data = deflate_from(checkpoint.bit % 8, window, following)
        made = stream.decompress(data, WINDOW_BYTES)
    except InflateError:
        return None
    return np.frombuffer(made, np.uint8) if stream.eof or len(made) == WINDOW_BYTES else None
