"""Pass over a part of a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.detect import partitioner
from cbtool.indexing import pack
from cbtool.source import open_source


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Index one part of one source; the result holds the index."""
    start, length = task["part"]
    with open_source(task["uri"], version=task["version"], unversioned=True) as source:
        index = partitioner(task["format"]).index(source, (start, length))
        source.check()
    return pack(index)
