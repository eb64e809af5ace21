"""Scratch space of one task: a folder whose path is of safe characters, and always removed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cbtool.chunk import Chunk
from cbtool.destination import open_destination
from cbtool.errors import CannotWrite, ConfigError, UsageError
from cbtool.output import told
from cbtool.reading import open_parts
from cbtool.source import is_local
from cbtool.units import show_size

PREFIX = "cbtool-"
SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@%=:,-]+")


def scratch_place(folder: str | None) -> str:
    """Return what the paths of a program's scratch folders begin with: in *folder*, or where TMPDIR says."""
    place = folder if folder is not None and is_local(folder) else tempfile.gettempdir()
    return os.path.abspath(os.path.join(place, f"{PREFIX}{secrets.token_hex(6)}-"))


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


@contextmanager
def scratch_place_for(where: str | None, *, remote: bool) -> Iterator[str]:
    """Give a place for outputs that only pass through: a folder, or for *remote* workers a prefix below *where*.

    UsageError if remote workers would have none. It is emptied at the end.
    """
    if not remote:
        with scratch_folder(scratch_place(where)) as folder:
            yield folder
        return
    if where is None or is_local(where):
        raise UsageError(
            "the engine's workers cannot send outputs to this stdout",
            hint="name where they go: -o s3://BUCKET/PREFIX/, or where they pass: --scratch s3://BUCKET/PREFIX/",
        )
    destination = open_destination(f"{where.rstrip('/')}/{PREFIX}{secrets.token_hex(6)}/")
    try:
        yield destination.uri
    finally:
        for name, _ in list(destination.names()):
            destination.delete(name)


def check_room(folder: str, chunk: Chunk) -> None:
    """Raise CannotWrite if *folder* has no room for *chunk*, by what its plan says of its size; before it is read."""
    wanted = max(chunk.n_bytes, chunk.weight if chunk.by == "bytes" else 0)
    with told(folder):
        free = shutil.disk_usage(folder).free
    if free < wanted:
        raise CannotWrite(
            f"{folder}: {show_size(free)} are free, and chunk {chunk.chunk} takes {show_size(wanted)}",
            hint="make room there, or name another place: --scratch DIR",
            uri=folder,
        )


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
