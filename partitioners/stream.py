"""Partitions streams of records: any grammar, in any container, over many sources at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from isal import isal_zlib

from cbtool.asked import Options, Takes
from cbtool.chunk import Chunk, Part
from cbtool.contracts import Info
from cbtool.errors import FormatError, UsageError
from cbtool.index import Index
from cbtool.naming import safe, stem_and_suffix
from cbtool.partitioners import cuts, pieces
from cbtool.partitioners.container import Container, Marks
from cbtool.partitioners.cuts import Cut, Track
from cbtool.partitioners.grammar import Grammar
from cbtool.partitioners.gzip.container import Gzip, plain_head
from cbtool.partitioners.pieces import Lane
from cbtool.partitioners.plain import Plain
from cbtool.source import Range, Source

HEAD_BYTES = 64 * 1024
COLUMNS = ("offset", "start", "record", "third")


def combined(before: int, crc: int, length: int) -> int:
    """Return the CRC-32 of bytes with the CRC *before* and then *length* bytes with *crc*."""
    joined: int = isal_zlib.crc32_combine(before, int(crc), int(length))
    return joined


class Stream:
    """A partitioner for one family of grammars.

    *detect* says from the head of the plain stream how its records lie (JSON), or None if it is not of this format;
    *grammar* makes that into a `Grammar`. *slow* is how they lie if not as detected: then only a pass can tell.
    *shared* says how the records of sources that differ can be read alike, or None.
    """

    takes = Takes()

    def __init__(
        self,
        name: str,
        weights: Sequence[str],
        detect: Callable[[bytes], dict[str, Any] | None],
        grammar: Callable[[Mapping[str, Any]], Grammar],
        slow: Mapping[str, Any] | None = None,
        shared: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any] | None] = lambda hows: None,
    ) -> None:
        self.name, self.weights, self.detect, self.grammar, self.slow = name, weights, detect, grammar, slow
        self.shared = shared

    is_ordered = True

    def sniff(self, head: bytes, uri: str) -> bool:
        return self.detect(plain_head(head, uri)) is not None

    def info(self, source: Source, index: Index | None) -> Info:
        track = self._track(source, index)
        facts: dict[str, Any] = {"compression": track.container.describe(source, track.marks), **track.how}
        if track.marks:
            facts["records"] = int(track.marks.record[-1])
            facts["uncompressed_bytes"] = int(track.marks.offset[-1])
            if track.grammar.third_weight:
                facts[track.grammar.third_weight] = int(track.marks.third[-1])
            facts["checkpoints"] = len(track.marks.offset) - 1
        return Info(source.uri, self._format(track), source.size, source.version, facts)

    def _format(self, track: Track) -> str:
        return self.name + (".gz" if isinstance(track.container, Gzip) else "")

    def needs_index(self, source: Source, options: Options) -> str | None:
        track = self._track(source, None)
        why = None
        if track.empty:
            return None
        if options.paired:
            why = "mates are cut at the same record numbers"
        elif options.records is not None or options.by not in (None, "bytes"):
            why = f"exact {options.by or 'records'} are asked for"
        elif track.how == self.slow:
            why = "its records can only be told apart by reading from the start"
        else:
            why = track.container.needs_index(source, options)
        if why and options.on_the_fly:
            raise UsageError(f"{source.uri}: cannot be cut on the fly: {why}", hint="leave out --on-the-fly")
        return why

    def index_parts(self, source: Source, workers: int) -> list[Range]:
        track = self._track(source, None)
        return [(0, source.size)] if track.how == self.slow else track.container.parts(source, workers)

    def index(self, source: Source, part: Range) -> Index:
        track = self._track(source, None)
        how = track.how
        try:
            marks = track.container.survey(source, part, track.grammar)
        except FormatError as error:
            if self.slow is None or how == self.slow or part != (0, source.size):
                raise
            how = self.slow
            try:
                marks = track.container.survey(source, part, self.grammar(how))
            except FormatError:
                raise error from None
        arrays = {column: getattr(marks, column) for column in COLUMNS}
        return Index(self._format(track), source.version, source.size, {"how": dict(how)}, {**arrays, **marks.own})

    def merge(self, parts: Sequence[Index]) -> Index:
        import numpy as np

        joined: dict[str, list[Any]] = {name: [] for name in parts[0].arrays}
        shift = dict.fromkeys(joined, 0)
        for number, part in enumerate(parts):
            # The end of a part is the first mark of the next. Strings lie joined, with an array of where each begins.
            last = number == len(parts) - 1
            keep = len(part.arrays["offset"]) - (not last)
            for name, array in part.arrays.items():
                is_text = f"{name[:-1]}_at" in part.arrays
                if name == "crc":
                    ends = part.arrays["offset"]
                    array = np.array(
                        [combined(shift[name], *one) for one in zip(array, ends, strict=True)], array.dtype
                    )
                    shift[name] = int(array[-1])
                joined[name].append(array if last or is_text else array[:keep])
                if name in COLUMNS or name.endswith("_at"):
                    joined[name][-1] = joined[name][-1] + shift[name]
                    shift[name] += int(array[-1])
        first = parts[0]
        arrays = {name: np.concatenate(arrays) for name, arrays in joined.items()}
        return Index(first.format, first.version, first.size, first.facts, arrays)

    def _track(self, source: Source, index: Index | None) -> Track:
        head = source.read(0, min(HEAD_BYTES, source.size))
        container: Container = Gzip(head) if Gzip.sniff(head) else Plain()
        plain = plain_head(head, source.uri)
        how: Any = index.facts.get("how") if index else self.detect(plain)
        if how is None:
            raise FormatError(f"{source.uri}: is not {self.name}", hint="see what it is: cbtool info")
        marks = None
        if index:
            _check(index, container, source)
            arrays = dict(index.arrays)
            offset, start, record, third = (arrays.pop(column) for column in COLUMNS)
            marks = Marks(offset, start, record, third, arrays)
        empty = not plain and source.size <= len(head)
        if empty:
            for _ in container.whole(source) if head else ():  # it may hold nothing because it is cut short
                pass
        return Track(source, container, self.grammar(how), how, marks, empty)

    def chunks(self, sources: Sequence[Source], indexes: Sequence[Index | None], options: Options) -> list[Chunk]:
        tracks = [self._track(*one) for one in zip(sources, indexes, strict=True)]
        by = options.by or ("records" if options.records else "bytes")
        full = [track for track in tracks if not track.empty]
        if not full:
            raise FormatError(f"{sources[0].uri}: holds no records: there is nothing to cut")
        if options.paired:
            from cbtool.partitioners import pairs

            lanes, stem = pairs.lanes(tracks, by, options)
        else:
            stem, suffix = stem_and_suffix(sources[0].uri, tracks[0].grammar.suffix)
            stem = safe(options.name or stem)
            begin = Cut(0, full[0].container.begin())
            lanes = [Lane(full, [begin, *cuts.asked(full, by, options), None], stem, suffix, by)]
        form = self._format(tracks[0])
        how = self._how(full)
        return [pieces.make(lanes, number, stem, form, how) for number in range(len(lanes[0].cuts) - 1)]

    def _how(self, tracks: Sequence[Track]) -> Mapping[str, Any]:
        """Return how the records of all *tracks* can be read: a chunk may lie across two sources."""
        other = next((track for track in tracks if track.how != tracks[0].how), None)
        how = tracks[0].how if other is None else self.shared([track.how for track in tracks])
        if other is not None and how is None:
            a, b = (", ".join(map(str, track.how.values())) for track in (tracks[0], other))
            raise UsageError(
                f"{tracks[0].source.uri} is {a}, {other.source.uri} is {b}: they cannot be in one chunk",
                hint="one plan for each encoding",
            )
        return how or {}

    def build(self, chunk: Chunk, sources: Sequence[Source]) -> Iterator[Part]:
        grammar = self._grammar_of(chunk)
        for number, part in enumerate(chunk.parts):
            yield Part(part.name, pieces.build(chunk, grammar, number, sources))

    def whole(self, source: Source) -> Iterator[bytes]:
        return self._track(source, None).container.whole(source)

    def records(self, blocks: Iterator[bytes], chunk: Chunk) -> Iterator[list[bytes]]:
        return self._grammar_of(chunk).split(blocks)

    def remarks(self, chunks: Sequence[Chunk]) -> list[str]:
        return []

    def _grammar_of(self, chunk: Chunk) -> Grammar:
        how = chunk.recipe.get("how")
        if not isinstance(how, dict):
            raise FormatError(f"chunk {chunk.chunk}: its recipe is not one of {self.name}", hint="make the plan again")
        return self.grammar(how)


def _check(index: Index, container: Container, source: Source) -> None:
    """Raise FormatError unless *index*, which anybody can have written, holds what an index of *container* does."""
    import numpy as np

    arrays = index.arrays
    n = len(arrays["offset"]) if "offset" in arrays else 0
    needed = {name: n for name in (*COLUMNS, *container.per_mark)} | dict.fromkeys(container.texts, -1)
    right = n > 0 and isinstance(index.facts.get("how"), dict) and set(arrays) == set(needed)
    right = right and all(length in (-1, len(arrays[name])) for name, length in needed.items())
    for name in arrays if right else ():
        array = arrays[name]
        if name in COLUMNS or name == "bit" or name.endswith("_at"):
            right &= array.dtype == np.int64 and bool(array[0] >= 0) and bool((np.diff(array) >= 0).all())
        if name.endswith("_at"):
            right &= int(array[-1]) == len(arrays[f"{name.removesuffix('_at')}s"])
    right = right and int(arrays.get("bit", arrays["offset"])[-1]) <= source.size * 8
    if not right:
        raise FormatError(
            f"{source.uri}: its index is not one of this cbtool", hint="make it again: cbtool index --force"
        )
