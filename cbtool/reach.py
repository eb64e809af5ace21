"""Whether an engine can do a job at all: seen before anything is begun."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cbtool.chunk import Chunk
from cbtool.contracts import Backend
from cbtool.destination import Destination, Folder, absolute
from cbtool.errors import TimeLimit, Unavailable, UsageError
from cbtool.runner import run_tasks
from cbtool.source import is_local

PROBE_S = 120.0
"""How long the first answer of an engine may take: a container may have to be fetched for it."""


def check_places(chunks: Sequence[Chunk], destination: Destination | None) -> None:
    """Raise UsageError where a remote worker could not see what *chunks* read or *destination* is."""
    check_readable([one.uri for chunk in chunks for one in chunk.sources])
    if isinstance(destination, Folder):
        raise UsageError(
            f"{destination.uri}: a folder on this machine, where the engine's workers cannot write",
            hint="name an s3:// prefix: -o s3://BUCKET/PREFIX/",
        )


def check_readable(uris: Iterable[str]) -> None:
    """Raise UsageError if one of *uris* is a path on this machine."""
    local = next((uri for uri in uris if is_local(uri)), None)
    if local is not None:
        raise UsageError(
            f"{local}: lies on this machine, where the engine's workers cannot read it",
            hint="copy it to object storage and plan again, or use --backend local",
        )


def probe(
    backend: Backend, needs: Mapping[str, Any], chunk: Chunk | None = None, destination: Destination | None = None
) -> Mapping[str, Any]:
    """Have one worker look at what the job *needs*, at the sources of *chunk*, and at *destination*.

    Returns what it spent and its versions. Errors are those of `cbtool.backends.probe.look`, or the engine's own.
    """
    from cbtool.backends.probe import CALL, versions

    task = {"call": CALL, "versions": versions(), **needs}
    if chunk is not None:
        source = chunk.sources[0]
        task["source"] = {"uri": chunk.urls.get(source.uri, source.uri), "version": source.version}
    if destination is not None:
        task |= {"destination": absolute(destination), "mark": f"cbtool-probe-{secrets.token_hex(6)}"}
    (outcome,) = run_tasks([task], backend, timeout_s=PROBE_S)
    if isinstance(outcome.error, TimeLimit):
        raise Unavailable(f"no worker of the engine answered in {PROBE_S:g} s", hint="are there any?")
    if outcome.error is not None:
        raise outcome.error
    return {**(outcome.result or {}), "spent": outcome.spent}
