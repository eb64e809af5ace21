"""Finds the format of a source: by its content first, by its name second; what was asked for wins over both."""

from __future__ import annotations

from typing import Any

from cbtool.contracts import Partitioner, Rasterizing, Scattering
from cbtool.errors import ConfigError, FormatError, UsageError
from cbtool.naming import COMPRESSED
from cbtool.registry import entries, load
from cbtool.source import Source

HEAD_BYTES = 64 * 1024


def partitioner(name: str) -> Partitioner:
    """Return the partitioner of a format, with or without the mark of its compression (``fastq.gz``).

    What follows a colon is the format's own to understand (``fixed:100``).
    """
    base, colon, argument = name.removesuffix(".gz").partition(":")
    found: Any = load("partitioners", base)
    if colon:
        if not hasattr(found, "of"):
            raise UsageError(f"{base}: a format that takes nothing behind a colon")
        found = found.of(argument)
    made: Partitioner = found
    return made


def scattering(form: str) -> Scattering | None:
    """Return how the chunks of a format are written by one pass over the sources, where it has a way."""
    found: Scattering | None = getattr(partitioner(form), "scattering", None)
    return found


def rasterizing(form: str) -> Rasterizing | None:
    """Return what tells how dense the sources of a plan of a format are, where there is such a thing."""
    found: Rasterizing | None = getattr(partitioner(form), "raster", None)
    return found


def detect(source: Source, form: str | None = None) -> str:
    """Return the name of the format of *source*.

    FormatError if no format takes its content, or if its name promises one that its content is not.
    """
    if form:
        partitioner(form)
        return form.removesuffix(".gz")
    head = source.read(0, min(HEAD_BYTES, source.size))
    promised = _promised(source.uri)
    if not head:
        return promised or "text"
    if promised:
        if partitioner(promised).sniff(head, source.uri):
            return promised
        raise FormatError(
            f"{source.uri}: its name says {promised}, but it begins with {head[:20]!r}",
            hint="if the name is wrong, say what it is: --as text",
        )
    # Text last: it takes whatever no other format does, third parties' included.
    for name in sorted((name for name, _ in entries("partitioners")), key=lambda name: name == "text"):
        try:
            if partitioner(name).sniff(head, source.uri):
                return name
        except ConfigError:
            continue  # not installed
    raise FormatError(
        f"{source.uri}: no format begins with {head[:20]!r}", hint="see `cbtool formats`, or say what it is: --as"
    )


def _promised(uri: str) -> str | None:
    """Return the format that the suffix of a name stands for."""
    name = uri.rpartition("/")[2].lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    for form, entry in entries("partitioners"):
        if name.endswith(entry.suffixes):
            return form
    return None
