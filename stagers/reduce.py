"""Joins the outputs of all chunks: one command that reads them in the order of the chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from cbtool.backends.pipe import piped
from cbtool.errors import TaskFailed
from cbtool.output import open_output
from cbtool.source import open_source
from cbtool.stagers.command import SHELL
from cbtool.stagers.scratch import scratch_folder

INPUTS = "{inputs}"


def reduce(command: str, uris: Sequence[str], to: str, *, scratch: str | None = None) -> None:
    """Run *command* under bash with the content of *uris* on its stdin, and what it prints to the file *to*.

    Where it names ``{inputs}``, that is a file that lists them, and its stdin is empty.
    """
    with scratch_folder(scratch) as folder:
        blocks: Iterator[bytes] | None = joined(uris)
        if INPUTS in command:
            listed = os.path.join(folder, "inputs")
            with open(listed, "w") as file:
                file.writelines(f"{uri}\n" for uri in uris)
            command, blocks = command.replace(INPUTS, listed), None
        try:
            with open_output(to) as output, piped([*SHELL, command], blocks=blocks, keep_stderr=False) as pipe:
                output.writelines(pipe.blocks())
        except TaskFailed as error:
            raise TaskFailed(f"reduce: {error}", hint=error.hint, **error.facts) from None


def joined(uris: Sequence[str]) -> Iterator[bytes]:
    """Yield the content of all *uris*, one after another."""
    for uri in uris:
        with open_source(uri) as source:
            yield from source.stream(0, source.size)
