"""Runs a user's Python function on a chunk."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.errors import TaskFailed
from cbtool.reading import chunk_of


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Call ``task["function"]`` with the chunk.

    Without a destination what it returns is the result, pickled; with one, the bytes or text it returns are the output.
    """
    chunk = chunk_of(task)
    value = _unpacked(task["function"])(chunk)
    if task.get("destination") is None:
        return {"value": pack(value)}
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise TaskFailed(
            f"the function returned {type(value).__name__}, which is no content of a file",
            hint="return bytes or str, or run it without a destination",
        )
    made = outputs(chunk, task)
    return {"outputs": made, "created": open_destination(task["destination"]).create(made[0], [value])}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the name of what the function makes of *chunk*."""
    return [chunk.stem + parameters.get("ext", "")]


def pack(value: Any) -> str:
    """Return *value*, by cloudpickle, as text for a task or a result."""
    import cloudpickle

    return base64.b64encode(cloudpickle.dumps(value)).decode()


def unpack(text: str) -> Any:
    """Return what was packed; only for what this program's own workers and drivers say to one another."""
    import pickle

    return pickle.loads(base64.b64decode(text))


def digest(packed: str) -> str:
    """Return what stands for a packed function in a run key."""
    return hashlib.blake2b(packed.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=1)
def _unpacked(packed: str) -> Callable[[Chunk], Any]:
    function: Callable[[Chunk], Any] = unpack(packed)
    return function
