"""CloudButton's way to cut a cloud evenly, written anew to be measured beside: ``python -m benchmarks.chipper``.

It is not their code, but what it does: the whole cloud in memory, PDAL's chipper in numpy (halves by rank along the
wider axis), and, for what a chunk carries of its neighbours, one look at all points for each chunk, with set
operations on the numbers of the points. Those points are marked as withheld, whatever they were before.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]


def chip(places: Places, n_chunks: int) -> Iterator[Numbers]:
    """Yield the numbers of the points of each of *n_chunks* chunks, whose sizes differ by one at most.

    Points are sorted once along each axis; each cut keeps both orders, as PDAL does.
    """
    side = np.empty(places.shape[1], np.bool_)

    def cut(orders: list[Numbers], n: int) -> Iterator[Numbers]:
        if n == 1:
            yield orders[0]
            return
        widths = [at[order[-1]] - at[order[0]] for at, order in zip(places, orders, strict=True)]
        wide = int(widths[1] > widths[0])
        middle = len(orders[0]) * (n // 2) // n
        halves = np.split(orders[wide], [middle])
        side[halves[0]], side[halves[1]] = True, False
        first = side[orders[1 - wide]]
        others = orders[1 - wide][first], orders[1 - wide][~first]
        for half, other, part in zip(halves, others, (n // 2, n - n // 2), strict=True):
            yield from cut([other, half] if wide else [half, other], part)

    yield from cut([np.argsort(at) for at in places], n_chunks)


def with_neighbours(places: Places, owned: Numbers, metres: float) -> tuple[Numbers, Numbers]:
    """Return the numbers of what is within *metres* of the box of *owned*: all, and without *owned*."""
    inside = np.ones(places.shape[1], np.bool_)
    for at in places:
        inside &= (at >= at[owned].min() - metres) & (at <= at[owned].max() + metres)
    around = np.setdiff1d(np.flatnonzero(inside), owned)
    return np.union1d(owned, around), around


def write_chunks(path: Path, folder: Path, n_chunks: int, metres: float) -> None:
    """Cut the cloud at *path* into files of *folder*."""
    import laspy

    cloud = laspy.read(path)
    places = np.stack([np.asarray(cloud.x), np.asarray(cloud.y)])
    for number, owned in enumerate(chip(places, n_chunks)):
        kept = owned
        if metres:
            kept, around = with_neighbours(places, owned, metres)
            cloud.withheld[around] = 1
        part = laspy.LasData(cloud.header)
        part.points = cloud.points[kept]
        part.write(folder / f"{path.stem}-{number:05d}.las")
        if metres:
            cloud.withheld[around] = 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=46)
    parser.add_argument("--overlap", type=float, default=0, metavar="METRES")
    given = parser.parse_args()
    write_chunks(given.path, given.folder, given.chunks, given.overlap)
