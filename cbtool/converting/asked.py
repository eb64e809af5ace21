"""What is asked of a conversion, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
