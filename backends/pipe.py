"""A command between two streams: fed from an iterator, its output read as blocks, the end of its stderr kept."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from cbtool.backends.group import kill, process_group, wait_for
from cbtool.errors import TaskFailed

BLOCK_BYTES = 1024 * 1024
STDERR_BYTES = 64 * 1024
LEAVE_S = 1.0


class Pipe:
    """A command that runs; read `blocks` to its end to have it judged."""

    def __init__(self, process: subprocess.Popen[bytes], ok: Collection[int], output: IO[bytes] | None) -> None:
        self.process, self.ok, self._output = process, ok, output
        self._problem: BaseException | None = None
        self._said: deque[bytes] = deque()
        self._threads: list[threading.Thread] = []

    @property
    def stderr(self) -> str:
        """The last 64 KiB of what the command said on stderr."""
        return b"".join(self._said)[-STDERR_BYTES:].decode(errors="replace")

    def blocks(self) -> Iterator[bytes]:
        """Yield the output; once it has ended, raise TaskFailed if the status is not one of *ok*.

        The command is over when its process has ended and nothing that it started holds its stdout or stderr.
        """
        if self._output is not None:
            while block := os.read(self._output.fileno(), BLOCK_BYTES):
                yield block
        wait_for(self.process)
        for thread in self._threads:
            thread.join()
        if self._problem is not None:
            raise self._problem
        self._judge(self.process.wait())

    def run(self) -> None:
        """Let the command run to its end, and judge it."""
        for _ in self.blocks():
            pass

    def _judge(self, status: int) -> None:
        if status in self.ok:
            return
        how = f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        lines = self.stderr.strip().splitlines()
        hint = "was it out of memory? make more and smaller chunks, or use fewer workers (-j)" if status == -9 else None
        message = f"{how}: {lines[-1].strip()[:500]}" if lines else how
        raise TaskFailed(message, hint=hint, exit_status=status, stderr=self.stderr)

    def feed(self, blocks: Iterable[bytes]) -> None:
        """Write *blocks* to the command's stdin; a command that does not want them all is left alone."""
        self._start(lambda: self._feed(blocks))

    def listen(self, stderr: IO[bytes]) -> None:
        """Read what the command says, and keep its end."""
        self._start(lambda: self._listen(stderr))

    def close(self) -> None:
        """Let go of the streams, once the group is gone."""
        for thread in self._threads:
            if thread.ident is not None:  # a signal may have come while it was being started
                thread.join(LEAVE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _start(self, what: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=what, daemon=True))
        self._threads[-1].start()

    def _feed(self, blocks: Iterable[bytes]) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        try:
            for block in blocks:
                if not _written(stdin, block):
                    break
        except BaseException as error:
            # Before its stdin is closed, so that it cannot take a part of the chunk for the whole.
            self._problem = error
            kill(self.process.pid)
        with suppress(BrokenPipeError):
            stdin.close()

    def _listen(self, stderr: IO[bytes]) -> None:
        kept = 0
        while block := os.read(stderr.fileno(), STDERR_BYTES):
            self._said.append(block)
            kept += len(block)
            while kept - len(self._said[0]) >= STDERR_BYTES:
                kept -= len(self._said.popleft())


@contextmanager
def piped(
    argv: Sequence[str],
    *,
    blocks: Iterable[bytes] | None = None,
    is_output: bool = True,
    keep_stderr: bool = True,
    ok: Collection[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Pipe]:
    """Start *argv* with *blocks* on its stdin (or nothing); what is left of it at the end of the block is killed.

    Where stdout is not the output, it is kept with stderr.
    """
    stdin = subprocess.DEVNULL if blocks is None else subprocess.PIPE
    stderr = subprocess.STDOUT if not is_output else subprocess.PIPE if keep_stderr else None
    pipe: Pipe | None = None
    try:
        with process_group(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment, bufsize=0
        ) as process:
            pipe = Pipe(process, ok, process.stdout if is_output else None)
            if blocks is not None:
                pipe.feed(blocks)
            if (kept := process.stderr if is_output else process.stdout) is not None:
                pipe.listen(kept)
            yield pipe
    finally:
        if pipe is not None:
            pipe.close()


def _written(stdin: IO[bytes], block: bytes) -> bool:
    """Write *block*; say whether the command still reads."""
    view = memoryview(block)
    try:
        while view:
            view = view[os.write(stdin.fileno(), view) :]
    except BrokenPipeError:
        return False
    return True
