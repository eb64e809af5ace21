"""Where indexes are kept: beside the source, in a folder of the user's choice, or in the user's cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cbtool.errors import CannotWrite, CbtoolError, FormatError, MissingInput, NotAllowed, StaleError
from cbtool.index import MAGIC, Index, dump, load
from cbtool.output import open_output
from cbtool.permissions import readable_like, restrict
from cbtool.source import Source, open_source

SUFFIX = ".cbi"
CACHE = "cache"


class Versioned(Protocol):
    """A source as it is, or as a plan knows it."""

    @property
    def uri(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def size(self) -> int: ...


def places(source: Versioned, index_to: str | None) -> Iterator[str]:
    """Yield the URIs where the index of *source* may lie, best first.

    *index_to* is a folder, a prefix, or "cache"; without it, beside the source and then the cache.
    """
    digest = hashlib.blake2b(source.uri.encode(), digest_size=16).hexdigest()
    if index_to and index_to != CACHE:
        # Sources of one name may come from several folders.
        yield f"{index_to.rstrip('/')}/{source.uri.rpartition('/')[2]}.{digest[:8]}{SUFFIX}"
        return
    if index_to != CACHE and not source.uri.startswith(("http://", "https://")):
        yield source.uri + SUFFIX
    yield str(cache_folder() / (digest + SUFFIX))


def cache_folder() -> Path:
    """Return the user's cache: ``$XDG_CACHE_HOME/cbtool``, by default ``~/.cache/cbtool``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cbtool"


def find(source: Versioned, index_to: str | None, *, here_only: bool = False) -> tuple[Index | None, str]:
    """Return the index of *source*, and where it lies or why there is none: "missing", "stale", "damaged".

    *here_only* looks at no place that is not on this machine.
    """
    state = "missing"
    for place in places(source, index_to):
        if here_only and "://" in place:
            continue
        try:
            with open_source(place) as file:
                index = load(file.read(0, file.size), place)
        except (MissingInput, NotAllowed):
            continue
        except StaleError:
            state = "stale"
            continue
        except FormatError as error:
            if not error.facts.get("ours"):
                raise
            state = "damaged"
            continue
        if (index.version, index.size) == (source.version, source.size):
            return index, place
        state = "stale"
    return None, state


def check_places(source: Source, index_to: str | None) -> None:
    """Raise FormatError if what lies where the index of *source* may go is not an index of ours."""
    for place in places(source, index_to):
        try:
            with open_source(place) as file:
                load(file.read(0, min(file.size, len(MAGIC))), place)
        except (MissingInput, NotAllowed):
            continue
        except FormatError as error:
            if not error.facts.get("ours"):
                raise


def save(index: Index, source: Source, index_to: str | None) -> str:
    """Write *index* at the first place that can be written, and return that place.

    The same source gives the same index, so of two who write at once it does not matter who is last.
    """
    refused: CbtoolError | None = None
    for place in places(source, index_to):
        try:
            if "://" not in place and Path(place).parent != Path(source.uri).parent:
                _make_folder(Path(place).parent)
            with open_output(place) as file:
                restrict(file, readable_like([source.uri]))
                file.write(dump(index))
            return place
        except (CannotWrite, NotAllowed) as error:
            refused = error
    raise refused or CannotWrite(f"{source.uri}: no place for its index", hint="choose one: --index-to DIR")


def _make_folder(folder: Path) -> None:
    """Make a folder for indexes, for its owner alone: they may hold excerpts of data."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotWrite(f"{folder}: {error.strerror}", hint="choose another place: --index-to DIR") from None
