"""Names of converted files, and where these go."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cbtool import ledger
from cbtool.destination import Destination, Folder
from cbtool.errors import CannotWrite, UsageError
from cbtool.naming import safe
from cbtool.source import is_local

KNOWN = (".copc.laz", ".laz", ".las")
"""Suffixes that go with the format that a file had."""


def names_of(uris: Sequence[str], suffix: str, *, is_one: bool, stem: str | None = None) -> list[str]:
    """Return the names of what is made of sources at *uris*: one, or one of each, with the folders they lie in.

    Folders are those below the one that all sources have in common. UsageError if two would have one name.

    >>> names_of(["/d/a/x.las", "/d/b/x.las"], ".laz", is_one=False)
    ['a/x.laz', 'b/x.laz']
    """
    if is_one:
        return [safe(stem or _stem(uris[0].rpartition("/")[2])) + suffix]
    folders = [uri.rpartition("/")[0].split("/") for uri in uris]
    common = len(os.path.commonprefix(folders))
    found = []
    for uri, folder in zip(uris, folders, strict=True):
        last = stem if stem is not None and len(uris) == 1 else _stem(uri.rpartition("/")[2])
        found.append("/".join([*(safe(part) for part in folder[common:]), safe(last) + suffix]))
    seen: dict[str, str] = {}
    for uri, name in zip(uris, found, strict=True):
        if seen.setdefault(name, uri) != uri:
            raise UsageError(f"{seen[name]} and {uri} would both be written to {name}", hint="convert them one by one")
    return found


def _stem(name: str) -> str:
    lower = name.lower()
    suffix = next((one for one in KNOWN if lower.endswith(one) and len(name) > len(one)), "")
    return name[: len(name) - len(suffix)]


def refuse_taken(destination: Destination, names: Sequence[str]) -> None:
    """Raise CannotWrite if one of *names* is there already and no run has begun in *destination*."""
    if destination.read(ledger.RUN) is not None:
        return
    there = {name for name, _ in destination.names()}
    taken = next((name for name in names if name in there), None)
    if taken is not None:
        raise CannotWrite(
            f"{destination.uri}: {taken} is there already, and no run of cbtool made it",
            hint="remove it, or name another destination",
        )


def refuse_sources(output: str, uris: Sequence[str]) -> None:
    """Raise UsageError if the file *output* is one of the sources, which it would replace."""
    for uri in uris:
        if uri == output or (is_local(uri) and is_local(output) and os.path.realpath(uri) == os.path.realpath(output)):
            raise UsageError(f"{output}: is a source, and would be replaced", hint="name another file: -o")


def deliver(destination: Destination, name: str, output: str) -> None:
    """Give the only file of a run, *name*, the name *output*, and remove the run."""
    from cbtool.output import open_output, told
    from cbtool.source import open_source

    if isinstance(destination, Folder) and is_local(output) and _is_plain(output):
        target = os.path.realpath(output.removeprefix("file://"))
        with told(target):
            os.replace(destination.locate(name), target)
    else:
        with open_output(output) as file, open_source(destination.locate(name)) as source:
            file.writelines(source.stream(0, source.size))
    ledger.remove(destination)
    if isinstance(destination, Folder):
        for folder, _, _ in os.walk(destination.uri, topdown=False):
            with told(folder):
                os.rmdir(folder)


def _is_plain(output: str) -> bool:
    """Say whether *output* is, or will be, a plain file."""
    return output not in ("-", "/dev/stdout") and (os.path.isfile(output) or not os.path.lexists(output))
