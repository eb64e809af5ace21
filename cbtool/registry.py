"""Formats, stagers and backends by name: dotted names, imported on use, with the cure beside each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cbtool.errors import ConfigError, UsageError


@dataclass(frozen=True)
class Entry:
    """One row: where the thing is (``module:name``), what it is for, and what to install if it cannot be imported."""

    target: str
    summary: str
    suffixes: tuple[str, ...] = ()
    needs: str | None = None


FORMATS = {
    "fastq": Entry(
        "cbtool.partitioners.fastq:PARTITIONER", "sequencing reads, single or paired; gzip, BGZF", (".fastq", ".fq")
    ),
    "fixed": Entry("cbtool.partitioners.fixed:PARTITIONER", "records of a fixed size, by --as fixed:BYTES; gzip, BGZF"),
    "las": Entry(
        "cbtool.partitioners.las.cloud:PARTITIONER",
        "point clouds: LAS, LAZ, COPC",
        (".las", ".laz"),
        needs="pip install 'cbtool[lidar]'",
    ),
    "text": Entry("cbtool.partitioners.text:PARTITIONER", "lines of any text; gzip, BGZF", (".txt", ".log")),
}
"""In the order in which they are tried on a source."""

CONVERSIONS = {
    "copc": Entry("cbtool.converting.copc:COPC", "point clouds, many as one", needs="pip install 'cbtool[lidar]'"),
    "las": Entry("cbtool.converting.las:LAS", "point clouds, each for itself", needs="pip install 'cbtool[lidar]'"),
    "laz": Entry("cbtool.converting.las:LAZ", "point clouds, each for itself", needs="pip install 'cbtool[lidar]'"),
}
"""By what ``convert --to`` names."""

STAGERS = {
    "command": Entry("cbtool.stagers.command:stage", "run a command on every chunk"),
    "copc": Entry("cbtool.stagers.copc:stage", "make a part of a COPC file, or join its parts"),
    "function": Entry("cbtool.stagers.function:stage", "run a Python function on every chunk"),
    "gather": Entry("cbtool.stagers.gather:stage", "make a chunk's file of what was scattered"),
    "index": Entry("cbtool.stagers.index:stage", "pass over a part of a source"),
    "mosaic": Entry("cbtool.stagers.mosaic:stage", "join a raster of all tiles of a terrain model into a GeoTIFF"),
    "scatter": Entry("cbtool.stagers.scatter:stage", "put the records of a stretch where their chunks find them"),
    "recode": Entry("cbtool.stagers.recode:stage", "write a part of a point cloud as LAS or LAZ, or join its parts"),
    "shuffle": Entry("cbtool.stagers.shuffle:stage", "write the records of a chunk as sorted runs, cut at splitters"),
    "sort": Entry("cbtool.stagers.sort:stage", "merge the sorted runs of a part"),
    "terrain": Entry("cbtool.stagers.terrain:stage", "make the tile of a terrain model from a chunk of a cloud"),
    "verify": Entry("cbtool.stagers.verify:stage", "count and hash the records of a chunk or a source"),
    "write": Entry("cbtool.stagers.write:stage", "write every chunk as a valid file"),
}

BACKENDS = {
    "lambda": Entry("cbtool.backends.aws_lambda.engine:Lambda", "a function of your own on AWS Lambda"),
    "local": Entry("cbtool.backends.local:Local", "worker processes on this machine"),
    "dask": Entry("cbtool.backends.on_dask.engine:Dask", "a Dask cluster", needs="pip install 'cbtool[dask]'"),
    "lithops": Entry(
        "cbtool.backends.on_lithops.engine:Lithops",
        "serverless functions of any cloud, Kubernetes; or this machine",
        needs="pip install 'cbtool[lithops]'",
    ),
}

PREPROCESSORS = {
    "terrain": Entry(
        "cbtool.commands.terrain:terrain",
        "DSM, DTM, CHM, slope, aspect and canopy cover of a point cloud",
        needs="pip install 'cbtool[lidar]'",
    ),
}
"""Each is a command: ``cbtool preprocess NAME``."""

TABLES: Mapping[str, Mapping[str, Entry]] = {
    "partitioners": FORMATS,
    "conversions": CONVERSIONS,
    "stagers": STAGERS,
    "backends": BACKENDS,
    "preprocessors": PREPROCESSORS,
}
KINDS = {
    "partitioners": "format",
    "conversions": "conversion",
    "stagers": "stager",
    "backends": "backend",
    "preprocessors": "preprocessor",
}
"""What one of them is called."""


def entries(kind: str) -> Iterator[tuple[str, Entry]]:
    """Yield ``(name, entry)`` of all of a *kind* (a key of `TABLES`): ours, then third parties'."""
    yield from TABLES[kind].items()
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=f"cbtool.{kind}"), key=lambda one: one.name):
        if point.name not in TABLES[kind]:
            yield point.name, Entry(point.value, f"from {point.dist.name}" if point.dist else "third party")


def find(kind: str, name: str) -> Entry:
    """Return the entry of the *kind* called *name*; UsageError if there is none."""
    known = TABLES[kind] if name in TABLES[kind] else dict(entries(kind))
    if name not in known:
        raise UsageError(f"no {KINDS[kind]} is called {name!r}", hint=f"there are: {', '.join(known)}")
    return known[name]


def load(kind: str, name: str) -> Any:
    """Import the *kind* called *name*; UsageError if there is none, ConfigError if something must be installed."""
    entry = find(kind, name)
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "cbtool":
            raise
        hint = f"install it: {entry.needs}" if entry.needs else None
        raise ConfigError(f"{name} cannot be loaded: {error}", hint=hint) from error
