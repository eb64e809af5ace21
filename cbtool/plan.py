"""A plan: all chunks of one partition, as JSON Lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from cbtool.asked import Options
from cbtool.chunk import LINE_LIMIT_BYTES, Chunk
from cbtool.errors import FormatError
from cbtool.output import open_output
from cbtool.permissions import readable_like, restrict


class Plan(Sequence[Chunk]):
    """Chunks in order, all of one partition."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = list(chunks)

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, number: Any) -> Any:
        return self._chunks[number]

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    @property
    def id(self) -> str:
        return self._chunks[0].plan

    def save(self, path: str) -> None:
        """Write the plan to *path*, a file or ``s3://`` object.

        A plan of compressed text holds excerpts of it, so only those who may read the sources may read the file.
        """
        with open_output(path) as file:
            if path != "-" and any(chunk.format.endswith(".gz") for chunk in self):
                restrict(file, readable_like({source.uri for chunk in self for source in chunk.sources}))
            for line in self.lines():
                file.write(line)

    def lines(self) -> Iterator[bytes]:
        """Yield the plan's lines, each with its newline."""
        for chunk in self._chunks:
            yield chunk.to_line().encode() + b"\n"


def sealed(chunks: Iterable[Chunk], options: Options) -> Plan:
    """Return a plan whose id is a hash of its chunks (and so of the sources' versions) and of *options*.

    The number of workers is no part of it unless it shaped the chunks.
    """
    chunks = list(chunks)
    asked = {name: value for name, value in asdict(options).items() if name != "workers"}
    digest = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16)
    for chunk in chunks:
        digest.update(chunk.to_line().encode())
    return Plan(replace(chunk, plan=digest.hexdigest()) for chunk in chunks)


def read_chunks(lines: Iterable[bytes], where: str) -> Iterator[Chunk]:
    """Yield the chunks of plan lines; FormatError names the line that is not one."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Chunk.from_line(line.rstrip(b"\n"), f"{where}:{number}")


def complete(chunks: Iterable[Chunk], where: str, some: bool = False) -> Plan:
    """Return *chunks* as a plan, in order; FormatError if one is missing, repeated or of another plan.

    *some* allows missing ones.
    """
    plan = Plan(sorted(chunks, key=lambda chunk: chunk.chunk))
    if not len(plan):
        raise FormatError(f"{where}: no chunks", hint="is it a plan? make one: cbtool partition")
    foreign = next((chunk for chunk in plan if chunk.plan != plan.id), None)
    if foreign:
        raise FormatError(
            f"{where}: chunk {foreign.chunk} is of plan {foreign.plan[:12]}, chunk {plan[0].chunk} of {plan.id[:12]}",
            hint="one plan at a time",
        )
    numbers = [chunk.chunk for chunk in plan]
    repeated = next((a for a, b in zip(numbers, numbers[1:], strict=False) if a == b), None)
    if repeated is not None:
        raise FormatError(f"{where}: chunk {repeated} is there twice")
    of = plan[0].of
    if of is not None and len(plan) != of and not some:
        missing = sorted(set(range(of)) - set(numbers))
        raise FormatError(
            f"{where}: {len(missing)} of {of} chunks are missing, first {missing[0]}",
            hint="a part of a plan needs --some",
        )
    return plan


def looks_like_plan(head: bytes) -> bool:
    """Say whether a file that begins with *head* is a plan rather than a source."""
    return head.startswith(b'{"v":') and b'"recipe"' in head[:LINE_LIMIT_BYTES]
