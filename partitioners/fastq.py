"""FASTQ: sequencing reads, single or paired, four lines each or wrapped, plain or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbtool.partitioners.fastq_grammar import SEQUENCE, Fastq, WrappedFastq, could_be
from cbtool.partitioners.stream import Stream

STRICT = {"layout": "four lines"}
WRAPPED = {"layout": "wrapped"}


def detect(head: bytes) -> dict[str, Any] | None:
    r"""Say how the records at the beginning of a file lie; None if it is not FASTQ.

    >>> detect(b"@a\nAC\n+\nII\n"), detect(b"@a\nAC\nGT\n+\nII\nII\n"), detect(b"@SQ\tSN:1\n")
    ({'layout': 'four lines'}, {'layout': 'wrapped'}, None)
    """
    if not head:
        return dict(STRICT)
    lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
    if head[:1] != b"@" or not b"".join(lines[1:]):
        return None
    # A last line may be cut; blank ones may end the file, or be the qualities of a read without bases.
    whole = lines[:-1]
    while whole and not whole[-1]:
        whole.pop()
    if could_be(whole, 0) and (len(lines) > 4 or SEQUENCE.fullmatch(lines[1])):
        return dict(STRICT)
    plus = next((i for i, line in enumerate(lines) if i and line[:1] == b"+"), len(lines))
    if plus < 2 or not all(map(SEQUENCE.fullmatch, lines[1:plus])):
        return None
    # It begins as FASTQ does, but not all of it holds as four lines: a pass finds whether it is wrapped or wrong.
    return dict(WRAPPED)


def grammar(how: Mapping[str, Any]) -> Fastq:
    """Return the grammar of the layout that `detect` or a pass found."""
    return WrappedFastq() if how == WRAPPED else Fastq()


PARTITIONER = Stream("fastq", ("bytes", "records", "bases"), detect, grammar, slow=WRAPPED, shared=lambda hows: WRAPPED)
