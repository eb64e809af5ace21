"""Proves that nothing is lost and nothing is there twice: counts and sums of hashes of records, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash
from isal import isal_zlib

MODULUS = 1 << 128


@dataclass(frozen=True)
class Summary:
    """What is the same for a file and for the chunks of it, taken together.

    *total* is the sum mod 2^128 of the 128-bit hash (XXH3) of every record: the same set of records in any order.
    *crc* and *length* are of the records joined, each with a newline: the same records in the same order.
    """

    records: int = 0
    total: int = 0
    crc: int = 0
    length: int = 0

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.records + other.records,
            (self.total + other.total) % MODULUS,
            isal_zlib.crc32_combine(self.crc, other.crc, other.length),
            self.length + other.length,
        )

    def to_json(self) -> dict[str, Any]:
        return {"records": self.records, "total": f"{self.total:032x}", "crc": self.crc, "length": self.length}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Summary:
        return Summary(fields["records"], int(fields["total"], 16), fields["crc"], fields["length"])


def summarise(lists: Iterator[list[bytes]], *, is_ordered: bool = True) -> Summary:
    """Return the summary of records that come in lists; *crc* and *length* are 0 unless their order says something.

    >>> summarise(iter([[b"a"], [b"b"]])) == summarise(iter([[b"a", b"b"]]))
    True
    >>> summarise(iter([[b"a", b"b"]])).crc == summarise(iter([[b"b", b"a"]])).crc
    False
    """
    n = total = crc = length = 0
    for records in lists:
        if records:
            n += len(records)
            total += sum(map(xxhash.xxh3_128_intdigest, records))
            if is_ordered:
                joined = b"\n".join(records) + b"\n"
                crc = isal_zlib.crc32(joined, crc)
                length += len(joined)
    return Summary(n, total % MODULUS, crc, length)


def joined(summaries: Iterable[Summary]) -> Summary:
    """Return the summary of files one after another."""
    return sum(summaries, Summary())
