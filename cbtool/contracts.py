"""What a format, a job and an engine must provide. Everything else in cbtool is written against these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cbtool.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cbtool.asked import Options, Takes
    from cbtool.chunk import Chunk, Part
    from cbtool.density import Raster
    from cbtool.index import Index
    from cbtool.source import Range, Source


@dataclass(frozen=True)
class Info:
    """What `cbtool info` says of a source; *facts* are the format's own, in the order to show them."""

    uri: str
    format: str
    size: int
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Partitioner(Protocol):
    """Knows one format. Bytes in, bytes out: no printing, no clock, no environment."""

    weights: Sequence[str]
    """What ``--by`` may name; the first is the default."""
    is_ordered: bool
    """Whether the chunks, one after another, have the records in the order of the sources."""

    takes: Takes
    """Which of ``--overlap``, ``--shape`` and ``--only`` it takes; the others are refused before it is asked."""

    def sniff(self, head: bytes, uri: str) -> bool:
        """Say whether a source that begins with *head* (up to 64 KiB) is of this format."""

    def info(self, source: Source, index: Index | None) -> Info:
        """Describe *source* from its header, a few small reads, and its index if there is one."""

    def needs_index(self, source: Source, options: Options) -> str | None:
        """Return why a partition with *options* must pass over *source* first, or None.

        UsageError if *options* forbid the pass.
        """

    def index_parts(self, source: Source, workers: int) -> list[Range]:
        """Return the parts of *source* that can be indexed at once; together they are all of it."""

    def index(self, source: Source, part: Range) -> Index:
        """Pass over *part* of *source*."""

    def merge(self, parts: Sequence[Index]) -> Index:
        """Join the indexes of all parts, in order."""

    def chunks(self, sources: Sequence[Source], indexes: Sequence[Index | None], options: Options) -> list[Chunk]:
        """Cut *sources* (together, in order) into chunks; their `plan` is filled in by the caller.

        NeedsIndex where a cut can only be proven by a pass over a source that has no index.
        """

    def build(self, chunk: Chunk, sources: Sequence[Source]) -> Iterator[Part]:
        """Yield the file(s) of *chunk*, reading just what it says; its parts are consumed in order."""

    def whole(self, source: Source) -> Iterator[bytes]:
        """Yield the content of *source* as a plain file, by a way independent of `build` where there is one."""

    def records(self, blocks: Iterator[bytes], chunk: Chunk) -> Iterator[list[bytes]]:
        """Yield the canonical bytes of the records in a plain file of this format, in lists.

        *chunk* is one of the plan's; what its recipe says of the format holds for the file.
        """

    def remarks(self, chunks: Sequence[Chunk]) -> list[str]:
        """Return what people should be told of a plan besides: what it costs, what could not be as it was asked."""


class Scattering(Protocol):
    """How a format writes all chunks of a plan by passing over the sources once; a partitioner may have one.

    It is worth it where the records of a chunk lie far apart. The files are the same bytes that `build` makes.
    """

    def is_worth(self, chunks: Sequence[Chunk]) -> bool:
        """Say whether reading the chunks one by one is more work."""

    def targets(self, chunks: Sequence[Chunk]) -> bytes:
        """Return what a task needs to know of all chunks."""

    def stretches(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Return tasks, numbered and named, that together read once what must be decoded."""

    def segment(self, chunk: Chunk, sources: Sequence[Source], said: bytes) -> Iterator[bytes]:
        """Yield the records of one of `stretches` in the order of their chunks; *said* is what `targets` returned."""

    def gathered(self, chunks: Sequence[Chunk], segments: Sequence[Source]) -> list[Chunk]:
        """Return for each chunk one that `gather` makes its file of, from its slices of all *segments*."""

    def gather(self, chunk: Chunk, sources: Sequence[Source]) -> Iterator[bytes]:
        """Yield the file of one of `gathered`."""


class Rasterizing(Protocol):
    """How dense the sources of a plan are, in the integers of its chunks' boxes; a partitioner may have it as `raster`.

    *indexes* are those of all sources, by URI. None where they do not say it.
    """

    def __call__(self, chunks: Sequence[Chunk], indexes: Mapping[str, Index]) -> Raster | None: ...


Frame = dict[str, Any]
"""What comes back from a worker: ``{"result": {…}}`` or ``{"error": {…}}``, and what the task ``spent``."""


@dataclass(frozen=True)
class EngineSettings:
    """What a user says of an engine; each takes what concerns it."""

    workers: int | None = None
    """How many tasks at once; None leaves it to the engine."""
    config: str | None = None
    """A file of the engine's own settings (``--engine-config``)."""
    scheduler: str | None = None
    """The address of a cluster that is there already."""
    memory_bytes: int | None = None
    """What a task may take, for engines that must be told before."""
    timeout_s: float | None = None
    """The time limit of a task, for engines that must be told before."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"{self.workers} workers: it must be at least 1")


@dataclass(frozen=True)
class Limits:
    """What an engine allows a task, and what it is like; None is no limit."""

    memory_bytes: int | None = None
    time_s: float | None = None
    payload_bytes: int | None = None
    concurrency: int = 1
    remote: bool = False
    """Whether tasks run where this machine's files cannot be seen."""
    overhead_s: float = 0.0
    """About what a call costs in time besides its tasks."""
    price: str | None = None
    """The row of the price table that its use is paid by; None for what costs nothing."""


class Backend(Protocol):
    """Carries tasks to workers and frames back, and nothing more; all that is one for every engine is above it.

    A task is JSON: ``{"call": "package.module:function", …}``. A worker gives it to `cbtool.backends.worker.perform`,
    whose frame ends the future. Trouble of the engine's own ends it with an exception: `WorkerDied`, `Unavailable` …
    A backend is made with `EngineSettings`.
    """

    @property
    def limits(self) -> Limits: ...

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]: ...

    def cancel(self, future: Future[Frame]) -> None:
        """End the task, its worker and all that it started, at once where the engine can; the future ends."""

    def close(self) -> None:
        """End all workers."""
