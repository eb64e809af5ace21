"""Where to cut so that the weights come out even. Used by every format; knows none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUTO_CHUNK_BYTES = 64_000_000


def even(total: int, n_chunks: int) -> list[int]:
    """Return the weights at which *total* is cut into *n_chunks* even parts: fewer if there is less than one a part.

    >>> even(10, 4)
    [3, 5, 8]
    >>> even(2, 5)
    [1]
    """
    n = max(1, min(n_chunks, total))
    return [(2 * total * k + n) // (2 * n) for k in range(1, n)]


def multiples(total: int, step: int) -> list[int]:
    """Return the multiples of *step* that lie inside *total*.

    >>> multiples(10, 4)
    [4, 8]
    """
    return list(range(step, total, step))


def count_for_size(total_bytes: int, chunk_bytes: int) -> int:
    """Return how many even chunks are each at most *chunk_bytes*."""
    return max(1, -(-total_bytes // chunk_bytes))


def auto(read_bytes: int, workers: int) -> int:
    """Return design's `--chunks auto`: one chunk for 64 MB that a worker reads, rounded up to a multiple of *workers*.

    >>> auto(200_000_000, 3)
    6
    """
    return -(-count_for_size(read_bytes, AUTO_CHUNK_BYTES) // workers) * workers


def line(places: NDArray[np.int64], targets: Sequence[int]) -> NDArray[np.intp]:
    """Return for each target the index of the nearest of *places* (sorted weights where a cut may lie).

    >>> import numpy as np
    >>> line(np.array([0, 10, 20]), [4, 6, 99]).tolist()
    [0, 1, 2]
    """
    import numpy as np

    wanted = np.asarray(targets, np.int64)
    right = np.clip(np.searchsorted(places, wanted), 1, max(1, len(places) - 1))
    if len(places) < 2:
        return np.zeros(len(wanted), np.intp)
    return right - (wanted - places[right - 1] <= places[right] - wanted)
