"""A piece of a compressed source: the bytes to read for a run of records, and the recipe that decodes just them."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from isal import isal_zlib

from cbtool.errors import FormatError
from cbtool.partitioners.container import Place
from cbtool.partitioners.gzip.deflate import WINDOW_BYTES
from cbtool.partitioners.gzip.inflate import Checkpoint, decode
from cbtool.partitioners.gzip.windows import unpack_window
from cbtool.source import Range, Source
from cbtool.streams import as_file


def make_piece(source: Source, first: Place, last: Place) -> tuple[Range, dict[str, Any]]:
    """Return what to read for the records from *first* up to *last*, and the recipe.

    Decode from bit ``from`` (after ``window``) to ``to``; go on with ``tail``, or with the next ``more`` bytes of a
    decode up to ``on``; drop the first ``skip`` bytes. What is left has ``length`` bytes and ``crc``, if given.
    Both ends are ``[bit, inside a member]``, or null for the end of the source.
    """
    last = _not_before(first, last)
    recipe: dict[str, Any] = {"kind": "gzip", "from": first.at, "skip": first.skip, "to": _end(source, last)}
    if first.window is not None:
        recipe["window"] = base64.b85encode(first.window).decode()
    stop = last.at
    if last.head is None and last.after:
        recipe |= {"more": last.skip, "on": list(last.after) if last.after[0] < source.size * 8 else None}
        stop = last.after[0]
    elif last.head:
        recipe["tail"] = base64.b85encode(last.head).decode()
    if first.offset is not None and last.offset is not None:
        recipe["length"] = last.offset - first.offset
        if first.crc is not None and last.crc is not None:
            before = isal_zlib.crc32_combine(first.crc, 0, recipe["length"])
            recipe["crc"] = last.crc ^ before
    # Two cuts may be reached from one checkpoint; what lies between them is then in the tail alone.
    begin = stop // 8 if stop == first.at else first.at // 8
    return (begin, -(-stop // 8) - begin if stop != first.at else 0), recipe


def _not_before(first: Place, last: Place) -> Place:
    """Return *last* as it is reached from where *first* is, if its own begin lies before that."""
    if last.at >= first.at:
        return last
    assert first.offset is not None and last.offset is not None
    skip = last.offset - (first.offset - first.skip)
    head = None if last.head is None else last.head[len(last.head) - skip :]
    return replace(last, at=first.at, window=first.window, skip=skip, head=head)


def _end(source: Source, last: Place) -> list[int | bool] | None:
    return None if last.at == source.size * 8 else [last.at, last.window is not None]


def open_piece(source: Source, one: Range, recipe: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the plain bytes of a piece, by one request; FormatError unless they are what was planned."""
    how = _Recipe(source.uri, recipe)
    length = crc = 0
    skip = how.skip
    for block in how.decode(source, one):
        if skip:
            skip, block = max(0, skip - len(block)), block[skip:]
        if block:
            length += len(block)
            crc = isal_zlib.crc32(block, crc)
            yield block
    if how.length not in (None, length) or how.crc not in (None, crc):
        raise FormatError(
            f"{source.uri}: bytes {one[0]} to {sum(one)} decode to other data than were planned",
            hint="is the file damaged? make the plan and the index again",
        )


class _Recipe:
    """The checked fields of an untrusted recipe."""

    def __init__(self, where: str, recipe: Mapping[str, Any]) -> None:
        self.where = where
        try:
            self.start = Checkpoint(_count(recipe["from"]), None)
            if "window" in recipe:
                self.start = Checkpoint(self.start.bit, unpack_window(base64.b85decode(recipe["window"])))
            self.to, self.on = _boundary(recipe["to"]), _boundary(recipe.get("on"))
            self.skip, self.more = _count(recipe["skip"]), _count(recipe.get("more", 0))
            self.tail = base64.b85decode(recipe.get("tail", ""))
            self.length = None if recipe.get("length") is None else _count(recipe["length"])
            self.crc = None if recipe.get("crc") is None else _count(recipe["crc"])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{where}: the recipe is not one of gzip: {error}", hint="make the plan again") from None

    def decode(self, source: Source, one: Range) -> Iterator[bytes]:
        """Yield what lies behind the first checkpoint, up to the record where the piece ends."""
        blocks = source.stream(*one) if one[1] else iter(())
        if self.to is None:
            yield from decode(blocks, self.start, None, self.where)
            return
        window = self.start.window or b""
        rest: list[bytes] = []
        if self.to[0] != self.start.bit:
            shared = bool(self.to[0] % 8)
            first = _first(blocks, -(-self.to[0] // 8) - one[0], shared, rest)
            for piece in decode(first, self.start, self.to, self.where):
                window = (window + piece)[-WINDOW_BYTES:] if len(piece) < WINDOW_BYTES else piece[-WINDOW_BYTES:]
                yield piece
        if not self.more:
            yield self.tail
            return
        left = self.more
        going_on = Checkpoint(self.to[0], window if self.to[1] else None)
        for piece in decode(_rest(rest, blocks), going_on, self.on, self.where):
            yield piece[:left]
            left -= min(left, len(piece))


def _first(blocks: Iterator[bytes], n_bytes: int, shared: bool, rest: list[bytes]) -> Iterator[bytes]:
    """Yield the first *n_bytes*; put the rest of the last block in *rest*, from the last byte on if it is *shared*."""
    for block in blocks:
        if len(block) < n_bytes:
            yield block
            n_bytes -= len(block)
            continue
        yield block[:n_bytes]
        rest.append(block[n_bytes - shared :])
        return


def _rest(rest: list[bytes], blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from rest
    yield from blocks


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _boundary(value: object) -> tuple[int, bool] | None:
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], bool)):
        raise ValueError(f"{value!r} is not a boundary")
    return _count(value[0]), value[1]


def whole(source: Source) -> Iterator[bytes]:
    """Yield the whole plain stream, by Python's own gzip: another decoder than the one that pieces are read with."""
    with gzip.GzipFile(fileobj=as_file(source.stream(0, source.size))) as file:
        try:
            while block := file.read(1 << 20):
                yield block
        except (EOFError, OSError, zlib.error) as error:
            raise FormatError(f"{source.uri}: {error}") from None
