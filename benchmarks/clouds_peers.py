"""What cbtool is measured beside on point clouds: PDAL's pipelines, and scripts that use a library.

``python -m benchmarks.clouds_peers`` does what such a script of a user would do, and prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, command

BATCH = 2_000_000
RECORDED = {
    "chipper": "13.5 s, 3.1 GB (recorded elsewhere: 22.5 M points)",
    "gdal": "12.4 s for the one, 9.4 s for the other (recorded elsewhere: 22.5 M points)",
}
"""What PDAL 2.2 took when it was last measured, on another machine and cloud."""

Stage = dict[str, Any] | str


def chipper(cloud: str, out: str, capacity: int) -> list[Stage]:
    writer = {"type": "writers.las", "filename": f"{out}/chunk-#.las", "forward": "all"}
    return [
        cloud,
        {"type": "filters.chipper", "capacity": capacity},
        writer | {"minor_version": 4, "dataformat_id": 6},
    ]


def raster(cloud: str, out: str, kept: str, kind: str, box: list[int], resolution: float = 1) -> list[Stage]:
    """Return a pipeline that makes one raster of the points that are *kept*, on the grid of *box*.

    A point counts for cells whose centre is within PDAL's radius: half the diagonal of a cell, the least that leaves
    out no point. A cell thus sees a little beyond its edges.
    """
    x0, y0, x1, y1 = box
    writer = {"type": "writers.gdal", "filename": out, "output_type": kind, "resolution": resolution}
    bounds = f"([{x0},{x1}],[{y0},{y1}])"
    return [
        cloud,
        {"type": "filters.range", "limits": kept},
        writer | {"radius": resolution / 2**0.5, "bounds": bounds},
    ]


def library(what: str, *words: str | Path) -> Cost:
    """Return what this module's own command measured of itself, imports apart; memory is of the whole process."""
    done = command([sys.executable, "-m", "benchmarks.clouds_peers", what, *map(str, words)], tree=True)
    return Cost(done.counts["wall_s"], done.counts["cpu_s"], done.peak_bytes, done.said)


def recode(source: str, target: str) -> dict[str, Any]:
    """Decode all of a LAZ file and encode it again, on all cores, some points at a time."""
    import laspy
    import lazrs

    with laspy.open(source, laz_backend=laspy.LazBackend.LazrsParallel) as reader:
        left, size = reader.header.point_count, reader.header.point_format.size
        vlr = lazrs.LazVlr.new_for_compression(reader.header.point_format.id, 0)
        before, start = cpu_s(), time.perf_counter()
        with open(target, "wb") as file:
            encoder = lazrs.ParLasZipCompressor(file, vlr)
            decoding = 0.0
            while left:
                begun = time.perf_counter()
                points = reader.point_source.read_n_points(min(left, BATCH))
                decoding += time.perf_counter() - begun
                encoder.compress_many(points)
                left -= len(points) // size
            encoder.done()
    return {"wall_s": time.perf_counter() - start, "cpu_s": cpu_s() - before, "decoding_s": decoding}


def query(url: str, target: str, *box: str) -> dict[str, Any]:
    """Write what a COPC file has within a box, as laspy's documentation shows it."""
    import laspy

    x0, y0, x1, y1 = map(float, box)
    with laspy.CopcReader.open(url) as reader:
        points = reader.query(bounds=laspy.copc.Bounds(mins=[x0, y0], maxs=[x1, y1]))
        header = laspy.LasHeader(point_format=reader.header.point_format, version=reader.header.version)
        header.scales, header.offsets = reader.header.scales, reader.header.offsets
    with laspy.open(target, "w", header=header) as writer:
        writer.write_points(points)
    return {"points": len(points)}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["recode", "query"])
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    print(json.dumps(recode(*given.words) if given.what == "recode" else query(*given.words)))
