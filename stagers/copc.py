"""The tasks that make one COPC file: route points to columns, make the nodes of columns, join them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import Destination, open_destination
from cbtool.errors import FormatError
from cbtool.ledger import HOME
from cbtool.reading import checked, chunk_of, opened_sources
from cbtool.source import Source, open_source
from cbtool.spending import waiting_for

STEP = HOME + "copc/"
LAYOUT, COLUMNS = STEP + "layout.json", STEP + "columns.json"
ROUTE, NODES, JOIN = "route", "nodes", "join"


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do the step ``task["step"]`` for ``task["chunk"]``; what all tasks agree on lies in the destination."""
    from cbtool.partitioners.las.copc_layout import from_bytes

    chunk = chunk_of(task)
    destination = open_destination(task["destination"])
    layout = from_bytes(agreed(destination, LAYOUT))
    (name,) = outputs(chunk, task)
    columns = agreed(destination, COLUMNS) if task["step"] == NODES else b""
    with opened_sources(chunk) as sources:
        blocks = STEPS[task["step"]](chunk, sources, layout, columns)
        created = destination.create(name, waiting_for(checked(blocks, sources)))
    return {"step": task["step"], "outputs": [name], "created": created}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of the segment, of the object of nodes, or of the file."""
    return [chunk.name if parameters["step"] == JOIN else STEP + chunk.name]


def agreed(destination: Destination, name: str) -> bytes:
    """Read what all tasks must know."""
    with open_source(destination.locate(name)) as source:
        return source.read(0, source.size)


def _route(chunk: Chunk, sources: Sequence[Source], layout: Any, said: bytes) -> Iterator[bytes]:
    from cbtool.partitioners.las.copc_parts import segment

    return segment(chunk, sources, layout)


def _nodes(chunk: Chunk, sources: Sequence[Source], layout: Any, said: bytes) -> Iterator[bytes]:
    from cbtool.partitioners.las.columns import from_bytes
    from cbtool.partitioners.las.copc_parts import nodes, points_of

    columns, bundle = from_bytes(said), chunk.recipe.get("bundle")
    if type(bundle) is not int or not 0 <= bundle < len(columns):
        raise FormatError(f"chunk {chunk.chunk}: its recipe names no bundle of columns", hint="begin anew: --force")
    return nodes(points_of(chunk, sources, layout.frame), bundle, layout, columns)


def _join(chunk: Chunk, sources: Sequence[Source], layout: Any, said: bytes) -> Iterator[bytes]:
    from cbtool.partitioners.las.copc_join import base_of, joined

    return joined(base_of(chunk, sources[0]), layout, sources[1:])


STEPS = {ROUTE: _route, NODES: _nodes, JOIN: _join}
