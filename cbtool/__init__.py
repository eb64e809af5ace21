"""cbtool: cut big scientific files, where they lie, into chunks, and run jobs over the chunks.

plan = cbtool.partition("s3://bucket/reads.fastq.gz", chunks=64)
for chunk in plan:
    with chunk.open() as stream: ...
results = cbtool.run(plan, function)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbtool.api import partition, read_plan, run, shuffle, verify
    from cbtool.chunk import Chunk
    from cbtool.errors import CbtoolError, ChunksFailed
    from cbtool.plan import Plan
    from cbtool.sorting.keys import Key

HOMES = {
    "partition": "cbtool.api",
    "read_plan": "cbtool.api",
    "run": "cbtool.api",
    "shuffle": "cbtool.api",
    "verify": "cbtool.api",
    "Chunk": "cbtool.chunk",
    "Key": "cbtool.sorting.keys",
    "Plan": "cbtool.plan",
    "CbtoolError": "cbtool.errors",
    "ChunksFailed": "cbtool.errors",
}

__all__ = [
    "CbtoolError",
    "Chunk",
    "ChunksFailed",
    "Key",
    "Plan",
    "partition",
    "read_plan",
    "run",
    "shuffle",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: the command line starts by importing this package."""
    if name not in HOMES:
        raise AttributeError(f"module 'cbtool' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
