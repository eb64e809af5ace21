"""FASTQ: sequencing reads, single or paired, four lines each or wrapped, plain or compressed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cbtool.partitioners.fastq_grammar import Fastq, could_be
from cbtool.partitioners.stream import Stream
from cbtool.partitioners.wrapped import WrappedFastq

SEQUENCE = re.compile(rb"[A-Za-z0-9.*~-]*")
"""Bases, or colours (SOLiD writes digits)."""

STRICT = {"layout": "four lines"}
WRAPPED = {"layout": "wrapped"}


def detect(head: bytes) -> dict[str, Any] | None:
    r"""Say how the records at the beginning of a file lie; None if it is not FASTQ.

    >>> detect(b"@a\nAC\n+\nII\n"), detect(b"@a\nAC\nGT\n+\nII\nII\n"), detect(b"@SQ\tSN:1\n")
    ({'layout': 'four lines'}, {'layout': 'wrapped'}, None)
    """
    lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
    whole = lines[:-1] if len(lines) > 1 else lines
    if head[:1] != b"@" or not whole:
        return None
    if not all(SEQUENCE.fullmatch(line) for line in whole[1:2]):
        return None
    if could_be(whole, 0):
        return dict(STRICT)
    plus = next((i for i, line in enumerate(whole) if i and line[:1] == b"+"), None)
    sequence = whole[1:plus]
    if plus is None or not sequence or not all(line.replace(b"*", b"A").isalpha() for line in sequence):
        return None
    # It begins as FASTQ does, but not all of it holds as four lines: a pass finds whether it is wrapped or wrong.
    return dict(WRAPPED)


def grammar(how: Mapping[str, Any]) -> Fastq:
    """Return the grammar of the layout that `detect` or a pass found."""
    return WrappedFastq() if how == WRAPPED else Fastq()


PARTITIONER = Stream("fastq", ("bytes", "records", "bases"), detect, grammar, slow=WRAPPED, shared=lambda hows: WRAPPED)
