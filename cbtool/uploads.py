"""Writing to buckets: prefixes as destinations, and single outputs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, Any, BinaryIO, TypeVar, cast

from cbtool.destination import Destination, safe
from cbtool.errors import CannotWrite, MissingInput, UsageError
from cbtool.objects import CODE, asking, judge
from cbtool.output import not_full
from cbtool.retry import ATTEMPTS, Passing, again, patiently, pause
from cbtool.stores import Place, open_store, place

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
SINGLE_PUT_BYTES = 5 * 1024**3
"""What S3 takes in one PUT."""

T = TypeVar("T")


class ObjectDestination(Destination):
    """A prefix in a bucket. Nothing is visible under a name before all of it is there.

    `create` is exclusive by one PUT with If-None-Match: of up to 8 MiB from memory; on s3:// of up to 5 GiB from a
    temporary file on this machine. Above that (elsewhere above 8 MiB, and for anonymous writers) it looks whether the
    name is free and then sends in parts, for conditional completion is not to be had everywhere (Ceph completes
    regardless): two that race there may both write, and the last one stays. Servers that ignore If-None-Match
    (rclone, s3rver) give no more than this for any size.
    """

    def __init__(self, uri: str) -> None:
        self._top = place(uri.rstrip("/") if uri.partition("://")[2].rstrip("/") else uri)
        self.uri = str(self._top).rstrip("/")
        self._store, self._anonymous = open_store(self._top)

    def _create(self, name: str, blocks: Iterable[bytes]) -> bool:
        where = self._place(name)
        if self._head(where) is not None:
            return False
        with SpooledTemporaryFile(PART_BYTES) as file:
            with not_full(gettempdir()):
                for block in blocks:  # writelines would hold them all before it looks how many they are
                    file.write(block)
                size = file.tell()
            return self._put_new(where, file, size)

    def _put_new(self, where: Place, file: IO[bytes], size: int) -> bool:
        if size <= PART_BYTES:
            return self._exclusively(where, file, lambda: self._put_small(where, file.read()))
        if where.scheme == "s3" and not self._anonymous and size <= SINGLE_PUT_BYTES:
            return self._exclusively(where, file, lambda: self._put_signed(where, file, size))
        file.seek(0)
        _send(where, iter(lambda: file.read(PART_BYTES), b""))
        return True

    def _exclusively(self, where: Place, file: IO[bytes], put: Callable[[], bool]) -> bool:
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            file.seek(0)
            # A PUT whose answer was lost may have been done: the name is then taken by what we sent.
            return put() or (tries > 1 and self._holds(where, file))

        with _no_input(where):
            return again(str(where), attempt)

    def _put_small(self, where: Place, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            with asking(where, self._anonymous):
                patiently(lambda: obstore.put(self._store, where.key, data, mode="create", use_multipart=False))
        except AlreadyExistsError:
            return False
        return True

    def _put_signed(self, where: Place, file: IO[bytes], size: int) -> bool:
        """PUT from *file* without holding it in memory, as obstore would where the PUT has a condition."""
        import obstore

        from cbtool.http import request

        url = obstore.sign(self._store, "PUT", where.key, timedelta(hours=1))
        headers = {"If-None-Match": "*", "Content-Length": str(size)}
        with request("PUT", url, headers, body=file) as answer:
            if answer.status == 412:
                return False
            code = CODE.search(answer.read(64 * 1024).decode("utf-8", "replace"))
            if answer.status == 409:
                raise Passing("answered 409: someone else writes the same name")
            if answer.status >= 300:
                raise judge(where, self._anonymous, answer.status, code[1] if code else "")
        return True

    def _holds(self, where: Place, file: IO[bytes]) -> bool:
        file.seek(0)
        digest = hashlib.md5(usedforsecurity=False)
        for block in iter(lambda: file.read(1024 * 1024), b""):
            digest.update(block)
        return ((self._head(where) or {}).get("e_tag") or "").strip('"') == digest.hexdigest()

    def replace(self, name: str, blocks: Iterable[bytes]) -> None:
        _send(self._place(name), iter(blocks))

    def read(self, name: str) -> bytes | None:
        import obstore

        where = self._place(name)
        return self._ask(where, lambda: bytes(obstore.get(self._store, where.key).bytes()))

    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        top = f"{self._top.key}/" if self._top.key else ""
        for key, size in listing(self._top, top + prefix):
            yield key[len(top) :], size

    def delete(self, name: str) -> None:
        import obstore

        where = self._place(name)
        self._ask(where, lambda: obstore.delete(self._store, where.key))

    def locate(self, name: str) -> str:
        return f"{self.uri}/{safe(name)}"

    def _place(self, name: str) -> Place:
        return place(self.locate(name))

    def _head(self, where: Place) -> dict[str, Any] | None:
        import obstore

        return self._ask(where, lambda: cast(dict[str, Any], obstore.head(self._store, where.key)))

    def _ask(self, where: Place, call: Callable[[], T]) -> T | None:
        """Return what *call* returns, or None if there is no such object."""

        def attempt() -> T:
            with asking(where, self._anonymous):
                return patiently(call)

        try:
            return again(str(where), attempt)
        except MissingInput:
            return None


def listing(where: Place, prefix: str, session: Any = None) -> list[tuple[str, int]]:
    """Return ``(key, size)`` of all keys of the bucket that begin with *prefix*, sorted, however many there are."""
    import obstore

    store, anonymous = open_store(where, session=session)
    folder = prefix.rpartition("/")[0]

    def attempt() -> list[tuple[str, int]]:
        with asking(where, anonymous):
            pages = obstore.list(store, folder or None, chunk_size=1000)
            return patiently(lambda: sorted((one["path"], one["size"]) for page in pages for one in page))

    return [one for one in again(str(where), attempt) if one[0].startswith(prefix)]


@contextmanager
def writing(uri: str) -> Iterator[BinaryIO]:
    """Give a file that is sent to *uri* in parts as it is written; the object appears when the block ends well."""
    import obstore

    where = place(uri)
    if not where.key or where.key.endswith("/"):
        raise UsageError(f"{uri}: names no object", hint=f"name one: {uri.rstrip('/')}/NAME")
    store, anonymous = open_store(where, writing=True)
    with _sending(where, anonymous):
        upload = obstore.open_writer(store, where.key, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        with upload:
            yield cast(BinaryIO, _Upload(upload.write))


class _Upload(io.BufferedIOBase):
    def __init__(self, send: Callable[[Any], int]) -> None:
        self._send = send

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._send(data)


def _send(where: Place, blocks: Iterator[bytes]) -> None:
    """Send *blocks* to *where*, in parts if they are more than one; whole or not at all."""
    import obstore

    store, anonymous = open_store(where, writing=True)
    head = bytearray()
    for block in blocks:
        head += block
        if len(head) > PART_BYTES:
            break
    with _sending(where, anonymous):
        if len(head) <= PART_BYTES:
            obstore.put(store, where.key, bytes(head), use_multipart=False)
            return
        parts = chain([bytes(head)], blocks)
        del head
        obstore.put(store, where.key, parts, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)


@contextmanager
def _sending(where: Place, anonymous: bool) -> Iterator[None]:
    """Tell what went wrong with a store that repeats by itself."""
    try:
        with _no_input(where), asking(where, anonymous):
            yield
    except Passing as error:
        pause(str(where), error, ATTEMPTS)


@contextmanager
def _no_input(where: Place) -> Iterator[None]:
    """Say of a bucket that is not there that it cannot be written to."""
    try:
        yield
    except MissingInput as error:
        if error.facts.get("uri") != str(where):
            raise  # what was to be sent is missing
        raise CannotWrite(str(error), hint="make the bucket first, or name another", uri=str(where)) from None
