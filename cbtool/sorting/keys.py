"""What records are ordered and routed by. A key is a byte string; keys compare bytewise, the shorter one first."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cbtool.errors import TaskFailed, UsageError
from cbtool.sorting.ordering import PAD, Offsets, Order, stable_order
from cbtool.stagers.function import digest, pack, unpack

Records = list[bytes]
KeyFunction = Callable[[Records], Any]
"""Takes records (without their newlines) and returns a sequence or array of keys: numbers, bytes or str of one kind."""

NUMBER = re.compile(rb"[ \t]*(-?)0*(\d*)(?:\.(\d*))?")
MADE_AT_ONCE = 16 * 1024
"""How many records a key function is given at once, at the most."""
INVERTED = bytes(255 - byte for byte in range(256))


@dataclass(frozen=True)
class Key:
    """What of a record is its key: all of it, a *span* of its bytes, some *fields*, a number; or a function's value."""

    span: tuple[int, int | None] | None = None
    """First byte and the one behind the last, from 0; None is the end of the record."""
    fields: tuple[int, int | None] | None = None
    """First and last, from 1, both included; None is the end of the record."""
    separator: str = "\t"
    numeric: bool = False
    """Whether only the number counts that the key begins with (blanks, ``-``, digits, ``.``); 0 if there is none."""
    descending: bool = False
    function: str | None = None
    """A packed `KeyFunction`."""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Key:
        spans = {name: tuple(fields[name]) for name in ("span", "fields") if name in fields}
        return Key(**{**fields, **spans})

    def named(self) -> dict[str, Any]:
        """Return it for a run key: a function by its hash."""
        return self.to_json() | ({"function": digest(self.function)} if self.function else {})

    @staticmethod
    def of_function(function: KeyFunction) -> Key:
        """Return the key that *function* says; UsageError if it cannot be sent to a worker."""
        try:
            return Key(function=pack(function))
        except Exception as error:
            raise UsageError(f"the key function cannot be sent to a worker: {error}") from error

    @cached_property
    def _call(self) -> KeyFunction:
        assert self.function is not None
        call: KeyFunction = unpack(self.function)
        return call

    def spans(self, data: bytes, start: Offsets, end: Offsets) -> tuple[bytes, Offsets, Offsets]:
        """Return a buffer (with its pad), and where in it the key of each record starts and how long it is.

        *data* holds the records from *start* to *end* (their newlines not among them), and a pad behind them.
        """
        if self.span is not None:
            start, end = _part(start, end, *self.span)
        elif self.fields is not None:
            start, end = _fields(data, start, end, self.separator.encode(), *self.fields)
        if self.numeric or self.function is not None:
            return _made(self._made_of, data, start, end)
        return data, start, end - start

    def _made_of(self, records: Records) -> list[bytes]:
        return encoded(self._call(records), len(records)) if self.function is not None else [*map(number, records)]

    def order(self, data: bytes, start: Offsets, end: Offsets) -> Order:
        """Return the places of the records in order, equal keys as they come."""
        return stable_order(*self.spans(data, start, end), descending=self.descending)

    def of(self, record: bytes) -> Rank:
        """Return the key of one record, as something to compare."""
        keys, start, length = self.spans(record + PAD, np.zeros(1, np.int64), np.array([len(record)]))
        return self.rank(keys[int(start[0]) : int(start[0] + length[0])])

    def rank(self, key: bytes) -> Rank:
        return Descending(key) if self.descending else Rank(key)

    def splitter(self, value: Any) -> bytes:
        """Return the key that a caller's *value* stands for."""
        if self.function is not None:
            return encoded([value], 1)[0]
        text = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else str(value).encode()
        return number(text) if self.numeric else text


class Rank(bytes):
    """A key that compares as bytes."""


class Descending(Rank):
    """A key of which the greater one comes first."""

    def __lt__(self, other: bytes) -> bool:
        return bytes.__gt__(self, other)

    def __le__(self, other: bytes) -> bool:
        return bytes.__ge__(self, other)


def number(text: bytes) -> bytes:
    """Return a key by which exact decimal numbers of any length sort: sign, count of digits, digits.

    >>> sorted([b"10", b"9", b"-1", b"-1.5", b"x", b"0.25"], key=number)
    [b'-1.5', b'-1', b'x', b'0.25', b'9', b'10']
    """
    found = NUMBER.match(text)
    assert found  # it may match nothing
    whole, fraction = found[2], (found[3] or b"").rstrip(b"0")
    if not whole and not fraction:
        return b"\1"
    digits = struct.pack(">I", len(whole)) + whole + fraction
    return b"\0" + digits.translate(INVERTED) + b"\xff" if found[1] else b"\2" + digits


def encoded(values: Any, n_records: int) -> list[bytes]:
    """Return what a key function returned as keys: numbers before text, NaN last of numbers."""
    if len(values) != n_records:
        raise TaskFailed(f"the key function returned {len(values)} keys for {n_records} records")
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return [_encoded(value) for value in values]


def _encoded(value: Any) -> bytes:
    try:
        if isinstance(value, (bytes, str)):
            return b"s" + (value if isinstance(value, bytes) else value.encode())
        if isinstance(value, (int, np.integer)) and not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("it is too large")
        rounded = float(value) + 0.0
        # A whole number may lie beside the float that it is rounded to: by how much comes second.
        beside = int(value) - int(rounded) if isinstance(value, (int, np.integer)) else 0
        (bits,) = struct.unpack(">Q", struct.pack(">d", rounded))
        return b"n" + struct.pack(">QH", bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63), beside + (1 << 15))
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise TaskFailed(f"the key {value!r} is no number of 64 bits, bytes or str: {error}") from None


def _made(
    keys_of: Callable[[Records], list[bytes]], data: bytes, start: Offsets, end: Offsets
) -> tuple[bytes, Offsets, Offsets]:
    """Return keys that are made of records, some of these at a time: as objects they take much room."""
    length = np.zeros(len(start), np.int64)
    joined = []
    for at in range(0, len(start), MADE_AT_ONCE):
        some = slice(at, at + MADE_AT_ONCE)
        keys = keys_of([data[a:b] for a, b in zip(start[some].tolist(), end[some].tolist(), strict=True)])
        length[some] = np.fromiter(map(len, keys), np.int64, len(keys))
        joined.append(b"".join(keys))
    return b"".join((*joined, PAD)), np.cumsum(length) - length, length


def _part(start: Offsets, end: Offsets, first: int, last: int | None) -> tuple[Offsets, Offsets]:
    return np.minimum(start + first, end), end if last is None else np.minimum(start + last, end)


def _fields(
    data: bytes, start: Offsets, end: Offsets, separator: bytes, first: int, last: int | None
) -> tuple[Offsets, Offsets]:
    """Return where fields *first* to *last* lie: both ends of the record where there are not so many."""
    marks = np.flatnonzero(np.frombuffer(data, np.uint8) == separator[0])
    before = np.searchsorted(marks, start)
    marks = np.append(marks, len(data))

    def mark(n: int) -> Offsets:
        """Return where the separator number *n* of each record is, or the record's end."""
        return np.minimum(marks[np.minimum(before + n, len(marks) - 1)], end)

    begin = start if first == 1 else np.minimum(mark(first - 2) + 1, end)
    return begin, end if last is None else np.maximum(begin, mark(last - 1))
