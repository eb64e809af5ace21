"""Partitions point clouds: LAS, LAZ and COPC files, one or many as one cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from cbtool.asked import Options, Takes
from cbtool.chunk import Chunk, Part
from cbtool.contracts import Info, Scattering
from cbtool.errors import FormatError, UsageError
from cbtool.index import Index
from cbtool.partitioners.las.groups import groups_of, open_las
from cbtool.partitioners.las.header import MAGIC
from cbtool.source import Range, Source

if TYPE_CHECKING:
    from cbtool.density import Raster

WEIGHTS = ("points", "bytes", "returns", "ground")
ON_THE_FLY = (None, "points", "bytes")
"""Weights that the hierarchy of a COPC file tells."""
SPOOL_BYTES = 64 * 1024 * 1024
AMPLIFIED = 1.5
"""How many times the sources' bytes all chunks together read before it is said."""


class Cloud:
    """The partitioner of point clouds. Records are points; their order is not kept."""

    weights = WEIGHTS
    takes = Takes(True, ("kd", "grid"), ("bbox", "polygons"))
    is_ordered = False

    @property
    def scattering(self) -> Scattering:
        from cbtool.partitioners.las import scatter

        return scatter

    def sniff(self, head: bytes, uri: str) -> bool:
        return head.startswith(MAGIC)

    def info(self, source: Source, index: Index | None) -> Info:
        from cbtool.partitioners.las.facts import facts

        return Info(source.uri, "las", source.size, source.version, facts(open_las(source), index))

    def needs_index(self, source: Source, options: Options) -> str | None:
        file, why = open_las(source), None
        if not file.header.is_copc:
            why = "where its points lie is only known from the points"
        elif options.records is not None or options.by not in ON_THE_FLY:
            why = f"exact {options.by or 'counts'} are asked for"
        if why is not None and options.on_the_fly:
            raise UsageError(f"{source.uri}: cannot be cut on the fly: {why}", hint="leave out --on-the-fly")
        return why

    def index_parts(self, source: Source, workers: int) -> list[Range]:
        from cbtool.partitioners.las.survey import parts

        try:
            file = open_las(source)
            return parts(file, groups_of(file), workers)
        except FormatError as error:
            from cbtool.partitioners.las.salvage import explained

            raise explained(error, source) from None

    def index(self, source: Source, part: Range) -> Index:
        from cbtool.partitioners.las.survey import survey

        file = open_las(source)
        return survey(file, groups_of(file), part)

    def merge(self, parts: Sequence[Index]) -> Index:
        from cbtool.partitioners.las.survey import merge

        return merge(parts)

    def chunks(self, sources: Sequence[Source], indexes: Sequence[Index | None], options: Options) -> list[Chunk]:
        from cbtool.errors import NeedsIndex
        from cbtool.partitioners.las.cutting import cut

        if len(sources) > 1 and any(index is None for index in indexes):
            raise NeedsIndex("several files are cut together")
        return cut([open_las(source) for source in sources], indexes, options)

    def build(self, chunk: Chunk, sources: Sequence[Source]) -> Iterator[Part]:
        from cbtool.partitioners.las.build import build

        yield Part(chunk.parts[0].name, build(chunk, sources))

    def whole(self, source: Source) -> Iterator[bytes]:
        return source.stream(0, source.size)

    def records(self, blocks: Iterator[bytes], chunk: Chunk) -> Iterator[list[bytes]]:
        from cbtool.partitioners.las.proving import canonical

        # Compressed points are not read from a stream: where their chunks lie is told at the end.
        with cast(BinaryIO, SpooledTemporaryFile(SPOOL_BYTES)) as file:
            for block in blocks:
                file.write(block)
            file.seek(0)
            yield from canonical(file, chunk)

    def raster(self, chunks: Sequence[Chunk], indexes: Mapping[str, Index]) -> Raster | None:
        from cbtool.partitioners.las.density import of_plan

        return of_plan(chunks, indexes)

    def remarks(self, chunks: Sequence[Chunk]) -> list[str]:
        said = []
        shared = sum("ranks" in (chunk.core or {}) for chunk in chunks)
        if shared:
            said.append(
                f"{shared} chunks share places with others: one cell holds more than a chunk, and is cut by order"
            )
        if not all(chunk.exact for chunk in chunks):
            said.append("how even the chunks are is an estimate: points are taken to lie evenly within nodes or cells")
        sizes = {source.uri: source.size for chunk in chunks for source in chunk.sources}
        times = sum(chunk.n_bytes for chunk in chunks) / max(1, sum(sizes.values()))
        if times > AMPLIFIED:
            said.append(
                f"the chunks read {times:.1f} times the bytes of the sources, as points of one place lie far apart in "
                "them; cbtool write reads them once"
            )
        return said


PARTITIONER = Cloud()
