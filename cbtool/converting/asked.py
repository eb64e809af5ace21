"""What is asked of a conversion, what it may use, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cbtool.destination import Destination
from cbtool.job import Engine, Report
from cbtool.partitioning import Indexer
from cbtool.source import Source

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """Sources that are converted, in this order, and how."""

    sources: Sequence[Source]
    names: Sequence[str]
    """The names of the files that are made: one of all sources together, or one of each."""
    indexer: Indexer
    index_to: str | None = None
    say: Say = lambda note: None
    force: bool = False
    drop_waveform: bool = False
    spacing: str | None = None
    salvage: bool = False


@dataclass(frozen=True)
class Conversion:
    """One row of the table of conversions, imported."""

    suffix: str
    is_one: bool
    """Whether all sources together make one file."""
    convert: Callable[[Asked, Destination, Engine], Report]
    """Make the files in a destination that is this run's; resumed by the same call."""
