"""An interpreter that decodes a gzip file for its parent: ``python -m cbtool.partitioners.gzip.decoder FD FD PARENT``.

The output goes through shared memory, a ring of slots, the first descriptor; the second is a socket. Over it goes,
to the parent, for each slot that is full, for each search and each window to pack, a line of JSON with the bytes that
belong to it behind it; and from the parent what to decode, as one line, then a number for each slot that is free again
and for each answer. It imports neither numpy nor what else the parent is to do with the bytes: it is there sooner.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import sys
from collections import deque
from typing import Any

from cbtool.partitioners.gzip.inflate import Checkpoint
from cbtool.partitioners.gzip.survey import Answer, Survey
from cbtool.source import open_source

SLOT_BYTES = 1 << 20
N_SLOTS = 6
KEPT_BYTES = 8 << 20
FREE, NOTHING = -1, -2
NUMBER = struct.Struct("<q")
PR_SET_PDEATHSIG = 1

Mark = tuple[int, int, bool]
"""A checkpoint: bit, offset in the output, whether inside a member. What was packed of it, the parent has."""


class Gone(Exception):
    """The parent is not there any more."""


class Link:
    """The decoder's side; the `Aide` of its survey, which lets the parent do the work."""

    def __init__(self, link: socket.socket, memory: int) -> None:
        self._socket = link
        self._heard = link.makefile("rb")
        self._ring = mmap.mmap(memory, N_SLOTS * SLOT_BYTES)
        self._n_free, self._slot, self._used = N_SLOTS, 0, 0
        self._answers: deque[int] = deque()
        self._n_asked = self._n_taken = 0
        self._marks: list[Mark] = []

    def order(self) -> dict[str, Any]:
        """Return what to decode."""
        found: dict[str, Any] = json.loads(self._heard.readline() or b"{}")
        return found

    def send(self, line: dict[str, Any], data: bytes = b"") -> None:
        self._socket.sendall(json.dumps(line | {"n_bytes": len(data)}).encode() + b"\n" + data)

    def put(self, piece: bytes, marks: list[Mark]) -> None:
        """Hand over the next output; *marks* are the checkpoints where it begins."""
        if marks:
            self.flush()
            self._marks += marks
        view = memoryview(piece)
        while view:
            while not self._n_free:
                self._hear()
            at = self._slot * SLOT_BYTES + self._used
            part = view[: SLOT_BYTES - self._used]
            self._ring[at : at + len(part)] = part
            self._used += len(part)
            view = view[len(part) :]
            if self._used == SLOT_BYTES:
                self.flush()

    def flush(self) -> None:
        """Tell of what was put and not told yet."""
        if self._used:
            self.send({"slot": self._slot, "used": self._used, "marks": self._marks})
            self._slot, self._used, self._marks = (self._slot + 1) % N_SLOTS, 0, []
            self._n_free -= 1

    def end(self) -> None:
        self.flush()
        self.send({"end": self._marks})

    def search(self, first: int, data: bytes) -> Answer:
        self.send({"search": first}, data)
        self._n_asked += 1
        number = self._n_asked

        def answer() -> int | None:
            while self._n_taken < number:
                while not self._answers:
                    self._hear()
                found = self._answers.popleft()
                self._n_taken += 1
            return None if found == NOTHING else found

        return answer

    def pack(self, start: Checkpoint, following: bytes) -> bytes:
        window = start.window or b""
        self.send({"pack": start.bit, "window": len(window)}, window + following)
        return b""

    def _hear(self) -> None:
        told = self._heard.read(NUMBER.size)
        if len(told) < NUMBER.size:
            raise Gone
        (number,) = NUMBER.unpack(told)
        if number == FREE:
            self._n_free += 1
        else:
            self._answers.append(number)


def main(memory: int, descriptor: int, parent: int) -> None:
    """Decode what the parent names; errors are told after all that comes before them."""
    die_with(parent)
    # The C library gives back to the system what is larger than all that was freed before, and fetches it again.
    bytes(KEPT_BYTES)
    with socket.socket(fileno=descriptor) as link:
        one = Link(link, memory)
        try:
            try:
                _decode(one, **one.order())
            except (Gone, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                from cbtool.errors import describe

                one.flush()
                one.send({"error": describe(error)})
        except (Gone, BrokenPipeError, ConnectionResetError):
            os._exit(1)


def _decode(link: Link, uri: str, version: str) -> None:
    with open_source(uri, version=version, unversioned=True) as source:
        survey = Survey(source, aide=link)
        for piece in survey.blocks():
            link.put(piece, [(bit, offset, window is not None) for bit, offset, window in survey.found()])
        link.end()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
