"""Jobs of several steps in one ledger: what an earlier step made lies in the destination until the last one is done."""

from __future__ import annotations

import os
from collections.abc import Callable

from cbtool import ledger as ledgers
from cbtool.destination import Destination, Folder
from cbtool.ledger import OUTPUTS, PLAN, Ledger, RunKey
from cbtool.plan import Plan, complete, read_chunks


def begin_step(destination: Destination, is_its: Callable[[str], bool]) -> None:
    """Have the ledger speak of the step that the names of its outputs tell, and of no other."""
    if not all(is_its(name) for names in ledgers.outputs(destination).values() for name in names):
        # OUTPUTS says which step it is; it is also what is written last.
        destination.delete(PLAN)
        destination.delete(OUTPUTS)


def begun(destination: Destination, run: RunKey, before: str) -> Plan | None:
    """Return the chunks of the last step, if the run has come to it and what they are made from is there.

    What the steps before made have names that begin with *before*.
    """
    made = ledgers.outputs(destination)
    if not made or any(name.startswith(before) for names in made.values() for name in names):
        return None
    Ledger.claim(destination, run, []).close()
    parts = complete(read_chunks((destination.read(PLAN) or b"").splitlines(), destination.uri), destination.uri)
    left = set(made) - ledgers.done(destination, made)
    there = {destination.locate(name) for name, _ in destination.names(before)} if left else set()
    if isinstance(destination, Folder):
        there = {os.path.abspath(path) for path in there}
    needed = {one.uri for chunk in parts if chunk.chunk in left for one in chunk.sources}
    return parts if {uri for uri in needed if _is_in(uri, destination, before)} <= there else None


def _is_in(uri: str, destination: Destination, before: str) -> bool:
    """Say whether *uri* is what a step before the last made."""
    place = destination.locate(before + "x")[:-1]
    return uri.startswith(os.path.abspath(place) + "/" if isinstance(destination, Folder) else place)


def remove_step(destination: Destination, before: str) -> None:
    """Remove what the steps before the last made."""
    for name, _ in list(destination.names(before)):
        destination.delete(name)
