"""A chunk: byte ranges of one or more sources, and the recipe that turns them into a file of its own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from cbtool.errors import FormatError, UsageError
from cbtool.source import Range, Source

VERSION = 1
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
RECIPE_LIMIT_BYTES = 64 * 1024
LINE_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class SourceRanges:
    """What a chunk reads of one source: the version it was planned for, and sorted ranges ``(start, length)``."""

    uri: str
    version: str
    size: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class PartOf:
    """One file of a chunk, and the places in `Chunk.sources` of the sources it is made from."""

    name: str
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Chunk:
    """One line of a plan, complete in itself: `to_line` and `from_line` give it unchanged."""

    plan: str
    chunk: int
    of: int | None
    format: str
    exact: bool
    name: str
    sources: tuple[SourceRanges, ...]
    parts: tuple[PartOf, ...]
    records: int | None
    weight: int
    by: str
    core: Mapping[str, Any] | None
    overlap: Any
    requests: int
    n_bytes: int
    recipe: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know; kept."""
    given: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)
    """Sources by URI that only this process can open: a user's own file or session."""
    urls: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """By URI, the signed URLs to open sources by; never part of a line."""

    @property
    def stem(self) -> str:
        """The name without what follows the chunk's number: ``reads-00003``."""
        stem, dash, rest = self.name.rpartition("-")
        return stem + dash + rest.partition(".")[0]

    def open(self, part: int | None = None) -> BinaryIO:
        """Open the chunk as a file: its only part, part number *part* (from 1), or its mates interleaved."""
        from cbtool.reading import one_stream
        from cbtool.streams import as_file

        return as_file(one_stream(self, part))

    def __reduce__(self) -> tuple[Any, ...]:
        return Chunk.from_line, (self.to_line(),)

    def to_line(self) -> str:
        """Return the chunk as one line of JSON, without the newline.

        UsageError if it reads from a file or session of this process alone.
        """
        if self.given:
            raise UsageError(
                f"{next(iter(self.given))}: a plan of an open file or session stays in its process",
                hint="name the source by a path or URI",
            )
        fields: dict[str, Any] = {
            "v": VERSION,
            "plan": self.plan,
            "chunk": self.chunk,
            "of": self.of,
            "format": self.format,
            "exact": self.exact,
            "name": self.name,
            "sources": [
                {"uri": s.uri, "version": s.version, "size": s.size, "ranges": [list(r) for r in s.ranges]}
                for s in self.sources
            ],
            "parts": [{"name": p.name, "sources": list(p.sources)} for p in self.parts],
            "records": self.records,
            "weight": self.weight,
            "by": self.by,
            "core": self.core,
            "overlap": self.overlap,
            "requests": self.requests,
            "bytes": self.n_bytes,
            "recipe": self.recipe,
        }
        fields["check"] = _check(fields)
        return json.dumps({**fields, **self.extra}, separators=(",", ":"))

    @staticmethod
    def from_line(line: str | bytes, where: str = "plan") -> Chunk:
        """Read one line of a plan; FormatError says what is wrong with it, and *where*."""
        if len(line) > LINE_LIMIT_BYTES:
            raise FormatError(f"{where}: a line of more than {LINE_LIMIT_BYTES} bytes is not a chunk")
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            raise FormatError(f"{where}: not a chunk: the line is not JSON", hint="make the plan again") from None
        if not isinstance(fields, dict):
            raise FormatError(f"{where}: not a chunk: a JSON {type(fields).__name__}, not an object")
        return _chunk(_Reader(fields, where))


def _check(fields: Mapping[str, Any]) -> str:
    """Return a hash of what this version knows of a line, so that a slip of the editor is not taken for a plan."""
    return hashlib.blake2b(json.dumps(fields, separators=(",", ":")).encode(), digest_size=8).hexdigest()


class _Reader:
    """Takes typed fields out of an untrusted JSON object."""

    def __init__(self, fields: dict[str, Any], where: str) -> None:
        self.fields, self.where, self.taken = fields, where, {"v"}

    def take(self, name: str, *kinds: type | None) -> Any:
        self.taken.add(name)
        value = self.fields.get(name)
        for kind in kinds:
            if (kind is None and value is None) or (kind is not None and type(value) is kind):
                if isinstance(value, int) and value < 0:
                    break
                return value
        wanted = " or ".join("null" if kind is None else kind.__name__ for kind in kinds)
        found = json.dumps(value)[:40] if name in self.fields else "nothing"
        self.fail(f"'{name}' must be {wanted}, not {found}")

    def rest(self) -> dict[str, Any]:
        return {name: value for name, value in self.fields.items() if name not in self.taken}

    def fail(self, why: str) -> Any:
        raise FormatError(f"{self.where}: not a chunk: {why}", hint="was the line edited? make the plan again")


def _chunk(line: _Reader) -> Chunk:
    version = line.fields.get("v")
    if type(version) is not int:
        line.fail("it has no version 'v'")
    if version != VERSION:
        raise FormatError(
            f"{line.where}: a plan of version {version}; this cbtool reads version {VERSION}",
            hint="use the cbtool that made it, or make the plan again",
        )
    sources = tuple(_source_ranges(_Reader(one, line.where)) for one in _objects(line, "sources"))
    parts = tuple(_part(_Reader(one, line.where), len(sources)) for one in _objects(line, "parts"))
    check = line.take("check", str)
    chunk = Chunk(
        plan=line.take("plan", str),
        chunk=line.take("chunk", int),
        of=line.take("of", int, None),
        format=line.take("format", str),
        exact=line.take("exact", bool),
        name=_safe(line, line.take("name", str)),
        sources=sources,
        parts=parts,
        records=line.take("records", int, None),
        weight=line.take("weight", int),
        by=line.take("by", str),
        core=line.take("core", dict, None),
        overlap=line.take("overlap", dict, list, int, float, str, None),
        requests=line.take("requests", int),
        n_bytes=line.take("bytes", int),
        recipe=line.take("recipe", dict),
        extra=line.rest(),
    )
    if json.loads(chunk.to_line())["check"] != check:
        line.fail("its fields and its 'check' do not belong together")
    if not sources or not parts:
        line.fail("it has no sources or no parts")
    if chunk.of is not None and chunk.chunk >= chunk.of:
        line.fail(f"it is number {chunk.chunk} (from 0) of {chunk.of}")
    return chunk


def _objects(line: _Reader, name: str) -> Sequence[dict[str, Any]]:
    found = line.take(name, list)
    if not all(isinstance(one, dict) for one in found):
        line.fail(f"'{name}' must be a list of objects")
    return found  # type: ignore[no-any-return]


def _source_ranges(one: _Reader) -> SourceRanges:
    size = one.take("size", int)
    ranges = []
    for pair in one.take("ranges", list):
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair)):
            one.fail("a range must be [start, length]")
        if pair[0] + pair[1] > size:
            one.fail(f"the range {pair} ends after the source's {size} bytes")
        ranges.append((pair[0], pair[1]))
    return SourceRanges(one.take("uri", str), one.take("version", str), size, tuple(ranges))


def _part(one: _Reader, n_sources: int) -> PartOf:
    sources = one.take("sources", list)
    if not all(type(n) is int and 0 <= n < n_sources for n in sources):
        one.fail("a part names a source that is not there")
    return PartOf(_safe(one, one.take("name", str)), tuple(sources))


def _safe(line: _Reader, name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        line.fail(f"the name {name[:60]!r} is not of letters, digits, '.', '_', '-'")
    return name


@dataclass(frozen=True)
class Part:
    """One file of a chunk as it is built: its name and its bytes, streamed."""

    name: str
    blocks: Iterator[bytes]
