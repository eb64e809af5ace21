"""Scratch space of one task: a folder whose path is of safe characters, and always removed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cbtool.chunk import Chunk
from cbtool.errors import ConfigError
from cbtool.output import told
from cbtool.reading import open_parts

PREFIX = "cbtool-"
SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@%=:,-]+")


@contextmanager
def scratch_folder(place: str | None) -> Iterator[str]:
    """Give a new folder whose path begins with *place* (``/scratch/cbtool-1f2e-``), or one where TMPDIR says."""
    folder, prefix = os.path.split(place or os.path.join(tempfile.gettempdir(), PREFIX))
    folder = os.path.abspath(folder)
    if not SAFE_PATH.fullmatch(folder):
        raise ConfigError(
            f"{folder}: not usable for scratch: a command line needs a path of safe characters",
            hint="give another: --scratch DIR",
        )
    with told(folder):
        path = tempfile.mkdtemp(prefix=prefix, dir=folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_parts(chunk: Chunk, folder: str) -> list[str]:
    """Write the files of *chunk* into the new *folder*; return their paths."""
    paths = []
    os.mkdir(folder)
    for part in open_parts(chunk):
        paths.append(os.path.join(folder, part.name))
        write_file(paths[-1], part.blocks)
    return paths


def read_blocks(path: str) -> Iterator[bytes]:
    """Yield the content of the file at *path*."""
    with open(path, "rb") as file:
        while block := file.read(1024 * 1024):
            yield block


def write_file(path: str, blocks: Iterator[bytes]) -> None:
    """Write *blocks* to a new file at *path*."""
    # Only what the writing meets is told of the scratch space, and not what reading the chunk meets.
    with told(path):
        file = open(path, "xb")
    try:
        for block in blocks:
            with told(path):
                file.write(block)
    finally:
        with told(path):
            file.close()
