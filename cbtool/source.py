"""Where the bytes are: one object at a URI, with a size, a version, and exact ranged reads."""

from __future__ import annotations

import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, BinaryIO

from cbtool.errors import FormatError, MissingInput, NotAllowed, StaleError, UsageError
from cbtool.spending import SPENT

Range = tuple[int, int]
"""``(start, length)`` in bytes."""

COALESCE_GAP_BYTES = 64 * 1024
COALESCE_CAP_BYTES = 16 * 1024 * 1024
STREAM_BLOCK_BYTES = 1024 * 1024
EDGE_BYTES = 64 * 1024


@dataclass
class Meter:
    """Counts what was read from a source, so that a plan's promise can be held against it."""

    requests: int = 0
    bytes: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def add(self, requests: int, n_bytes: int) -> None:
        with self._lock:
            self.requests += requests
            self.bytes += n_bytes
        SPENT.add(requests=requests, read_bytes=n_bytes)


class Source(ABC):
    """One object. Every read is of the version that was opened, and is exact or an error."""

    uri: str
    """Where it is, without credentials or query."""
    size: int
    version: str
    """What changes when the content does: ``etag:…``, ``generation:…``, ``file:…``, ``modified:…``."""
    note: str | None = None
    """What is to be said of it, as that its version is weak."""
    readers: int = 1
    """How many reads are worth having under way at once."""
    resupply: bool = False
    """Whether *uri* lacks a query or password that it was opened with, and that must be given again (``--source``)."""

    def __init__(self, uri: str, size: int, version: str) -> None:
        self.uri, self.size, self.version = uri, size, version
        self.meter = Meter()

    @abstractmethod
    def read(self, start: int, length: int) -> bytes:
        """Return exactly *length* bytes from *start*: one request. StaleError if the object has changed."""

    @abstractmethod
    def stream(self, start: int, length: int) -> Iterator[bytes]:
        """Yield the same bytes in blocks of about 1 MiB: one request, memory of a block."""

    def read_many(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the bytes of each range; ranges closer than 64 KiB share a request of up to 16 MiB."""
        groups = coalesce(ranges)
        found: list[bytes] = [b""] * len(ranges)
        for (start, _), members, data in zip(groups, groups.values(), self._read_all(list(groups)), strict=True):
            for i in members:
                at = ranges[i][0] - start
                found[i] = data[at : at + ranges[i][1]]
        return found

    def _read_all(self, ranges: Sequence[Range]) -> Iterator[bytes]:
        """Read each range as a request of its own; a remote source does so concurrently."""
        return (self.read(*one) for one in ranges)

    @abstractmethod
    def check(self) -> None:
        """Raise StaleError unless the object is still the one that was opened."""

    @property
    def pinned(self) -> bool:
        """Whether all that was read is known to be of the version that was opened, so that no `check` is due."""
        return False

    @property
    def portable(self) -> bool:
        """Whether another process can open this source by its URI."""
        return True

    @property
    def address(self) -> str:
        """What another process opens the source by: its URI, with what that lacks. Never to be stored or shown."""
        return self.uri

    def close(self) -> None:
        """Let go of what the source holds open."""
        return None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def coalesce(ranges: Sequence[Range]) -> dict[Range, list[int]]:
    """Group ranges that lie close together: ``{request: [indices of the ranges that it serves]}``.

    >>> coalesce([(100, 10), (0, 10), (10**9, 5)])
    {(0, 110): [1, 0], (1000000000, 5): [2]}
    """
    groups: list[tuple[int, int, list[int]]] = []
    for i in sorted(range(len(ranges)), key=ranges.__getitem__):
        start, length = ranges[i]
        if groups:
            first, end, members = groups[-1]
            if start - end <= COALESCE_GAP_BYTES and start + length - first <= COALESCE_CAP_BYTES:
                groups[-1] = (first, max(end, start + length), members + [i])
                continue
        groups.append((start, start + length, [i]))
    return {(first, end - first): members for first, end, members in groups}


class LocalSource(Source):
    """A file on this machine. Its version: size, mtime in ns, inode, and a hash of its first and last 64 KiB.

    It is opened for each read, so that a plan may be of more files than a process may hold open.
    """

    def __init__(self, path: str) -> None:
        super().__init__(os.path.abspath(path), 0, "")
        self.size, self.version = self._look()

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            # O_NONBLOCK: a FIFO without a writer would be waited for.
            descriptor = os.open(self.uri, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise MissingInput(f"{self.uri}: no such file", uri=self.uri) from None
        except PermissionError:
            raise NotAllowed(f"{self.uri}: permission denied", uri=self.uri) from None
        except OSError as error:
            raise MissingInput(f"{self.uri}: {error.strerror}", uri=self.uri) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _look(self) -> tuple[int, str]:
        with self._opened() as file:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                raise UsageError(f"{self.uri}: is a folder", hint=f"name its files: {self.uri}/*", uri=self.uri)
            if not stat.S_ISREG(status.st_mode):
                hint = "cbtool reads ranges; save the stream to a file first"
                raise UsageError(f"{self.uri}: not a regular file", hint=hint, uri=self.uri)
            head = os.pread(file, EDGE_BYTES, 0)
            tail = os.pread(file, EDGE_BYTES, max(0, status.st_size - EDGE_BYTES))
        facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ino} ".encode()
        return status.st_size, "file:" + hashlib.blake2b(facts + head + tail, digest_size=16).hexdigest()

    def read(self, start: int, length: int) -> bytes:
        with self._opened() as file:
            data = os.pread(file, length, start)
            while 0 < len(data) < length and (more := os.pread(file, length - len(data), start + len(data))):
                data += more
        if len(data) != length:
            raise self._shorter()
        self.meter.add(1, length)
        return data

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        self.meter.add(1, 0)
        at, end = start, start + length
        with self._opened() as file:
            while at < end:
                data = os.pread(file, min(STREAM_BLOCK_BYTES, end - at), at)
                if not data:
                    raise self._shorter()
                self.meter.add(0, len(data))
                yield data
                at += len(data)

    def _shorter(self) -> StaleError:
        return StaleError(f"{self.uri}: it has become shorter", hint="plan again", uri=self.uri)

    def check(self) -> None:
        if self._look() != (self.size, self.version):
            raise StaleError(f"{self.uri}: it changed while it was read", hint="plan again", uri=self.uri)


class Cached(Source):
    """Serves small reads that lie close together from one read of the source beneath, of at least *block* bytes."""

    def __init__(self, beneath: Source, block: int) -> None:
        super().__init__(beneath.uri, beneath.size, beneath.version)
        self.meter = beneath.meter
        self._beneath, self._block, self._start, self._data = beneath, block, 0, b""

    def read(self, start: int, length: int) -> bytes:
        if not self._start <= start <= start + length <= self._start + len(self._data):
            self._data = self._beneath.read(start, min(max(length, self._block), self.size - start))
            self._start = start
        return self._data[start - self._start : start - self._start + length]

    def stream(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        while start < end:
            held = self._start + len(self._data) - start if self._start <= start else 0
            n = min(held if held > 0 else self._block, end - start)
            yield self.read(start, n)
            start += n

    def check(self) -> None:
        self._beneath.check()


def open_source(
    uri: str | BinaryIO,
    *,
    version: str | None = None,
    size: int | None = None,
    unversioned: bool = False,
    session: Any = None,
) -> Source:
    """Open the object at *uri*; with *version*, only if it is that one (StaleError otherwise).

    With *version* and *size*, as a plan has them, a remote object is asked for nothing before it is read; a change is
    then met at the first read. *unversioned* accepts an HTTP object with neither a strong ETag nor Last-Modified.
    *session* is a boto3 session to reach ``s3://`` with. A seekable binary file object may stand in place of a URI.
    """
    if version is not None and not (version.isascii() and version.isprintable()):
        raise FormatError("a plan or index names a version that no object has", hint="make it again")  # it is sent
    source = _open(uri, (version, size) if version is not None and size is not None else None, unversioned, session)
    if version is not None and source.version != version:
        source.close()
        raise StaleError(
            f"{source.uri}: it has changed since it was planned",
            hint="make the plan (and the index) again",
            planned=version,
            found=source.version,
        )
    return source


def is_local(uri: str) -> bool:
    """Say whether *uri* is a path on this machine."""
    return "://" not in uri or uri.lower().startswith("file://")


def _open(uri: str | BinaryIO, pinned: tuple[str, int] | None, unversioned: bool, session: Any) -> Source:
    if not isinstance(uri, str):
        from cbtool.given import GivenFile

        return GivenFile(uri)
    scheme = uri.partition("://")[0].lower() if "://" in uri else "file"
    if session is not None and scheme != "s3":
        raise UsageError(f"{scheme}://: a boto3 session is for s3:// only")
    if scheme == "file":
        return LocalSource(uri.removeprefix("file://"))
    if scheme in ("http", "https"):
        from cbtool.http import HttpSource

        return HttpSource(uri, unversioned=unversioned, pinned=pinned)
    from cbtool.objects import ObjectSource

    return ObjectSource(uri, session=session, pinned=pinned)
