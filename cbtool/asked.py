"""What a user asks of a partition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What was asked of a partition. At most one of *chunks*, *size*, *records* is given; *chunks* may be "auto"."""

    chunks: int | str | None = None
    size: int | None = None
    records: int | None = None
    by: str | None = None
    overlap: str | None = None
    shape: str | None = None
    only: str | None = None
    on_the_fly: bool = False
    paired: bool = False
    name: str | None = None
    workers: int = 1


@dataclass(frozen=True)
class Takes:
    """What a format takes of the options that not every format has."""

    overlap: bool = False
    shapes: tuple[str, ...] = ()
    """What ``--shape`` may name; the first is the default."""
    only: tuple[str, ...] = ()
    """The kinds of region, those of `cbtool.only`: bbox, polygons, window, pixels, interval."""
