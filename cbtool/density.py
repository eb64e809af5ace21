"""How dense sources are in the plane of a plan's boxes, where their indexes lie on this machine. Knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbtool import sidecar
from cbtool.chunk import Chunk, SourceRanges
from cbtool.detect import rasterizing
from cbtool.errors import CbtoolError
from cbtool.index import Index

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Raster:
    """What lies in the cells of a plane, in the integers of a plan's boxes."""

    counts: NDArray[np.int64]
    """Shape (columns, rows): first x, then y."""
    x_edges: NDArray[np.int64]
    """Where columns begin, and where the last one ends; ascending."""
    y_edges: NDArray[np.int64]
    of: str
    """What is counted: points."""


def raster_of(chunks: Sequence[Chunk], index_to: str | None) -> Raster | None:
    """Return how dense the sources of *chunks* are, from the indexes that the plan was made with.

    None if one of them is not on this machine, is of another version of its source than the plan, or is damaged, and
    for a part of a plan: it makes a picture finer, and nothing depends on it. No source is opened.
    """
    rasterize = rasterizing(chunks[0].format)
    if rasterize is None or chunks[0].of != len(chunks):
        return None
    sources = {source.uri: source for chunk in chunks for source in chunk.sources}
    indexes: dict[str, Index] = {}
    for uri, source in sources.items():
        index = _index(source, index_to)
        if index is None:
            return None
        indexes[uri] = index
    try:
        return rasterize(chunks, indexes)
    except CbtoolError:  # such an index is refused, and made again, where a plan is made
        return None


def _index(source: SourceRanges, index_to: str | None) -> Index | None:
    try:
        return sidecar.find(source, index_to, here_only=True)[0]
    except CbtoolError:
        return None
