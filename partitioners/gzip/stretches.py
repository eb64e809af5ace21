"""The output of a gzip file in stretches, with checkpoints between them; decoded here, or in a process beside this."""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from subprocess import DEVNULL
from typing import Any, BinaryIO

from cbtool.backends.group import process_group
from cbtool.errors import WorkerDied, revive
from cbtool.partitioners.gzip import decoder
from cbtool.partitioners.gzip.decoder import FREE, N_SLOTS, NOTHING, NUMBER, SLOT_BYTES
from cbtool.partitioners.gzip.inflate import Checkpoint
from cbtool.partitioners.gzip.survey import Found, Survey
from cbtool.source import LocalSource, Source

BESIDE_BYTES = 16 << 20
"""To decode a smaller file takes no longer than to start an interpreter."""

Stretch = tuple[list[Found], bytes | memoryview]
"""Checkpoints, in order, and the output from the last of them on. A view is good until the next is asked for."""


def stretches(source: Source) -> Generator[Stretch, None, None]:
    """Yield the whole output of *source*. FormatError says what is wrong in the file, and where.

    The output and the checkpoints are the same, whichever process decodes. The first stretch is empty: a caller that
    asks for it early has the decoder start while it imports what the rest takes.
    """
    large = isinstance(source, LocalSource) and source.size >= BESIDE_BYTES
    return beside(source) if large and len(os.sched_getaffinity(0)) > 1 else here(source)


def here(source: Source) -> Generator[Stretch, None, None]:
    yield [], b""
    survey = Survey(source)
    for piece in survey.blocks():
        yield survey.found(), piece


def beside(source: Source) -> Generator[Stretch, None, None]:
    """Decode in another process; what it asks for is done here, in between."""
    ours, theirs = socket.socketpair()
    memory = os.memfd_create("cbtool-ring")
    try:
        os.ftruncate(memory, N_SLOTS * SLOT_BYTES)
        command = [sys.executable, "-P", "-m", decoder.__name__, str(memory), str(theirs.fileno()), str(os.getpid())]
        with ours, process_group(command, pass_fds=[memory, theirs.fileno()], stdin=DEVNULL, stdout=DEVNULL):
            theirs.close()
            yield [], b""
            with suppress(BrokenPipeError, ConnectionResetError):
                ours.sendall(json.dumps({"uri": source.address, "version": source.version}).encode() + b"\n")
            with mmap.mmap(memory, N_SLOTS * SLOT_BYTES, prot=mmap.PROT_READ) as ring, ours.makefile("rb") as heard:
                yield from _Parent(source.uri, ours, heard).stretches(ring)
    finally:
        theirs.close()
        ours.close()
        os.close(memory)


class _Parent:
    """What the decoder's parent does: takes the output, frees the slots, searches, packs windows."""

    def __init__(self, where: str, link: socket.socket, heard: BinaryIO) -> None:
        self._where, self._socket, self._heard = where, link, heard
        self._windows: deque[bytes] = deque()

    def stretches(self, ring: mmap.mmap) -> Generator[Stretch, None, None]:
        from cbtool.partitioners.gzip.search import Search

        search = Search()
        while True:
            line, data = self._hear()
            if "slot" in line:
                at = line["slot"] * SLOT_BYTES
                with memoryview(ring) as whole, whole[at : at + line["used"]] as view:
                    yield self._found(line["marks"]), view
                self._tell(FREE)
            elif "search" in line:
                bit = search.possible(line["search"], data)
                self._tell(NOTHING if bit is None else bit)
            elif "pack" in line:
                start = Checkpoint(line["pack"], data[: line["window"]])
                self._windows.append(search.pack(start, data[line["window"] :]))
            elif "error" in line:
                raise revive(line["error"])
            else:
                yield self._found(line["end"]), b""
                return

    def _found(self, marks: list[decoder.Mark]) -> list[Found]:
        return [(bit, offset, self._windows.popleft() if inside else None) for bit, offset, inside in marks]

    def _hear(self) -> tuple[dict[str, Any], bytes]:
        try:
            line = self._heard.readline()
            found: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {"n_bytes": 1}
            data = self._heard.read(found["n_bytes"])
        except ConnectionResetError:
            found, data = {"n_bytes": 1}, b""
        if len(data) != found["n_bytes"]:
            raise WorkerDied(f"{self._where}: the process that decodes it died", hint="was it out of memory?")
        return found, data

    def _tell(self, number: int) -> None:
        # Where nobody listens any more, the next that is heard says so.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(NUMBER.pack(number))
